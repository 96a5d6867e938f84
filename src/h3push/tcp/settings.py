"""How an application runs over TCP."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass

from h3push.asgi.types import Send
from h3push.plans.planner import Planner
from h3push.tcp.path import PathMeasures


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpSettings:
    """Settings of an application over TCP."""

    root_path: str = ""
    """Where it is mounted, decoded, without a final slash."""
    planners: tuple[Planner, ...] = ()
    """Asked in order for each GET; every plan is carried out."""
    whole_pages: bool = False
    """Ask the planners when the answer is 200, as for files, instead of before the application runs."""
    push_event: bool = True
    """Offer ASGI's push event where the server does."""
    tls: Callable[[Send], ssl.SSLObject | None] = lambda _send: None
    """The TLS of the connection that a request's `send` belongs to."""
    path: Callable[[Send], PathMeasures | None] = lambda _send: None
    """Measures the connection that a request's `send` belongs to."""
    takes_pushes: Callable[[Send], bool] = lambda _send: False
    """True when the client of a request whose server offers the push event agreed to pushes, which ASGI has no word for."""
