"""Two cores play push against each other, and Hypothesis plays the applications, the network and the clock.

Promises, repeats, cancellations from both sides at every moment, resets, GOAWAY, credit that runs out, streams that are held back
and released in another order, deliveries of one byte. After each step the invariants of RFC 9114 section 4.6 hold; once all
is quiet, both sides agree on how each push ended, no credit has leaked, and every map is empty.
"""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from h3push.errors import ErrorCode, NoPushCredit, NoStreamCredit, StreamStateError
from h3push.h3.client import H3ClientConnection
from h3push.h3.config import H3Config
from h3push.h3.events import (
    CancelledBy,
    DataReceived,
    Event,
    GoawayReceived,
    InformationalResponseReceived,
    MaxPushIdReceived,
    MessageFailed,
    PushCancelled,
    PushPromiseReceived,
    PushRefused,
    ResponseReceived,
    TrailersReceived,
)
from h3push.h3.push.rules import PushRefusal
from h3push.h3.push.states import ClientPushState, ServerPushState
from h3push.h3.server import H3ServerConnection
from h3push.http.fields import RequestHead
from h3push.http.priority import Priority
from h3push.testing.memory import EndSettings, MemoryPair, MemorySettings, SendSettings

CRITICAL = 3
"""Unidirectional streams for control and QPACK."""
OURS = (CancelledBy.LOCAL, CancelledBy.TIMEOUT, CancelledBy.GOAWAY)
"""Cancellations that the client brings about."""
PICK = st.integers(0, 1_000)
"""Which one of those that there are."""


def request(path: bytes) -> RequestHead:
    return RequestHead(b"GET", b"https", b"a.test", path, [(b"x-shared", b"the same in every request")], None)


@dataclass
class Seen:
    """What the client's application saw of one push."""

    promises: int = 0
    statuses: list[int] = field(default_factory=list)
    body: bytes = b""
    complete: bool = False
    cancelled: CancelledBy | None = None

    @property
    def over(self) -> bool:
        return self.complete or self.cancelled is not None


