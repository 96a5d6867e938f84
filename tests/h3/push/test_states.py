"""Both push tables walked whole: every pair of state and input, what can be reached, and what the two modules make of it."""

from itertools import product

import pytest

from h3push.errors import ErrorCode, H3ConnectionError, LocalProtocolError, StreamStateError
from h3push.h3.config import H3Config
from h3push.h3.known import known_promise
from h3push.h3.push.client_book import ClientPush, ClientPushBook
from h3push.h3.push.server_book import ServerPush, ServerPushBook
from h3push.h3.push.states import (
    CLIENT_ENDS,
    CLIENT_PUSH,
    SERVER_PUSH,
    ClientPushAction,
    ClientPushInput,
    ClientPushState,
    ServerPushAction,
    ServerPushInput,
    ServerPushState,
)
from h3push.http.fields import RequestHead

WINDOW_OF_FOUR = H3Config(max_concurrent_pushes=4)
REQUEST = RequestHead(b"GET", b"https", b"a.test", b"/", [], None)
SERVER_PAIRS = list(product(ServerPushState, ServerPushInput))
CLIENT_PAIRS = list(product(ClientPushState, ClientPushInput))

SERVER_ENDS = {ServerPushState.FULFILLED, ServerPushState.CANCELLED}

LOCAL_CLIENT_INPUTS = {
    ClientPushInput.REFUSE,
    ClientPushInput.CANCEL,
    ClientPushInput.FAIL,
    ClientPushInput.EXPIRE,
}
"""What a client does itself; the rest is the server's doing."""


def name(pair):
    return f"{pair[0].name}-{pair[1].name}"


def server_in(state: ServerPushState) -> ServerPushBook:
    """A server's pushes, with push 0 in that state (or nothing promised)."""
    pushes = ServerPushBook(H3Config())
    pushes.max_push_id = 9
    if state is ServerPushState.UNPROMISED:
        return pushes
    push = pushes.promise(known_promise(REQUEST))
    path = {
        ServerPushState.PROMISED: [],
        ServerPushState.OPEN: [ServerPushInput.OPEN_STREAM],
        ServerPushState.SENT: [ServerPushInput.OPEN_STREAM, ServerPushInput.END],
        ServerPushState.FULFILLED: [ServerPushInput.OPEN_STREAM, ServerPushInput.END, ServerPushInput.ACKNOWLEDGED],
        ServerPushState.CANCELLED: [ServerPushInput.CANCEL],
    }[state]
    for happened in path:
        pushes.apply(0, happened)
        if happened is ServerPushInput.OPEN_STREAM:
            pushes.opened(push, 15)
    assert push.state is state
    return pushes


UP_TO_OPEN = [ClientPushInput.RECEIVE_PROMISE, ClientPushInput.RECEIVE_STREAM]
STREAM_SEEN = {ClientPushState.FULFILLED, ClientPushState.STOPPED, ClientPushState.FAILED}
"""Ends in which the one push stream has been there."""


def client_in(state: ClientPushState, config: H3Config = WINDOW_OF_FOUR) -> ClientPushBook:
    """A client's pushes, with push 0 in that state."""
    pushes = ClientPushBook(config)
    pushes.grant()
    path = {
        ClientPushState.UNKNOWN: [],
        ClientPushState.PROMISED: [ClientPushInput.RECEIVE_PROMISE],
        ClientPushState.ORPHAN: [ClientPushInput.RECEIVE_STREAM],
        ClientPushState.OPEN: UP_TO_OPEN,
        ClientPushState.CANCELLED: [ClientPushInput.RECEIVE_CANCEL_PUSH],
        ClientPushState.FULFILLED: [*UP_TO_OPEN, ClientPushInput.RECEIVE_END],
        ClientPushState.STOPPED: [*UP_TO_OPEN, ClientPushInput.CANCEL],
        ClientPushState.FAILED: [*UP_TO_OPEN, ClientPushInput.RECEIVE_RESET],
        ClientPushState.EXPIRED: [ClientPushInput.RECEIVE_PROMISE, ClientPushInput.EXPIRE],
    }[state]
    for happened in path:
        pushes.apply(0, happened, 0.0)
    assert pushes.state(0) is state
    return pushes


