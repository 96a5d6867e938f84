"""The table of a message, walked whole, in both directions."""

from itertools import product

import pytest

from conformance.support import data, frame, headers
from h3push.errors import ErrorCode, H3ConnectionError, H3StreamError, StreamStateError
from h3push.h3.message import (
    ENDED,
    MESSAGE,
    MessageInput,
    MessageSender,
    MessageState,
)
from h3push.h3.message_receiver import ContentLength, MessageReceiver
from h3push.http.fields import Fields
from h3push.wire.reader import FrameReader
from h3push.wire.registry import Role, StreamKind

START, CONTENT, TUNNEL, TRAILERS, COMPLETE, ABORTED = MessageState
INTERIM, HEADERS, CONNECT, DATA, TRAILER_SECTION, END = MessageInput

WAYS: dict[MessageState, tuple[MessageInput, ...]] = {
    START: (),
    CONTENT: (HEADERS,),
    TUNNEL: (HEADERS, CONNECT),
    TRAILERS: (HEADERS, DATA, TRAILER_SECTION),
    COMPLETE: (INTERIM, HEADERS, DATA, END),
}
"""A way into each state that can be walked into."""

ALLOWED = {
    START: {INTERIM: START, HEADERS: CONTENT, CONNECT: TUNNEL},
    CONTENT: {CONNECT: TUNNEL, DATA: CONTENT, TRAILER_SECTION: TRAILERS, END: COMPLETE},
    TUNNEL: {DATA: TUNNEL, END: COMPLETE},
    TRAILERS: {END: COMPLETE},
    COMPLETE: {},
    ABORTED: {},
}
"""RFC 9114 section 4.1, written a second time."""


def test_the_table_says_what_the_rfc_says() -> None:
    """Every pair of state and input, those that must be absent too."""
    assert {(state, step): following for state, row in ALLOWED.items() for step, following in row.items()} == MESSAGE
    assert set(ENDED) == {COMPLETE, ABORTED}
    assert all(state not in ENDED for state, _ in MESSAGE)


def test_every_state_can_end_or_has_ended() -> None:
    """From everywhere a message can still come to its end, and every state but ABORTED is reached by inputs."""
    reached, grown = {START}, True
    while grown:
        further = {following for (state, _), following in MESSAGE.items() if state in reached}
        grown = not further <= reached
        reached |= further
    assert reached == set(MessageState) - {ABORTED}
    closing, grown = {COMPLETE}, True
    while grown:
        further = {state for (state, _), following in MESSAGE.items() if following in closing}
        grown = not further <= closing
        closing |= further
    assert closing == reached


# Sending


@pytest.mark.parametrize(("state", "step"), [*product(WAYS, MessageInput)])
def test_the_sender_walks_the_table(state: MessageState, step: MessageInput) -> None:
    """What is in it moves the message, what is not raises `StreamStateError` and moves nothing."""
    sender = MessageSender()
    for happened in WAYS[state]:
        sender.advance(happened)
    assert sender.state == state
    if step in ALLOWED[state]:
        sender.advance(step)
        assert sender.state == ALLOWED[state][step]
    else:
        with pytest.raises(StreamStateError, match=state.name):
            sender.advance(step)
        assert sender.state == state
    assert sender.ended == (sender.state in ENDED)


def test_the_sender_moves_by_all_steps_or_none() -> None:
    """Several steps at once, one of them impossible: nothing moved, nothing was counted."""
    sender = MessageSender()
    sender.advance(HEADERS)
    with pytest.raises(StreamStateError):
        sender.advance(DATA, TRAILER_SECTION, DATA, size=5)
    assert (sender.state, sender.content_sent) == (CONTENT, 0)
    sender.advance(DATA, TRAILER_SECTION, END, size=5)
    assert (sender.state, sender.content_sent) == (COMPLETE, 5)


@pytest.mark.parametrize("no_content", [False, True])
@pytest.mark.parametrize("announced", [None, 0, 5])
@pytest.mark.parametrize("sent", [0, 4, 5, 6])
def test_the_sender_is_held_to_its_length(no_content: bool, announced: int | None, sent: int) -> None:
    """Never more than announced, never an end with less; not where a message never has content."""
    sender = MessageSender()
    sender.advance(HEADERS)
    sender.content_length, sender.no_content = announced, no_content
    free = announced is None or no_content
    if free or sent <= (announced or 0):
        sender.advance(DATA, size=sent)
    else:
        with pytest.raises(StreamStateError, match="more content"):
            sender.advance(DATA, size=sent)
        return
    if free or sent == announced:
        sender.advance(END)
    else:
        with pytest.raises(StreamStateError, match="ends after"):
            sender.advance(END)
        assert sender.state == CONTENT


def test_content_length_counts() -> None:
    """At the limit, one beyond, and without a limit."""
    length = ContentLength()
    assert length.add(10**9)
    assert length.met
    length = ContentLength()
    length.expected = 5
    assert length.add(5)
    assert length.met
    assert not length.add(1)
    assert not length.met


