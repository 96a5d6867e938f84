"""HTTP/3 with server push on asyncio: `serve` and `connect`. The names of users are in `h3push` itself."""
