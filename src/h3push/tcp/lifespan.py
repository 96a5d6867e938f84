"""The lifespan of a server for TCP: it means nothing, for the application's own is run once, by the HTTP/3 server."""

from h3push.asgi.types import Receive, Send


async def answer_lifespan(receive: Receive, send: Send) -> None:
    """Tell a server that insists on a lifespan that all is well, at its start and at its end."""
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
