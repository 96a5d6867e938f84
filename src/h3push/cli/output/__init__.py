"""Where the outcome of a command goes: content, reports, pictures."""
