"""ASGI 3 applications over HTTP/3, and their pushes."""
