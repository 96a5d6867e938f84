"""Other people's HTTP/3 stacks, over real UDP; `docs/reference/interop.md` says what came out."""
