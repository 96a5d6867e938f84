"""HTTP/3 server push for Python: a server, a client, and the tools that tell whether a push pays.

A server::

    async def app(request: h3push.Request) -> h3push.Response:
        await request.push("/style.css")
        return h3push.Response(200, {"content-type": "text/html"}, "<link rel=stylesheet href=/style.css>")

    async with h3push.serve(app, port=4433, certfile="cert.pem", keyfile="key.pem") as server:
        await server.wait_closed()

A client::

    async with h3push.connect("https://localhost:4433/", cafile="ca.pem", max_pushes=10) as client:
        async with await client.get("/") as response:
            async for push in response.pushes():
                print(push.request.path, await (await push.response()).read())
            print(await response.read())

Without sockets and without asyncio: `H3ServerConnection` and `H3ClientConnection`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from h3push._quic import ClientTls, ServerTls
    from h3push.asgi.push import push, push_nowait
    from h3push.asgi.serve import ASGIServer, serve_asgi
    from h3push.client.connect import connect
    from h3push.client.connection import ClientConnection
    from h3push.client.exchange import SentRequest
    from h3push.client.limits import Timeouts
    from h3push.client.progress import ReceivedState, Timing
    from h3push.client.push_stats import PushStats, Unused
    from h3push.client.pushes import RefusedPush
    from h3push.client.response import ClientResponse, ReceivedPush
    from h3push.client.tunnel import ClientTunnel
    from h3push.delivery.decision import Way
    from h3push.delivery.page import Delivered
    from h3push.errors import (
        ConnectFailed,
        ConnectFailure,
        ConnectionClosed,
        ErrorCode,
        H3ConnectionError,
        H3PushError,
        H3StreamError,
        LocalProtocolError,
        NoExtendedConnect,
        NoPushCredit,
        NoStreamCredit,
        PoolTimeout,
        ProtocolError,
        PushCancelled,
        PushNotAllowed,
        ReadTimeout,
        RequestNotProcessed,
        StreamFailed,
        StreamStateError,
        Timeout,
        WriteTimeout,
    )
    from h3push.h3.client import H3ClientConnection
    from h3push.h3.config import H3Config
    from h3push.h3.events import CancelledBy
    from h3push.h3.push.rules import PushRefusal
    from h3push.h3.server import H3ServerConnection
    from h3push.http.content import FileContent
    from h3push.http.headers import Headers
    from h3push.http.priority import Priority
    from h3push.httpx.clients import AsyncClient, Client, get
    from h3push.runtime.inbox import ContentTooLarge
    from h3push.runtime.settings import ClientSettings, PoolSettings, PushCacheSettings, ServerSettings
    from h3push.server.counters import ServerCounters
    from h3push.server.push import Push, PushState
    from h3push.server.request import Request
    from h3push.server.response import Response
    from h3push.server.runner import Handler
    from h3push.server.server import Server, serve

    __version__: str
    compiled: bool

_HOMES = {
    "h3push._quic": "ClientTls ServerTls",
    "h3push.client.connect": "connect",
    "h3push.client.connection": "ClientConnection",
    "h3push.client.limits": "Timeouts",
    "h3push.client.exchange": "SentRequest",
    "h3push.client.progress": "ReceivedState Timing",
    "h3push.client.push_stats": "PushStats Unused",
    "h3push.httpx.clients": "AsyncClient Client get",
    "h3push.client.pushes": "RefusedPush",
    "h3push.client.response": "ClientResponse ReceivedPush",
    "h3push.client.tunnel": "ClientTunnel",
    "h3push.server.runner": "Handler",
    "h3push.http.content": "FileContent",
    "h3push.http.headers": "Headers",
    "h3push.server.push": "Push PushState",
    "h3push.server.request": "Request",
    "h3push.server.response": "Response",
    "h3push.server.counters": "ServerCounters",
    "h3push.server.server": "Server serve",
    "h3push.runtime.settings": "ClientSettings PoolSettings PushCacheSettings ServerSettings",
    "h3push.runtime.inbox": "ContentTooLarge",
    "h3push.delivery.decision": "Way",
    "h3push.delivery.page": "Delivered",
    "h3push.errors": (
        "ConnectFailed ConnectFailure ConnectionClosed ErrorCode H3ConnectionError H3PushError H3StreamError "
        "LocalProtocolError NoExtendedConnect NoPushCredit NoStreamCredit ProtocolError PushCancelled "
        "PushNotAllowed RequestNotProcessed StreamFailed StreamStateError Timeout PoolTimeout ReadTimeout WriteTimeout"
    ),
    "h3push.h3.client": "H3ClientConnection",
    "h3push.h3.config": "H3Config",
    "h3push.h3.events": "CancelledBy",
    "h3push.h3.push.rules": "PushRefusal",
    "h3push.http.priority": "Priority",
    "h3push.h3.server": "H3ServerConnection",
    "h3push.asgi.push": "push push_nowait",
    "h3push.asgi.serve": "ASGIServer serve_asgi",
}
"""Module to the public names it is home of: they are imported when first used, so that `h3push --help` is quick."""

_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name == "__version__":
        value: Any = _version()
    elif name == "compiled":
        value = _is_compiled()
    elif name in _HOME_OF:
        value = getattr(import_module(_HOME_OF[name]), name)
    else:
        raise AttributeError(f"module 'h3push' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("h3push")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0+unknown"


def _is_compiled() -> bool:
    """True when this is the form that mypyc compiled: the same source, the same behaviour, faster."""
    return not str(import_module("h3push.wire.frames").__file__).endswith(".py")


__all__ = [
    "__version__",
    "compiled",
    # a server
    "serve",
    "Server",
    "ServerCounters",
    "ServerSettings",
    "ServerTls",
    "Handler",
    "Request",
    "Response",
    "Push",
    "PushRefusal",
    "PushState",
    # an ASGI application
    "serve_asgi",
    "ASGIServer",
    "push",
    "push_nowait",
    "Delivered",
    "Way",
    # a client
    "AsyncClient",
    "Client",
    "get",
    "connect",
    "ClientConnection",
    "ClientResponse",
    "ClientSettings",
    "ClientTls",
    "ClientTunnel",
    "PoolSettings",
    "PushCacheSettings",
    "PushStats",
    "Unused",
    "ReceivedPush",
    "ReceivedState",
    "RefusedPush",
    "SentRequest",
    "Timeouts",
    "Timing",
    # both
    "CancelledBy",
    "FileContent",
    "Headers",
    "H3Config",
    "Priority",
    # the protocol alone
    "H3ClientConnection",
    "H3ServerConnection",
    # errors, as in the tree of h3push.errors
    "H3PushError",
    "ProtocolError",
    "H3ConnectionError",
    "H3StreamError",
    "LocalProtocolError",
    "NoExtendedConnect",
    "StreamStateError",
    "PushNotAllowed",
    "NoPushCredit",
    "NoStreamCredit",
    "ConnectFailed",
    "ConnectFailure",
    "ConnectionClosed",
    "RequestNotProcessed",
    "StreamFailed",
    "PushCancelled",
    "Timeout",
    "PoolTimeout",
    "ReadTimeout",
    "WriteTimeout",
    "ContentTooLarge",
    "ErrorCode",
]