# The server's table


@pytest.mark.parametrize("pair", SERVER_PAIRS, ids=name)
def test_every_pair_on_a_server_is_a_row_or_an_error_of_our_caller(pair):
    """What is in the table happens; what is not raises `StreamStateError` and changes nothing."""
    state, happened = pair
    pushes = server_in(state)
    if state is ServerPushState.UNPROMISED:
        # The first promise is `promise`; nothing else can name a push ID that was not promised.
        assert (pair in SERVER_PUSH) == (happened is ServerPushInput.PROMISE)
        with pytest.raises(StreamStateError, match="not promised"):
            pushes.apply(0, happened)
        return
    push = pushes.get(0)
    row = SERVER_PUSH.get(pair)
    if row is None:
        before = (push.state, pushes.unopened, len(pushes), repr(pushes.counters))
        with pytest.raises(StreamStateError):
            pushes.apply(0, happened)
        assert (push.state, pushes.unopened, len(pushes), repr(pushes.counters)) == before
    else:
        assert pushes.apply(0, happened) is row[1]
        assert push.state is row[0]
    assert (push.state in SERVER_ENDS) == (len(pushes) == 0)
    assert pushes.unopened == (push.state is ServerPushState.PROMISED)
    if push.state in SERVER_ENDS:
        assert pushes.push_of(15) is None
        assert pushes.counters.fulfilled + pushes.counters.cancelled + pushes.counters.cancelled_by_peer == 1


@pytest.mark.parametrize("state", ServerPushState, ids=lambda state: state.name)
def test_whatever_the_client_does_has_a_row(state):
    """The client's doing is never an error of our own caller: once a push is promised, every received input has a row.

    STOP_SENDING needs a stream, so PROMISED has no row for it; nor UNPROMISED for anything (H3_ID_ERROR, asked before).
    """
    received = {
        ServerPushInput.RECEIVE_CANCEL_PUSH,
        ServerPushInput.RECEIVE_STOP_SENDING,
        ServerPushInput.RECEIVE_GOAWAY,
    }
    missing = {happened for happened in received if (state, happened) not in SERVER_PUSH}
    expected = {
        ServerPushState.UNPROMISED: received,
        ServerPushState.PROMISED: {ServerPushInput.RECEIVE_STOP_SENDING},
    }
    assert missing == expected.get(state, set())


@pytest.mark.parametrize("state", ServerPushState, ids=lambda state: state.name)
def test_cancel_from_the_client_is_an_id_error_before_the_promise(state):
    """RFC 9114 section 7.2.3: CANCEL_PUSH for what was not promised is H3_ID_ERROR, afterwards never an error."""
    pushes = server_in(state)
    if state is ServerPushState.UNPROMISED:
        with pytest.raises(H3ConnectionError) as caught:
            pushes.receive_cancel_push(0)
        assert caught.value.error_code == ErrorCode.H3_ID_ERROR
    else:
        pushes.receive_cancel_push(0)
        assert pushes.get(0).state in SERVER_ENDS


def test_every_state_of_a_server_can_be_reached_and_left_for_an_end():
    """No state is unreachable, no state is a trap."""
    assert reachable(SERVER_PUSH, ServerPushState.UNPROMISED) == set(ServerPushState)
    for state in ServerPushState:
        assert reachable(SERVER_PUSH, state) & SERVER_ENDS
    for state in SERVER_ENDS:
        assert reachable(SERVER_PUSH, state) == {state}


def test_every_input_and_action_of_a_server_is_used():
    """Nothing in the vocabulary is dead."""
    assert {happened for _, happened in SERVER_PUSH} == set(ServerPushInput)
    assert {flag for _, action in SERVER_PUSH.values() for flag in action} == set(ServerPushAction)


