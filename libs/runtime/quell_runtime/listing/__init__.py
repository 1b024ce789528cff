"""Lists, the same in every service: what they can be filtered and ordered by, the filter language, pages."""