class PushMachine(RuleBasedStateMachine):
    """See above."""

    @initialize(
        window=st.integers(1, 4),
        streams=st.sampled_from([0, 1, 3, 20]),
        release=st.booleans(),
        remembered=st.sampled_from([1, 3, 256]),
        chunk=st.sampled_from([None, 1, 7]),
        reset_drops=st.booleans(),
        stream_window=st.sampled_from([64, 262_144]),
    )
    def begin(self, window, streams, release, remembered, chunk, reset_drops, stream_window):
        """A pair with limits of all sizes."""
        self.window, self.release = window, release
        client_end = EndSettings(max_unidirectional_streams=CRITICAL + streams, stream_window=stream_window)
        self.pair = MemoryPair(
            MemorySettings(client=client_end, sends=SendSettings(chunk=chunk, reset_drops_in_flight=reset_drops))
        )
        self.client = H3ClientConnection(
            self.pair.client,
            H3Config(max_concurrent_pushes=window, release_pushes=not release, remembered_pushes=remembered),
        )
        self.server = H3ServerConnection(self.pair.server, H3Config(remembered_pushes=remembered))
        self.requests: list[int] = []
        self.paths: dict[int, bytes] = {}
        self.sent: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.opened: dict[int, int] = {}
        self.seen: dict[int, Seen] = {}
        self.refused: dict[int, PushRefusal] = {}
        self.server_told: dict[int, CancelledBy] = {}
        self.released: set[int] = set()
        self.client_cancelled: set[int] = set()
        self.server_cancelled: set[int] = set()
        self.held: list[int] = []
        self.limit_seen: int | None = None
        self.granted: int = -1
        self.client_gone: int | None = None
        self.server_gone = False
        self.goaway_arrived = False
        self.pair.join(self.client, self.server, on_client_event=self.on_client, on_server_event=self.on_server)
        self.client_requests()
        self.client_requests()
        self.pair.run()

    # What the applications hear

    def on_client(self, event: Event) -> None:
        assert not isinstance(event, MessageFailed), event
        push_id = getattr(event, "push_id", None)
        if push_id is None:
            return
        if isinstance(event, PushPromiseReceived):
            seen = self.seen.setdefault(push_id, Seen())
            assert event.repeated == (seen.promises > 0)
            assert not seen.over, "a promise for a push that is over is not told"
            assert push_id not in self.refused, "a promise for a push that is refused is not told"
            assert event.request.path == self.paths[push_id], "a push ID stands for one request"
            seen.promises += 1
            return
        if isinstance(event, PushRefused):
            assert push_id not in self.seen, "a push that was promised to the application ends, it is not refused"
            assert push_id not in self.refused, "told twice"
            self.refused[push_id] = event.reason
            return
        assert push_id in self.seen, f"{event} before its promise"
        seen = self.seen[push_id]
        assert not seen.over, f"{event} after the end"
        if isinstance(event, PushCancelled):
            seen.cancelled = event.by
        elif isinstance(event, InformationalResponseReceived | ResponseReceived):
            assert not seen.statuses or seen.statuses[-1] < 200
            seen.statuses.append(event.response.status)
            seen.complete = isinstance(event, ResponseReceived) and event.end_stream
        else:
            assert isinstance(event, DataReceived | TrailersReceived)
            assert seen.statuses[-1] == 200
            seen.body += event.data if isinstance(event, DataReceived) else b""
            seen.complete = isinstance(event, TrailersReceived) or event.end_stream
        assert self.sent.get(push_id, b"").startswith(seen.body)
        if seen.complete:
            assert push_id in self.ended
            assert seen.body == self.sent[push_id]

    def on_server(self, event: Event) -> None:
        if isinstance(event, PushCancelled):
            assert event.push_id not in self.server_told, "told twice"
            assert event.push_id not in self.server_cancelled, "our own doing is not told"
            self.server_told[event.push_id] = event.by
        elif isinstance(event, MaxPushIdReceived):
            assert self.limit_seen is None or event.push_id > self.limit_seen
            self.limit_seen = event.push_id
        elif isinstance(event, GoawayReceived):
            self.goaway_arrived = True

    # Helpers

    def pick(self, ids, number: int) -> int | None:
        known = sorted(ids)
        return known[number % len(known)] if known else None

    def state_on_server(self, push_id: int) -> ServerPushState | None:
        push = self.server._pushes._by_id.get(push_id)
        return push.state if push is not None else None

    def live(self, *states: ServerPushState) -> list[int]:
        return [push.push_id for push in self.server._pushes.under_way() if push.state in states]

    def open_requests(self) -> list[int]:
        return [stream_id for stream_id in self.requests if stream_id in self.server._senders]

    # The client's application

    @precondition(lambda self: len(self.requests) < 20 and not self.server_gone)
    @rule()
    def client_requests(self):
        """GET a page."""
        self.requests.append(self.client.send_request(request(b"/page")))

    def has_pushes(self) -> bool:
        return bool(self.paths)

    def has_heard(self) -> bool:
        return bool(self.seen)

    @precondition(has_heard)
    @rule(number=PICK)
    def client_cancels_push(self, number):
        """Call off a push that was told, whatever became of it."""
        push_id = self.pick(self.seen, number)
        if push_id is not None:
            if not self.seen[push_id].over:
                self.client_cancelled.add(push_id)
            self.client.cancel_push(push_id)

    @precondition(has_pushes)
    @rule(number=PICK)
    def client_cancels_request(self, number):
        """The page is not wanted; promises on their way are lost."""
        stream_id = self.pick(self.requests, number)
        if stream_id is not None:
            self.client.cancel_request(stream_id)

    @precondition(has_heard)
    @rule(number=PICK)
    def client_releases(self, number):
        """The application is done with a push."""
        push_id = self.pick(self.seen, number)
        if push_id is not None:
            self.client.release_push(push_id)
            self.released.add(push_id)

    @precondition(has_heard)
    @rule(number=PICK, urgency=st.integers(0, 7))
    def client_prioritises(self, number, urgency):
        """Re-prioritise a push under way."""
        push_id = self.pick((one for one, seen in self.seen.items() if not seen.over), number)
        if push_id is not None and self.client._pushes.find(push_id) is not None:
            self.client.send_priority_update(Priority(urgency), push_id=push_id)

    @precondition(lambda self: len(self.paths) > 2)
    @rule(chance=st.integers(0, 9), back=st.integers(0, 3))
    def client_goes(self, chance, back):
        """GOAWAY, rarely: what was not seen, and sometimes some of what was."""
        if chance == 0:
            identifier = max(0, self.client._pushes.next_unseen - back)
            if self.client_gone is not None:
                identifier = min(identifier, self.client_gone)
            self.client.send_goaway(identifier)
            self.client_gone = identifier

    # The server's application

    @rule(number=PICK, steps=st.sampled_from([0, 0, 1, 2, 3]), arrive=st.booleans())
    def server_pushes(self, number, steps, arrive):
        """Promise something new on an open response, and go some steps further with it."""
        if not self.open_requests() and not self.server_gone and not self.client.is_shutting_down:
            self.client_requests()
            self.pair.run()
        stream_id = self.pick(self.open_requests(), number)
        push_id = self.promise(stream_id) if stream_id is not None else None
        if push_id is not None and steps:
            self.open(push_id)
            for what in ("response", "everything")[: steps - 1]:
                self.answer(push_id, what)
        if arrive:
            self.pair.run()

    def promise(self, stream_id: int) -> int | None:
        push_id = self.server._pushes.next_push_id
        path = b"/%d" % push_id
        allowed = self.server.push_allowance()
        assert allowed >= 0
        try:
            assert self.server.send_push_promise(stream_id, request(path)) == push_id
        except (NoPushCredit, NoStreamCredit) as refusal:
            assert allowed == 0
            if isinstance(refusal, NoPushCredit):
                assert self.goaway_arrived or self.server.max_push_id is None or push_id > self.server.max_push_id
            return None
        assert allowed > 0
        assert not self.goaway_arrived
        assert push_id not in self.paths, "used twice"
        self.paths[push_id] = path
        return push_id

    @precondition(has_pushes)
    @rule(number=PICK, which=PICK)
    def server_repeats(self, number, which):
        """Promise something again."""
        stream_id = self.pick(self.open_requests(), number)
        push_id = self.pick(self.paths, which)
        if stream_id is None or push_id is None:
            return
        state = self.state_on_server(push_id)
        try:
            self.server.send_push_promise(stream_id, request(self.paths[push_id]), push_id=push_id)
        except StreamStateError:
            assert state in (ServerPushState.CANCELLED, None)
        else:
            assert state not in (ServerPushState.CANCELLED, None)

    @precondition(lambda self: self.live(ServerPushState.PROMISED))
    @rule(number=PICK)
    def server_opens(self, number):
        """Open a push stream: what was promised can be opened."""
        push_id = self.pick(self.live(ServerPushState.PROMISED), number)
        assert push_id is not None
        self.open(push_id)

    @precondition(lambda self: self.live(ServerPushState.PROMISED))
    @rule(number=PICK)
    def server_answers_whole(self, number):
        """Open a push stream and send the whole response with it."""
        push_id = self.pick(self.live(ServerPushState.PROMISED), number)
        assert push_id is not None
        assert push_id not in self.opened
        data = self.sent[push_id] = b"%d-whole " % push_id
        self.opened[push_id] = self.server.send_whole_push(push_id, 200, [(b"x-push", b"%d" % push_id)], data)
        self.ended.add(push_id)

    def open(self, push_id: int) -> None:
        assert push_id not in self.opened
        self.opened[push_id] = self.server.open_push_stream(push_id)
        self.sent[push_id] = b""

    @precondition(lambda self: self.live(ServerPushState.OPEN))
    @rule(number=PICK, what=st.sampled_from(["interim", "response", "data", "end", "trailers", "everything", "whole"]))
    def server_answers(self, number, what):
        """Go on with a pushed response."""
        push_id = self.pick(self.live(ServerPushState.OPEN), number)
        assert push_id is not None
        self.answer(push_id, what)

    def answer(self, push_id: int, what: str) -> None:
        stream_id, core = self.opened[push_id], self.server
        data = b"%d-content " % push_id
        begun = core._senders[stream_id].state.name != "START"
        if what == "whole" and not begun:
            self.sent[push_id] = data
            self.ended.add(push_id)
            core.send_whole_response(stream_id, 200, [(b"x-push", b"%d" % push_id)], data)
            return
        if what == "interim" and not begun:
            core.send_informational_response(stream_id, 103, [(b"link", b"</a>")])
        elif not begun:
            core.send_response(stream_id, 200, [(b"x-push", b"%d" % push_id)])
        if what in ("data", "everything"):
            self.sent[push_id] += data
            core.send_data(stream_id, data)
        if what in ("end", "everything"):
            self.ended.add(push_id)
            core.send_data(stream_id, b"", True)
        if what == "trailers":
            self.ended.add(push_id)
            core.send_trailers(stream_id, [(b"x-sum", b"1")])

    @precondition(has_pushes)
    @rule(number=PICK, by_reset=st.booleans())
    def server_cancels(self, number, by_reset):
        """Call off anything that was promised, or reset its stream."""
        push_id = self.pick(self.paths, number)
        if push_id is None:
            return
        if push_id in (push.push_id for push in self.server._pushes.under_way()) and push_id not in self.server_told:
            self.server_cancelled.add(push_id)
        if by_reset and self.opened.get(push_id) in self.server._senders:
            self.server.reset_stream(self.opened[push_id], ErrorCode.H3_INTERNAL_ERROR)
        else:
            self.server.cancel_push(push_id)

    @precondition(has_pushes)
    @rule(number=PICK, reset=st.booleans())
    def server_finishes(self, number, reset):
        """End a page, or give it up; its pushes live on."""
        stream_id = self.pick(self.open_requests(), number)
        if stream_id is None:
            return
        if reset:
            self.server.reset_stream(stream_id, ErrorCode.H3_INTERNAL_ERROR)
        else:
            self.server.send_response(stream_id, 200, [])
            self.server.send_data(stream_id, b"page", True)

    @precondition(lambda self: len(self.requests) > 2)
    @rule(chance=st.integers(0, 9))
    def server_goes(self, chance):
        """GOAWAY, rarely."""
        if chance == 0:
            self.server.send_goaway()
            self.server_gone = True

    # The network and the clock

    @rule()
    def deliver(self):
        """Everything on its way arrives."""
        self.pair.run()

    @rule(seconds=st.sampled_from([0.5, 10.5, 61.0]))
    def wait(self, seconds):
        """Time passes, for what waits on either half of a push too."""
        self.pair.advance(seconds)

    @rule(number=PICK)
    def hold(self, number):
        """A stream of the server falls behind the others: a response, a push, even its control stream."""
        stream_id = self.pick({3, *self.requests, *self.opened.values()} - set(self.held), number)
        if stream_id is not None and len(self.held) < 4:
            self.held.append(stream_id)
            self.pair.client.hold(stream_id)

    @precondition(lambda self: self.held)
    @rule(number=PICK)
    def let_go(self, number):
        """One of them catches up."""
        self.pair.client.release(self.held.pop(number % len(self.held)))

    @rule(more=st.integers(1, 3))
    def allow_streams(self, more):
        """The client allows further push streams."""
        self.pair.client.allow_streams(True, self.pair.client._granted[True] + more)

    # What always holds

    @invariant()
    def nobody_closed(self):
        """Two correct ends never have to close."""
        if hasattr(self, "pair"):
            assert not self.client.is_closed, self.pair.client.events[-1]
            assert not self.server.is_closed, self.pair.server.events[-1]

    @invariant()
    def limits_hold(self):
        """No push ID above the limit; the limit rises only; never more than the window is granted and unfinished."""
        if not hasattr(self, "pair"):
            return
        limit = self.client.max_push_id
        assert limit is not None
        assert limit >= self.granted
        self.granted = limit
        assert self.client.pushes_granted_and_unfinished <= self.window
        assert self.client.pushes_under_way <= self.window
        assert self.server.pushes_under_way >= 0
        assert (self.server.max_push_id or 0) <= limit
        assert all(push_id <= (self.server.max_push_id or 0) for push_id in self.paths)
        assert sorted(self.paths) == list(range(len(self.paths)))

    @invariant()
    def nothing_waits_without_a_clock(self):
        """What waits for its other half on the client has a deadline."""
        if not hasattr(self, "pair"):
            return
        pushes = self.client._pushes
        for push_id, push in pushes._live.items():
            assert (push_id in pushes._orphans) == (push.state is ClientPushState.ORPHAN)
            assert (push_id in pushes._unfulfilled) == (push.state is ClientPushState.PROMISED)
            assert len(push.held) <= 300
        assert len(pushes._orphans) + len(pushes._unfulfilled) <= len(pushes)
        assert self.server._pushes.unopened == len(self.live(ServerPushState.PROMISED))

    # The end

    def teardown(self):
        """Let everything come to rest, then compare."""
        if not hasattr(self, "pair"):
            return
        for stream_id in self.held:
            self.pair.client.release(stream_id)
        self.held.clear()
        self.pair.run()
        for push_id in self.live(ServerPushState.PROMISED, ServerPushState.OPEN):
            if push_id % 2 and push_id in self.opened:
                self.finish(push_id)
            else:
                self.server_cancelled.add(push_id)
                self.server.cancel_push(push_id)
        for stream_id in self.open_requests():
            self.server.send_response(stream_id, 200, [], True)
        self.pair.run()
        self.pair.advance(100)
        self.pair.run()
        for event in self.client.handle_timeout(self.pair.now):  # what our own cancellations left to tell
            self.on_client(event)
        for push_id in self.seen:
            self.client.release_push(push_id)
        self.pair.run()
        self.nobody_closed()
        self.limits_hold()
        self.both_agree()
        self.nothing_is_left()

    def finish(self, push_id: int) -> None:
        stream_id = self.opened[push_id]
        if self.server._senders[stream_id].state.name == "START":
            self.server.send_response(stream_id, 200, [])
        self.ended.add(push_id)
        self.server.send_data(stream_id, b"", True)

    def both_agree(self) -> None:
        """A push that one side has fulfilled is whole on the other, unless the other called it off meanwhile."""
        for push_id in self.paths:
            seen = self.seen.get(push_id)
            assert seen is None or seen.over, f"push {push_id} never ended for the application"
            if seen is not None and seen.complete:
                assert push_id in self.ended
            called_off = push_id in self.server_cancelled or push_id in self.server_told
            if not called_off:
                # The server thinks that it delivered: the client has it, or refused it before it heard of it.
                assert push_id in self.ended
                assert seen is None or seen.complete or seen.cancelled in OURS
            if seen is not None and seen.cancelled is CancelledBy.PEER:
                assert push_id in self.server_cancelled or self.server_told.get(push_id) is CancelledBy.GOAWAY
            if self.server_told.get(push_id) is CancelledBy.PEER and seen is not None:
                assert seen.cancelled is not None
        assert set(self.seen) <= set(self.paths)

    def nothing_is_left(self) -> None:
        """Every map is empty, and every push ID that was used has given its credit back."""
        client, server = self.client._pushes, self.server._pushes
        assert len(client) == len(server) == server.unopened == 0
        assert not client._orphans
        assert not client._unfulfilled
        assert not client._unreleased
        assert not server._by_stream
        assert not self.server._pushing.priorities
        assert self.client.next_timeout() is None
        for core in (self.client, self.server):
            assert len(core._unidirectional) == CRITICAL
            assert core.open_message_streams == 0
            assert not core._pauses
        if self.client_gone is None:
            assert client._finished.count == client._released == len(self.paths), "credit leaked"
            assert len(client._finished) <= 1
            assert self.client.max_push_id == len(self.paths) + self.window - 1
            assert self.server.max_push_id == self.client.max_push_id
        counters = self.server.push_counters
        assert counters.promised == len(self.paths)
        assert (
            counters.fulfilled + counters.cancelled + counters.cancelled_by_peer + counters.failed == counters.promised
        )
        assert self.client.push_counters.promised == len(self.seen)
        mine = self.client.push_counters
        assert mine.fulfilled + mine.cancelled + mine.cancelled_by_peer + mine.failed == mine.promised
        assert mine.refused.total() == len(self.refused)
        assert mine.fulfilled == sum(seen.complete for seen in self.seen.values())