@pytest.mark.parametrize(("pair", "row"), SERVER_PUSH.items(), ids=map(name, SERVER_PUSH))
def test_what_a_server_does_fits_the_states(pair, row):
    """A cancellation is told to whoever does not know of it, once; only an open stream is reset."""
    (state, happened), (after, action) = pair, row
    if state in SERVER_ENDS:
        assert after is state
        assert action in (ServerPushAction.NOTHING, ServerPushAction.PROMISE)
    if after is ServerPushState.CANCELLED and state not in SERVER_ENDS:
        ours = happened is ServerPushInput.CANCEL
        assert (action.name.endswith("TELL")) == (not ours), "the application knows what it did itself"
        client_knows = happened in (ServerPushInput.RECEIVE_CANCEL_PUSH, ServerPushInput.RECEIVE_STOP_SENDING)
        has_stream = state in (ServerPushState.OPEN, ServerPushState.SENT)
        if client_knows:
            assert "CANCEL_PUSH" not in action.name
        elif not has_stream:
            assert "CANCEL_PUSH" in action.name, "nothing else tells the client"
        stopped = happened is ServerPushInput.RECEIVE_STOP_SENDING
        assert ("RESET" in action.name) == (has_stream and not stopped)


# The client's table


@pytest.mark.parametrize("release", [True, False])
@pytest.mark.parametrize("pair", CLIENT_PAIRS, ids=name)
def test_every_pair_on_a_client_is_a_row_or_an_error_of_the_right_kind(pair, release):
    """What is in the table happens; what is not is H3_ID_ERROR for the server's doing, a local error for our own."""
    state, happened = pair
    pushes = client_in(state, H3Config(max_concurrent_pushes=4, release_pushes=release))
    released = pushes._released
    row = CLIENT_PUSH.get(pair)
    if row is None and happened in LOCAL_CLIENT_INPUTS:
        with pytest.raises(LocalProtocolError):
            pushes.apply(0, happened, 1.0)
    elif row is None:
        with pytest.raises(H3ConnectionError) as caught:
            pushes.apply(0, happened, 1.0)
        assert caught.value.error_code == ErrorCode.H3_ID_ERROR
    else:
        action, push = pushes.apply(0, happened, 1.0)
        assert action is row[1]
        assert push.state is row[0] is pushes.state(0)
    after = pushes.state(0)
    if row is None:
        assert after is state
    ended_now = after in CLIENT_ENDS and state not in CLIENT_ENDS
    assert pushes._released == released + ended_now, "each push gives its credit back once"
    assert len(pushes) == (after not in CLIENT_ENDS and after is not ClientPushState.UNKNOWN)
    assert (0 in pushes._orphans) == (after is ClientPushState.ORPHAN)
    assert (0 in pushes._unfulfilled) == (after is ClientPushState.PROMISED)


IMPOSSIBLE_ON_A_CLIENT = {
    # (state, input): why it cannot come about, though the server causes it
    (ClientPushState.ORPHAN, ClientPushInput.RECEIVE_END): "held with its data",
    **{
        (state, happened): "no stream, or it is over"
        for state in (ClientPushState.UNKNOWN, ClientPushState.PROMISED, *CLIENT_ENDS)
        for happened in (ClientPushInput.RECEIVE_END, ClientPushInput.RECEIVE_RESET)
    },
}


def test_what_a_server_may_not_do_is_a_second_stream_alone():
    """Of what a server can do to a push ID within the limit, only a second push stream has no row (section 6.2.2)."""
    received = [happened for happened in ClientPushInput if happened not in LOCAL_CLIENT_INPUTS]
    missing = {pair for pair in product(ClientPushState, received) if pair not in CLIENT_PUSH}
    second_stream = {
        (state, ClientPushInput.RECEIVE_STREAM)
        for state in (ClientPushState.ORPHAN, ClientPushState.OPEN, *STREAM_SEEN)
    }
    assert missing == second_stream | IMPOSSIBLE_ON_A_CLIENT.keys()


def test_a_promise_can_be_refused_in_every_state():
    """Our own check of a promise never runs into a missing row."""
    assert all((state, ClientPushInput.REFUSE) in CLIENT_PUSH for state in ClientPushState)


