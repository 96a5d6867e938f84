"""100,000 hostile inputs into both roles: an event or one of our own errors, nothing else; bounded memory; no hang."""

import gc
import tracemalloc
from random import Random

import pytest

from h3push.h3.client import H3ClientConnection
from h3push.h3.connection import H3Connection
from h3push.h3.server import H3ServerConnection

from .hostile import Attack, Piece, garbage, held, mutate, play, transcript

INPUTS = 12_500
"""For each role and way: eight times as many in all."""

both_roles = pytest.mark.parametrize("role", [H3ServerConnection, H3ClientConnection], ids=["server", "client"])


def valid(random: Random, is_server: bool) -> list[Piece]:
    return transcript(random, is_server)


def mutated(random: Random, is_server: bool) -> list[Piece]:
    pieces = transcript(random, is_server)
    for _ in range(random.randrange(1, 4)):
        at, other = random.randrange(len(pieces)), random.choice(pieces)
        pieces[at] = pieces[at]._replace(sent=mutate(random, pieces[at].sent, other.sent))
    return pieces


def framed(random: Random, is_server: bool) -> list[Piece]:
    pieces = transcript(random, is_server)
    at = random.randrange(len(pieces))
    return [*pieces[:at], pieces[at]._replace(sent=pieces[at].sent + garbage(random)), *pieces[at:]]


def raw(random: Random, is_server: bool) -> list[Piece]:
    kinds = ("request", "request", "control", "encoder", "decoder", "push", "other")
    pieces = transcript(random, is_server)[:1] if random.random() < 0.7 else []
    for _ in range(random.randrange(1, 4)):
        kind = random.choice(kinds)
        first = {"request": b"", "control": b"\0", "encoder": b"\2", "decoder": b"\3", "push": b"\1"}.get(kind)
        sent = random.randbytes(1) if first is None else first
        pieces.append(Piece(kind, sent + random.randbytes(random.choice((1, 3, 20, 200))), random.random() < 0.5))
    return pieces


@pytest.mark.rfc("ROB-31", "H3-10.5-01")
@both_roles
@pytest.mark.parametrize("way", [valid, mutated, framed, raw], ids=lambda way: way.__name__)
def test_hostile_inputs(role: type[H3Connection], way: object) -> None:
    """Whatever comes, in whatever pieces and order: no foreign exception, no bound passed, one ending at most."""
    is_server = role is H3ServerConnection
    for number in range(INPUTS):
        random = Random(f"{way.__name__}/{number}")  # type: ignore[attr-defined]
        attack = Attack(role)
        try:
            play(attack, random, way(random, is_server))  # type: ignore[operator]
        except Exception as error:
            raise AssertionError(f"input {number} of {way.__name__}: {error!r}") from error  # type: ignore[attr-defined]
        assert attack.terminated == 1


@pytest.mark.rfc("ROB-31")
@both_roles
def test_dead_connections_leave_nothing(role: type[H3Connection]) -> None:
    """Memory after two thousand hostile connections is that after one thousand."""
    is_server = role is H3ServerConnection

    def thousand(seed: int) -> None:
        for number in range(1_000):
            random = Random(f"{seed}/{number}")
            play(Attack(role), random, mutated(random, is_server))
        gc.collect()

    thousand(0)
    tracemalloc.start()
    try:
        thousand(0)
        first, _ = tracemalloc.get_traced_memory()
        thousand(0)
        second, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert second - first < 20_000


@pytest.mark.rfc("ROB-31")
def test_the_inputs_reach_far() -> None:
    """The generator is worth something: requests are answered, pushes promised, and every kind of ending is seen."""
    endings, promised, answers = set(), 0, 0
    for role in (H3ServerConnection, H3ClientConnection):
        for number in range(1_500):
            random = Random(f"{role.__name__}/{number}")
            attack = Attack(role)
            play(attack, random, mutated(random, role is H3ServerConnection))
            endings.add(attack.transport.closed)
            promised += len(attack.promised)
            answers += attack.answers
            assert held(attack.core)["receivers"] == 0
    assert len(endings) >= 10
    assert promised > 100
    assert answers > 300
