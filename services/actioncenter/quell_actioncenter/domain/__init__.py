"""Pure rules: policy, lifecycle, guards, investigation state; nothing here does I/O or reads a clock."""