# Receiving


class Recorder(MessageReceiver):
    """Calls the first section with `connect` or `interim` in it so, and notes what it is told."""

    def __init__(self) -> None:
        super().__init__(0, FrameReader(Role.CLIENT, StreamKind.REQUEST, max_buffered=10_000), Decoder())
        self.told: list[object] = []

    def header_section(self, fields: Fields, end: bool) -> None:
        names = dict(fields)
        self.advance(INTERIM if b"interim" in names else CONNECT if b"connect" in names else HEADERS)
        self.told.append(("headers", end and self.state != START))
        if end and self.state != START:
            self.check_end()

    def content(self, data: bytes, end: bool) -> None:
        self.told.append((data, end))

    def trailer_section(self, fields: Fields) -> None:
        self.told.append("trailers")

    def ended(self) -> None:
        self.told.append("end")

    def ended_early(self) -> None:
        raise H3StreamError(ErrorCode.H3_MESSAGE_ERROR, "early")

    def promise(self, payload: bytes) -> bool:
        self.told.append(payload)
        return True


class Decoder:
    """Literal fields only; `spend` and pauses are noted."""

    def __init__(self) -> None:
        self.spent: list[str] = []
        self.blocking = False
        self.paused = False

    def decode_section(self, stream_id: int, section: bytes) -> Fields | None:
        if self.blocking:
            return None
        name = section[3 : 3 + len(section)]
        return [(b"interim" if b"interim" in name else b"connect" if b"connect" in name else b"x", b"")]

    def resume_section(self, stream_id: int) -> Fields:
        return [(b"x", b"")]

    def charge(self, what: str) -> None:
        self.spent.append(what)

    def pause_stream(self, stream_id: int, reason: str) -> None:
        assert reason == "blocked"
        self.paused = True

    def resume_stream(self, stream_id: int, reason: str) -> None:
        assert reason == "blocked"
        self.paused = False


WIRE = {
    INTERIM: headers(("interim", "")),
    HEADERS: headers(("x", "")),
    CONNECT: headers(("connect", "")),
    DATA: data(b"d"),
    TRAILER_SECTION: headers(("x", "")),
}
PROMISE = frame(0x05, b"promised")
RECEIVED_WAYS = {
    START: (),
    CONTENT: (INTERIM, HEADERS, DATA),
    TUNNEL: (CONNECT, DATA),
    TRAILERS: (HEADERS, TRAILER_SECTION),
}


@pytest.mark.parametrize(("state", "step"), [*product(RECEIVED_WAYS, MessageInput)])
@pytest.mark.parametrize("between", [b"", frame(0x21, b"grease")], ids=["plain", "grease"])
def test_the_receiver_walks_the_table(state: MessageState, step: MessageInput, between: bytes) -> None:
    """Frames that the table has move the message on; others end the connection with H3_FRAME_UNEXPECTED."""
    receiver = Recorder()
    for happened in RECEIVED_WAYS[state]:
        receiver.receive(WIRE[happened] + between, False)
    assert receiver.state == state
    # On the wire, header sections differ by their place alone.
    is_section = step in (INTERIM, HEADERS, CONNECT, TRAILER_SECTION)
    if is_section and state is START:
        step = {TRAILER_SECTION: HEADERS}.get(step, step)
    elif is_section:
        step = TRAILER_SECTION
    row = ALLOWED[state]
    if step is END:
        if state is START:
            with pytest.raises(H3StreamError):
                receiver.receive(b"", True)
        else:
            receiver.receive(b"", True)
            assert receiver.state == COMPLETE
    elif step in row:
        receiver.receive(WIRE[step], False)
        assert receiver.state == row[step]
    else:
        with pytest.raises(H3ConnectionError) as raised:
            receiver.receive(WIRE[step], False)
        assert raised.value.error_code is ErrorCode.H3_FRAME_UNEXPECTED
        assert receiver.state == state


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ([WIRE[HEADERS]], [("headers", True)]),
        ([WIRE[HEADERS], b""], [("headers", False), "end"]),
        ([WIRE[HEADERS] + WIRE[DATA]], [("headers", False), (b"d", True)]),
        ([WIRE[HEADERS] + WIRE[DATA], b""], [("headers", False), (b"d", False), "end"]),
        ([WIRE[HEADERS] + WIRE[DATA] + WIRE[TRAILER_SECTION]], [("headers", False), (b"d", False), "trailers", "end"]),
        ([WIRE[HEADERS] + frame(0x21)], [("headers", False), "end"]),
        ([WIRE[HEADERS] + data(b"")], [("headers", False), (b"", True)]),
        ([WIRE[CONNECT] + WIRE[DATA]], [("headers", False), (b"d", True)]),
        ([WIRE[HEADERS] + PROMISE], [("headers", False), b"promised", "end"]),
    ],
)
def test_the_end_is_told_once_with_the_last_event(sent: list[bytes], told: list[object]) -> None:
    """With the last section or piece where that is known in time, else by itself."""
    receiver = Recorder()
    for index, piece in enumerate(sent):
        receiver.receive(piece, index == len(sent) - 1)
    assert receiver.told == told
    assert receiver.state == COMPLETE
    receiver.receive(WIRE[DATA], True)
    assert receiver.told == told, "what comes after the end is dropped"