PushMachine.TestCase.settings = settings(
    derandomize=True,
    max_examples=200,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

TestPushMachine = pytest.mark.rfc(
    "H3-7.2.5-02", "H3-7.2.7-15", "H3-7.2.7-16", "H3-7.2.3-12", "H3-4.6-02", "H3-4.6-04", "H3-6.2.2-07", "ROB-36"
)(PushMachine.TestCase)


def play(seed: int, steps: int) -> PushMachine:
    """The same machine, driven by weighted dice: longer and fuller games than Hypothesis plays, without shrinking."""
    dice, machine = random.Random(seed), PushMachine()
    machine.begin(
        dice.randint(1, 4),
        dice.choice([0, 1, 3, 20]),
        dice.random() < 0.5,
        dice.choice([1, 3, 256]),
        dice.choice([None, 1, 7]),
        dice.random() < 0.5,
        dice.choice([64, 262_144]),
    )
    number = lambda: dice.randrange(1_000)  # noqa: E731
    whats = ["interim", "response", "data", "end", "trailers", "everything", "whole"]
    actions = {
        lambda: machine.server_pushes(number(), dice.choice([0, 0, 1, 2, 3]), dice.random() < 0.5): 10,
        lambda: machine.server_repeats(number(), number()): 4,
        lambda: machine.live(ServerPushState.PROMISED) and machine.server_opens(number()): 6,
        lambda: machine.live(ServerPushState.OPEN) and machine.server_answers(number(), dice.choice(whats)): 12,
        lambda: machine.server_cancels(number(), dice.random() < 0.5): 2,
        lambda: machine.server_finishes(number(), dice.random() < 0.3): 2,
        lambda: machine.client_cancels_push(number()): 2,
        lambda: machine.client_cancels_request(number()): 1,
        lambda: machine.client_releases(number()): 6,
        lambda: machine.client_prioritises(number(), dice.randrange(8)): 1,
        lambda: machine.deliver(): 6,
        lambda: machine.wait(dice.choice([0.5, 0.5, 10.5, 61.0])): 1,
        lambda: machine.hold(number()): 3,
        lambda: machine.held and machine.let_go(number()): 4,
        lambda: machine.allow_streams(dice.randint(1, 3)): 4,
        lambda: (
            seed % 3 == 0 and len(machine.paths) > 8 and machine.client_goes(dice.randrange(3), dice.randrange(4))
        ): 1,
        lambda: seed % 4 == 0 and len(machine.paths) > 8 and machine.server_goes(dice.randrange(3)): 1,
    }
    for _ in range(steps):
        dice.choices(list(actions), list(actions.values()))[0]()
        machine.nobody_closed()
        machine.limits_hold()
        machine.nothing_waits_without_a_clock()
    machine.teardown()
    return machine


@pytest.mark.rfc(
    "H3-7.2.5-02", "H3-7.2.7-15", "H3-7.2.7-16", "H3-7.2.3-12", "H3-4.6-02", "H3-4.6-04", "H3-6.2.2-07", "ROB-36"
)
@pytest.mark.parametrize("seed", range(40))
def test_a_long_game(seed):
    """The same with weighted dice: some thirty pushes a game."""
    play(seed, 300)
