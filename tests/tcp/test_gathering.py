"""What is written in one turn of the loop leaves in one piece, and never later than it has to."""

import asyncio
from typing import Any

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("zttp")

from h3push.tcp.gathering import MOST_GATHERED, GatheringTransport, Turns
from h3push.tcp.httptools_protocol import HttptoolsProtocol
from h3push.tcp.zttp_protocols import Http1Protocol, Http2Protocol

from .rig import Rig, Wire

PROTOCOLS: list[type[Any]] = [HttptoolsProtocol, Http1Protocol, Http2Protocol]


async def turn() -> None:
    """Let the turn end."""
    await asyncio.sleep(0)


def test_what_one_turn_writes_leaves_together() -> None:
    """One call of the transport beneath for each turn, in order, and none for nothing."""

    async def scenario() -> None:
        wire = Wire()
        transport = GatheringTransport(wire, Turns())
        transport.write(b"a")
        transport.write(b"")
        transport.write(bytearray(b"b"))
        assert (wire.done, transport.get_write_buffer_size()) == ([], 1002)
        await turn()
        transport.write(b"c")
        await turn()
        transport.write(b"")
        await turn()
        assert wire.done == [b"ab", b"c"]

    asyncio.run(scenario())


def test_connections_that_write_in_one_turn_each_send_what_is_theirs() -> None:
    """One call of the loop ends a turn for all of them, and the next turn has one of its own."""

    async def scenario() -> None:
        turns, wires = Turns(), [Wire() for _ in range(3)]
        transports = [GatheringTransport(wire, turns) for wire in wires]
        for number in range(2):
            for transport in transports[number:]:
                transport.write(b"%d" % number)
            await turn()
        assert [wire.done for wire in wires] == [[b"0"], [b"0", b"1"], [b"0", b"1"]]

    asyncio.run(scenario())


def test_no_more_than_a_bound_waits() -> None:
    """Whoever writes without an end in one turn is held back by the transport beneath, which has it by then."""

    async def scenario() -> None:
        wire = Wire()
        transport = GatheringTransport(wire, Turns())
        for _ in range(100):
            transport.write(bytes(MOST_GATHERED // 4))
            assert transport.get_write_buffer_size() <= 1000 + MOST_GATHERED
        assert sum(map(len, wire.done)) >= 99 * MOST_GATHERED // 4 - MOST_GATHERED
        del wire.done[:]
        transport.write(b"small")
        transport.write(bytes(MOST_GATHERED + 1))
        assert [len(one) for one in wire.done][-1] == MOST_GATHERED + 1
        assert wire.done[-2].endswith(b"small"), "in order"

    asyncio.run(scenario())


def test_closing_sends_and_aborting_drops_what_waits() -> None:
    """`close` loses nothing; `abort` is for clients that take nothing."""

    async def scenario() -> None:
        closed, aborted = Wire(), Wire()
        for wire, end in ((closed, "close"), (aborted, "abort")):
            transport = GatheringTransport(wire, Turns())
            transport.write(b"last")
            getattr(transport, end)()
            await turn()
        assert closed.done == [b"last", "closed"]
        assert aborted.done == ["aborted"]

    asyncio.run(scenario())


async def hello(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"o", "more_body": True})
    await send({"type": "http.response.body", "body": b"k"})


@pytest.mark.parametrize(("protocol", "count"), [*((one, 1) for one in PROTOCOLS), (Http2Protocol, 5)])
def test_responses_of_one_turn_are_one_write(protocol: type[Any], count: int) -> None:
    """Header section, content and end; over HTTP/2 also those of several requests that came together."""

    async def scenario() -> None:
        rig = Rig(protocol, hello)
        rig.ask(count)
        for _ in range(5):
            await turn()
        assert len(rig.wire.done) == 1
        assert rig.wire.done[0].count(b"ok" if rig.client is None else b"\x00\x00\x01\x00") >= 1

    asyncio.run(scenario())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_response_does_not_wait_for_what_its_handler_does_then(protocol: type[Any]) -> None:
    """A handler that goes on in the same turn, and blocks, has its complete response sent before."""
    sent: list[int] = []

    async def scenario() -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await hello(scope, receive, send)
            sent.append(len(rig.wire.done))

        rig = Rig(protocol, app)
        rig.ask()
        for _ in range(5):
            await turn()

    asyncio.run(scenario())
    assert sent == [1]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_there_does_not_wait_for_more(protocol: type[Any]) -> None:
    """A header section, or content, leaves at the end of its turn though the response is not complete (server-sent events)."""

    async def scenario() -> None:
        async def app(_scope: Any, _receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await asyncio.Event().wait()

        rig = Rig(protocol, app)
        rig.ask()
        for _ in range(5):
            await turn()
        assert len(rig.wire.done) == 1
        for task in rig.served.tasks:
            task.cancel()

    asyncio.run(scenario())
