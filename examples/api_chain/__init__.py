"""A REST API whose client says what it will ask next: see app.py and compare.py."""
