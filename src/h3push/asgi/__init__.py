"""ASGI applications over HTTP/3."""
