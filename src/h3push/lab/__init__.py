"""The laboratory: what a push is worth, measured on the real stack in virtual time."""
