"""The Action Center's tables: what is kept, under which key, and the numbered migrations that make them."""
