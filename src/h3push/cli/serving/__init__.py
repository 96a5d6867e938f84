"""The flags of `h3push serve`: one module a subject, whose class is both the declaration and the values."""
