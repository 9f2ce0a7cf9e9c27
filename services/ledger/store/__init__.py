"""The books in PostgreSQL: `journal` is how the writer changes them, `portfolio` how all read."""
