"""A connection over HTTP/2 ends in good order before zttp would break it off."""

import asyncio
from typing import Any

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("zttp")

import zttp

from h3push.tcp import zttp_protocols
from h3push.tcp.zttp_protocols import ANY_STREAM, MOST_REQUESTS, MOST_RESETS, Http2Protocol

from .rig import Rig

SLACK = 128
"""Requests that a client may send, or reset, before it hears: as many as it may have open at once."""


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize("resets", [False, True])
def test_the_bounds_of_zttp_are_not_reached_before(resets: bool) -> None:
    """A client may ask, or reset, as often as it can before it hears that it is to go."""
    server = zttp.Connection(zttp.SERVER, protocol=zttp.HTTP2)
    client = zttp.Connection(zttp.CLIENT, protocol=zttp.HTTP2)
    server.initiate_connection()
    client.initiate_connection()
    taken = 0
    for _ in range((MOST_RESETS if resets else MOST_REQUESTS) + SLACK):
        stream = client.send_request(b"GET", b"/", b"2", [(b"host", b"a")])
        if resets:
            stream.reset()
        else:
            stream.end_message()
        server.receive_data(client.data_to_send())
        for event in iter(server.next_event, zttp.NEED_DATA):
            if isinstance(event, zttp.Request):
                taken += 1
                if not resets:
                    answer = server.stream(event.stream_id)
                    answer.send_response(204, [])
                    answer.end_message()
        client.receive_data(server.data_to_send())
        list(iter(client.next_event, zttp.NEED_DATA))
    assert taken == (MOST_RESETS if resets else MOST_REQUESTS) + SLACK


async def heard(rig: Rig) -> list[Any]:
    for _ in range(5):
        await asyncio.sleep(0)
    return rig.heard()


@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize("bound", ["MANY", "MOST"])
def test_a_client_is_sent_to_another_connection(monkeypatch: pytest.MonkeyPatch, bound: str, resets: bool) -> None:
    """GOAWAY says which request was the last, once nothing is under way. Where that is never, one before asks for no more."""
    monkeypatch.setattr(zttp_protocols, f"{bound}_{'RESETS' if resets else 'REQUESTS'}", 3)
    if bound == "MOST":
        monkeypatch.setattr(zttp_protocols, f"MANY_{'RESETS' if resets else 'REQUESTS'}", 3)
    monkeypatch.setattr(zttp_protocols, "RETIRED_IDLE", 0.01)
    held = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            await held.wait()
        await app(scope, receive, send)

    async def scenario() -> None:
        rig = Rig(Http2Protocol, slow)
        told: list[Any] = []
        rig.ask(path=b"/slow")
        for _ in range(3 if resets else 2):
            assert not goaways(told)
            if resets:
                rig.client.send_request(b"GET", b"/", b"2", [(b"host", b"a")]).reset()
                rig.served.data_received(rig.client.data_to_send())
            else:
                rig.ask()
            told += await heard(rig)
        assert goaways(told) == ([ANY_STREAM] if bound == "MOST" else [])
        rig.ask()
        late = await heard(rig)
        assert [one.status_code for one in late if isinstance(one, zttp.Response)] == [200], "something is under way"
        held.set()
        last = 9 if resets else 7
        assert goaways(await heard(rig)) == [last]
        rig.ask()
        assert not await heard(rig), "its client may send it again, elsewhere"
        async with asyncio.timeout(5):
            while not rig.wire.is_closing():  # noqa: ASYNC110 - a timer of the server closes it
                await asyncio.sleep(0.01)

    asyncio.run(scenario())


def goaways(told: list[Any]) -> list[int]:
    return [one.last_stream_id for one in told if isinstance(one, zttp.GoAway)]
