"""Transports for httpx and httpx2, and clients that have them.

    client = httpx.AsyncClient(transport=h3push.httpx.AsyncTransport())
    client = httpx.Client(mounts={"https://origin.example": h3push.httpx.Transport()})

A program without a client of its own takes `h3push.AsyncClient`, `h3push.Client` or `h3push.get`.
"""

from h3push.httpx.transport import AsyncTransport, Transport

__all__ = ["AsyncTransport", "Transport"]
