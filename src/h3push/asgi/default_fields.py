"""Fields that an application's responses get where it has set none of their name, over every version of HTTP."""

from h3push.asgi.types import ASGIApplication, Message, Receive, Scope, Send
from h3push.http.default_fields import DefaultFields

_BEGINNINGS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
"""Events that have the fields of a response."""


class WithDefaultFields:
    """An application whose responses have these fields, WebSocket handshakes included.

    Arguments:
        app: the application.
        defaults: the fields.
    """

    def __init__(self, app: ASGIApplication, defaults: DefaultFields) -> None:
        self.app = app
        """The application."""
        self._defaults = defaults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return

        async def send_with_defaults(message: Message) -> None:
            if message["type"] in _BEGINNINGS:
                own = [(bytes(name), bytes(value)) for name, value in message.get("headers") or ()]
                message = {**message, "headers": self._defaults.added_to(own)}
            await send(message)

        await self.app(scope, receive, send_with_defaults)