def test_a_promise_stands_anywhere_but_in_a_tunnel() -> None:
    """Before the response, within it, after its trailers; never in a tunnel."""
    for before in ([], [WIRE[INTERIM]], [WIRE[HEADERS]], [WIRE[HEADERS], WIRE[TRAILER_SECTION]]):
        receiver = Recorder()
        receiver.receive(b"".join(before) + PROMISE, False)
        assert receiver.told[-1] == b"promised"
    receiver = Recorder()
    with pytest.raises(H3ConnectionError):
        receiver.receive(WIRE[CONNECT] + PROMISE, False)


def test_an_aborted_message_takes_nothing_more() -> None:
    """Whatever comes then, an unfinished frame with an end included."""
    receiver = Recorder()
    receiver.receive(WIRE[HEADERS], False)
    receiver.abort()
    receiver.receive(WIRE[DATA] + b"\x04", True)
    receiver.unblock()
    assert receiver.told == [("headers", False)]
    assert receiver.state == ABORTED


def test_a_blocked_message_pauses_and_goes_on_in_order() -> None:
    """What arrived behind the section that waits is worked off after it, the end included."""
    receiver = Recorder()
    decoder = receiver._decoder
    assert isinstance(decoder, Decoder)
    decoder.blocking = True
    receiver.receive(WIRE[HEADERS] + WIRE[DATA], False)
    receiver.receive(WIRE[DATA], True)
    assert (receiver.told, receiver.blocked, decoder.paused) == ([], True, True)
    decoder.blocking = False
    receiver.unblock()
    assert (receiver.blocked, decoder.paused) == (False, False)
    assert b"".join(told[0] for told in receiver.told[1:]) == b"dd"
    assert [told[1] for told in receiver.told] == [False, False, True]
    assert receiver.state == COMPLETE


def test_what_waits_is_kept_small_and_means_the_same() -> None:
    """Content is joined, unknown frames are counted and dropped, order is kept, and what is illegal stays illegal."""
    behind = data(b"a") + frame(0x21) + data(b"b") + PROMISE + data(b"c") + data(b"") + WIRE[TRAILER_SECTION]
    for step in (1, 5, len(behind)):
        receiver = Recorder()
        decoder = receiver._decoder
        assert isinstance(decoder, Decoder)
        decoder.blocking = True
        receiver.receive(WIRE[HEADERS], False)
        for start in range(0, len(behind), step):
            receiver.receive(behind[start : start + step], start + step >= len(behind))
        decoder.blocking = False
        receiver.unblock()
        pieces = [told for told in receiver.told if isinstance(told, tuple) and told[0] != "headers"]
        assert b"".join(piece for piece, _ in pieces) == b"abc"
        assert receiver.told.index(b"promised") > receiver.told.index(pieces[0])
        assert receiver.told[-2:] == ["trailers", "end"]
        assert decoder.spent.count("frames of unknown types") == 1
    receiver = Recorder()
    assert isinstance(receiver._decoder, Decoder)
    receiver._decoder.blocking = True
    receiver.receive(WIRE[HEADERS] + WIRE[TRAILER_SECTION] + data(b""), True)
    receiver._decoder.blocking = False
    with pytest.raises(H3ConnectionError):
        receiver.unblock()


def test_good_frames_are_worked_off_before_a_bad_one_is_told() -> None:
    """In the delivery that brings the bad frame, and with an end inside a frame."""
    for bad, code in ((frame(0x04), ErrorCode.H3_FRAME_UNEXPECTED), (b"\0\5ab", ErrorCode.H3_FRAME_ERROR)):
        receiver = Recorder()
        with pytest.raises(H3ConnectionError) as raised:
            receiver.receive(WIRE[HEADERS] + WIRE[DATA] + bad, True)
        assert raised.value.error_code is code
        assert receiver.told[:2] == [("headers", False), (b"d", False)]
        assert receiver.state == CONTENT


def test_what_costs_and_brings_nothing_is_counted() -> None:
    """Unknown frames and empty DATA, each once; other frames are not."""
    receiver = Recorder()
    receiver.receive(frame(0x21) + WIRE[HEADERS] + data(b"") + data(b"x") + frame(0x21, b"yz"), False)
    decoder = receiver._decoder
    assert isinstance(decoder, Decoder)
    assert decoder.spent == ["frames of unknown types", "empty DATA frames", "frames of unknown types"]
