"""Which events of a wake-up may change places: a client's control streams go before its requests, and nothing else moves."""

import random

import pytest

_quic = pytest.importorskip("h3push._quic")

from h3push.quic.driver import control_first  # noqa: E402

ONE, OTHER = 7, 8


def data(stream, content=b"x", fin=False, connection=ONE):
    return (_quic.DATA, connection, stream, content, fin)


def test_a_control_stream_goes_before_requests():
    """MAX_PUSH_ID that came behind a request in one wake-up is known to its handler."""
    asked, said, more = data(0, b"GET", True), data(2, b"MAX_PUSH_ID"), data(2, b"more")
    assert control_first([asked, said, more]) == [said, more, asked]


@pytest.mark.parametrize(
    "end",
    [
        (_quic.RESET, ONE, 0, 0x10C),
        (_quic.STOP, ONE, 0, 0x10C),
        (_quic.ACKED, ONE, 0),
        (_quic.CLOSED, ONE, _quic.CLOSED_TIMED_OUT, None, ""),
    ],
)
def test_content_does_not_move_across_an_end(end):
    """An upload that is cancelled: its content comes before its RESET, whatever control stream comes in the same wake-up.

    Behind its RESET it would begin the stream anew, and the end of that would be a connection error.
    """
    events = [data(0, b"content"), end, data(2, b"MAX_PUSH_ID")]
    assert control_first(list(events)) == events


def test_nothing_comes_before_its_connection():
    """SETTINGS and MAX_PUSH_ID in early data arrive with ACCEPTED: before it there is nobody to take them."""
    early = [
        data(0, b"other", connection=OTHER),
        (_quic.ACCEPTED, ONE, ("192.0.2.1", 1)),
        data(0),
        data(2, b"SETTINGS"),
    ]
    assert control_first(early) == [early[0], early[1], early[3], early[2]]


def test_the_end_of_a_control_stream_overtakes_nothing():
    """FIN on a control stream ends the connection: what came before it is dealt with before it."""
    events = [data(0, b"GET", True), data(2, b"", True)]
    assert control_first(list(events)) == events


@pytest.mark.parametrize("seed", range(50))
def test_every_order_but_that_of_control_streams_is_kept(seed):
    """Whatever comes in whatever order: without control streams, the events of a connection are as they came."""
    dice = random.Random(seed)
    kinds = [
        lambda: data(
            dice.choice([0, 2, 4, 6, 8, 15]), dice.randbytes(2), dice.random() < 0.2, dice.choice([ONE, OTHER])
        ),
        lambda: (_quic.RESET, dice.choice([ONE, OTHER]), dice.choice([0, 4, 8]), 0),
        lambda: (_quic.STOP, dice.choice([ONE, OTHER]), dice.choice([0, 4, 8]), 0),
    ]
    events = [dice.choice(kinds)() for _ in range(30)]
    ordered = control_first(list(events))
    for connection in (ONE, OTHER):
        mine, before = ([e for e in some if e[1] == connection] for some in (ordered, events))
        assert [e for e in mine if not overtakes(e)] == [e for e in before if not overtakes(e)]
        for stream in (2, 6):
            assert [e for e in mine if e[2] == stream] == [e for e in before if e[2] == stream]
        ends = [index for index, e in enumerate(mine) if e[0] != _quic.DATA]
        assert ends == [index for index, e in enumerate(before) if e[0] != _quic.DATA]


def overtakes(event):
    return event[0] == _quic.DATA and event[2] in (2, 6) and not event[4]