def test_every_state_of_a_client_can_be_reached_and_left_for_an_end():
    """No state is unreachable, no state is a trap; what ended stays ended."""
    assert reachable(CLIENT_PUSH, ClientPushState.UNKNOWN) == set(ClientPushState)
    for state in ClientPushState:
        assert reachable(CLIENT_PUSH, state) & CLIENT_ENDS
    for state in CLIENT_ENDS:
        assert reachable(CLIENT_PUSH, state) <= CLIENT_ENDS


def test_every_input_and_action_of_a_client_is_used():
    """Nothing in the vocabulary is dead."""
    assert {happened for _, happened in CLIENT_PUSH} == set(ClientPushInput)
    assert {flag for _, action in CLIENT_PUSH.values() for flag in action} == set(ClientPushAction)


@pytest.mark.parametrize(("pair", "row"), CLIENT_PUSH.items(), ids=map(name, CLIENT_PUSH))
def test_what_a_client_does_fits_the_states(pair, row):
    """CANCEL_PUSH before the stream, STOP_SENDING after it; waiting states are bounded by a clock."""
    (state, happened), (after, action) = pair, row
    has_stream = state in (ClientPushState.ORPHAN, ClientPushState.OPEN) or happened is ClientPushInput.RECEIVE_STREAM
    if action.name.startswith("STOP"):
        assert has_stream
        assert after in STREAM_SEEN
    if "CANCEL_PUSH" in action.name:
        assert not has_stream, "RFC 9114 section 7.2.3: once the stream is there, STOP_SENDING"
        assert after in CLIENT_ENDS - STREAM_SEEN
    if after in CLIENT_ENDS and state is ClientPushState.PROMISED:
        assert action.name.endswith("TELL"), "the application waits for it"
    if state in CLIENT_ENDS and happened is not ClientPushInput.RECEIVE_STREAM:
        assert (after, action) == (state, ClientPushAction.NOTHING)
    if after in (ClientPushState.ORPHAN, ClientPushState.PROMISED):
        assert (after, ClientPushInput.EXPIRE) in CLIENT_PUSH


def test_what_is_kept_of_a_push_is_what_the_tables_need():
    """A fresh record on either side is in the first state of its table."""
    assert ClientPush(0).state is ClientPushState.UNKNOWN
    assert ServerPush(0, known_promise(REQUEST)).state is ServerPushState.UNPROMISED


def reachable(table, start):
    """States that can follow `start`, itself among them."""
    found, todo = {start}, [start]
    while todo:
        state = todo.pop()
        for (source, _), (target, _) in table.items():
            if source is state and target not in found:
                found.add(target)
                todo.append(target)
    return found


def facts(push: ServerPush) -> tuple[object, ...]:
    """All that the book holds of a push."""
    promised = push.push_id, push.promise, push.encoded_id, push.promises
    return *promised, push.state, push.stream_id, push.cancelled_by


@pytest.mark.parametrize("state", ServerPushState)
def test_a_push_sent_whole_takes_the_two_steps_of_the_table(state):
    """What is done in one step for nearly every push is OPEN_STREAM and END, and where the table has no row there is none."""
    stepwise, at_once = server_in(state), server_in(state)
    if (state, ServerPushInput.OPEN_STREAM) not in SERVER_PUSH:
        if state is not ServerPushState.UNPROMISED:
            with pytest.raises(StreamStateError):
                at_once.check_opening(at_once.get(0))
        return
    stepwise.apply(0, ServerPushInput.OPEN_STREAM)
    stepwise.opened(stepwise.get(0), 15)
    stepwise.apply(0, ServerPushInput.END)
    at_once.check_opening(at_once.get(0))
    at_once.sent_whole(at_once.get(0), 15, 0)
    assert facts(at_once.get(0)) == facts(stepwise.get(0))
    assert at_once.unopened == stepwise.unopened == 0
    for book in stepwise, at_once:
        assert book.push_of(15) == 0
        assert book.acknowledged(15) is book.get(0)
        assert book.push_of(15) is None
