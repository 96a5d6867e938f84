"""What passes beside a response's head and content: 103 before it, trailers behind it."""

import asyncio
from typing import Any

from h3push.asgi.types import EARLY_HINT, TRAILERS
from h3push.http.headers import Headers
from h3push.relay.outgoing import Outgoing

from .support import Relayed, Site, Told, relayed

ROUND_TRIP = 0.3
LINK = "</page.css>; rel=preload; as=style"


async def hinting(request: Any) -> None:
    """Hint at once, and answer after a second."""
    await request.send_informational(103, {"link": LINK})
    await request.send_informational(103, {"x": "no link"})
    await asyncio.sleep(1)
    await request.start_response(200, {"content-type": "text/plain"})
    await request.send(b"content")
    await request.send_trailers({"digest": "abc"})


def ask(extensions: tuple[str, ...], **headers: str) -> tuple[Told, Site]:
    """The answer to a program whose server offers these extensions."""
    site, found = Site(), []
    site.answers["/hinting"] = hinting

    async def scenario(relay: Relayed) -> None:
        relay.browser.extensions = extensions
        found.append(await relay.browser.get("/hinting", **headers))

    relayed(site, scenario)
    return found[0], site


def test_a_103_goes_on_at_once() -> None:
    """The program has the 103 a round trip after its request, long before the response; one without Link ends at the relay."""
    told, _ = ask((EARLY_HINT,))
    ((when, links),) = told.hints
    assert links == [LINK.encode()]
    assert 0.99 * ROUND_TRIP < when < 1.15 * ROUND_TRIP < 1 < told.began
    assert told.content == b"content"


def test_trailers_pass_to_who_wants_them() -> None:
    """A program that says `TE: trailers`, by a server that can send them, gets them behind the content."""
    told, site = ask((TRAILERS,), te="trailers")
    assert told.content == b"content"
    assert told.trailers == [(b"digest", b"abc")]
    assert site.seen[0]["te"] == "trailers"


def test_a_server_that_offers_neither_gets_neither() -> None:
    """Over HTTP/1.1 the response passes whole, and no event goes out that the server there does not know."""
    told, site = ask((), te="trailers")
    assert (told.hints, told.trailers) == ([], None)
    assert (told.content, told.is_whole) == (b"content", True)
    assert "te" not in site.seen[0]


def test_no_hint_goes_out_when_the_response_does_not_come() -> None:
    """A 103 that waits for its turn when the origin is lost is dropped: behind the relay's own 502 it would be an error."""
    sent: list[str] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])

    async def check() -> None:
        outgoing = Outgoing({"method": "GET", "extensions": {EARLY_HINT: {}}}, send)
        outgoing.interim(103, Headers([("link", LINK)]))
        outgoing.drop()
        outgoing.interim(103, Headers([("link", LINK)]))
        await asyncio.sleep(0)

    asyncio.run(check())
    assert sent == []
