"""The physics of a push and the decision made of it."""

import pytest

from h3push.control.decision import Verdict
from h3push.control.kinds import EvidenceClass
from h3push.control.saving import Path, break_even
from h3push.judge.decision import Terms, decide, decide_all, wasted_share
from h3push.judge.evidence import Candidate, Count, Route
from h3push.judge.explanation import explain


def test_small_answers_save_what_the_server_does_not_think() -> None:
    """A set within the window: r - T over a hint (section "What 103 Early Hints save" of the explanation)."""
    path = Path(round_trip=100, rate=1e9, window=100_000, think=30, page=2_000)
    assert path.saved(6_000) == pytest.approx(70, abs=0.1)


def test_thinking_beyond_a_round_trip_leaves_nothing_to_save_for_what_fits() -> None:
    """With T >= r the hinted requests are back before the page is ready."""
    assert Path(round_trip=100, rate=1e9, window=100_000, think=150, page=2_000).saved(6_000) == 0


def test_a_cold_page_above_the_window_saves_nothing() -> None:
    """Slow start carries the page in the round trip that a push would use: the median page of the web."""
    assert Path(round_trip=100, rate=1e9, window=12_000, think=0, page=22_000).saved(5_000) == 0


def test_large_sets_on_a_cold_connection_save_the_thinking() -> None:
    """Slow start begins min(r, T) earlier."""
    assert Path(round_trip=100, rate=1e9, window=12_000, think=60, page=8_000).saved(200_000) == pytest.approx(60)


def test_a_saving_is_never_more_than_a_round_trip_nor_less_than_nothing() -> None:
    for think in (0, 10, 99, 100, 500):
        for size in (0, 1_000, 50_000, 5_000_000):
            assert 0 <= Path(think=think, page=8_000).saved(size) <= 100


@pytest.mark.parametrize(
    ("round_trip", "think", "room"),
    [(50, 200, 15 * 14_600), (100, 50, 12_000), (100, 200, 36_000), (300, 500, 36_000), (600, 1000, 36_000)],
)
def test_room_while_the_server_thinks(round_trip: float, think: float, room: float) -> None:
    """Slow start's sum; the cases that the theory computes by hand."""
    window = 14_600 if room > 100_000 else 12_000
    path = Path(round_trip=round_trip, rate=50_000_000 / 8000, window=window, think=think, page=1e9)
    assert path.idle == pytest.approx(0 if think < round_trip else room)


def test_break_even_is_where_gain_and_price_meet() -> None:
    """There, p saved = (1 - p) (delay + price)."""
    p = break_even(saved=80, size=20_000, delay=4, price=0.2)
    assert p * 80 == pytest.approx((1 - p) * (4 + 4))
    assert break_even(0, 0, 0) == 1


def candidate(path: str, uses: int, trials: int = 100, size: float = 2_000, position: float = 1) -> Candidate:
    count = Count(uses, trials)
    return Candidate(
        path=path,
        total=count,
        by_class={EvidenceClass.NEW: count},
        size=size,
        position=position,
        since_page_ms=100,
    )


def route(*candidates: Candidate, think_ms: float = 30, page_bytes: float = 2_000, name: str = "/") -> Route:
    return Route(
        route=name,
        views=100,
        page_bytes=page_bytes,
        think_ms=think_ms,
        rtt_ms=100,
        window=30_000,
        candidates=candidates,
    )


def test_each_reason_is_given() -> None:
    """Every verdict has a case, and its sentence says the figures."""
    plan = decide(
        route(
            candidate("/often", 99),
            candidate("/few", 4, 4),
            candidate("/seldom", 2, size=5_000),
            candidate("/large", 100, size=60_000),
        ),
        Terms(price=5.0),
    )
    assert [one.verdict for one in plan.judged] == [
        Verdict.PUSH,
        Verdict.TOO_FEW,
        Verdict.TOO_UNLIKELY,
        Verdict.NO_ROOM,
    ]
    slow = decide(route(candidate("/late", 100), think_ms=500))
    assert slow.judged[0].verdict is Verdict.SAVES_NOTHING
    said = explain(plan)
    assert "push   /often: used in 99 of 100 views, so in 95% at least; a push saves" in said
    assert "4 views tell of it, and 5 are needed" in said
    assert "but pays only from" in said
    assert "fills the idle time" in said
    assert "new 99 of 100" in said
    assert "busy" in explain(slow)


def test_the_budget_is_kept_by_the_price_of_waste() -> None:
    """With a budget of 2 % the doubtful go, the certain stay; with all the bytes in the world both are pushed."""
    routes = [route(candidate("/sure", 100), candidate("/perhaps", 50)), route(candidate("/b", 99), name="/b")]
    free, _ = decide_all(routes, Terms(waste=1.0))
    assert sum(len(plan.pushed) for plan in free) == 3
    assert wasted_share(free) > 0.02
    kept, price = decide_all(routes)
    assert [one.candidate.path for plan in kept for one in plan.pushed] == ["/sure", "/b"]
    assert wasted_share(kept) <= 0.02
    assert price > Terms().price
    nothing, _ = decide_all(routes, Terms(waste=0.0))
    assert [one.candidate.path for plan in nothing for one in plan.pushed] in ([], ["/sure"])
