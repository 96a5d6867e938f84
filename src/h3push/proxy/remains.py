"""The bytes that a broken connection leaves in the socket's receive buffer.

A server that refuses an upload answers and closes, and its kernel sends a reset because content is unread (RFC 9112 section 9.6).
The answer has arrived by then, but asyncio stops reading as soon as a write fails. The kernel keeps the bytes until the
descriptor is closed, which asyncio does after `connection_lost`. Over TLS they are ciphertext, which nobody can decrypt any more.
"""

import asyncio
import os

_PIECE = 64 * 1024


def read_remains(transport: asyncio.BaseTransport, most: int) -> bytes:
    """Read what has arrived; to be called in `connection_lost`, where the descriptor is still open. Never waits.

    Args:
        transport: the broken one.
        most: bytes, after which it stops.
    """
    socket = transport.get_extra_info("socket")
    if socket is None or socket.fileno() < 0 or transport.get_extra_info("sslcontext") is not None:
        return b""
    remains = bytearray()
    while len(remains) < most:
        try:
            piece = os.read(socket.fileno(), min(_PIECE, most - len(remains)))
        except OSError:  # the reset itself, or nothing there
            break
        if not piece:
            break
        remains += piece
    return bytes(remains)
