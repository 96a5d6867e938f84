"""What the project holds its server to, and what a run says to it: ratios of CPU, with those of rates beside."""

from report import Target
from samples import Figures, ratio
from scenarios import (
    AIOQUIC,
    AIOQUIC_DIRECT,
    ASGI,
    ASGI_COMPILED,
    CADDY,
    COMPILED,
    FILES,
    FILES_COMPILED,
    HANDLER,
    HYPERCORN,
    NATIVE,
    NGINX,
    PUSHES,
    QH3,
)

HEADER = ["", "by CPU", "by rate", "target", ""]
BASE = "abdd774"
"""The revision that the interpreted form is held to."""


def compiled_targets(figures: Figures, growth_of_work: float | None) -> list[Target]:
    """Those of the compiled form.

    Args:
        figures: of the run.
        growth_of_work: the dearest operation's instructions over those at `BASE`, interpreted.
    """
    versus = _versus(figures)
    return [
        versus("1 x 50, the same request: native", "requests-1x50", COMPILED, NATIVE, 0.85),
        versus("1 x 50, all distinct: native", "distinct-1x50", COMPILED, NATIVE, 0.65),
        versus("50 x 1: native", "requests-50x1", COMPILED, NATIVE, 1.1),
        versus("ASGI hello: Hypercorn", "hello-asgi", ASGI_COMPILED, HYPERCORN, 35),
        versus("ASGI hello: Caddy", "hello-asgi", ASGI_COMPILED, CADDY, 2),
        versus("static file of 1 KB: Caddy", "static", FILES_COMPILED, CADDY, 4),
        _at_most("a pushed 1 KB response / a requested one", _pushed(figures, COMPILED, "page-1k-pushed"), 1.0),
        _at_most("the same, response at hand", _pushed(figures, COMPILED, "page-1k-at-hand"), 0.7),
        versus(f"a page with {PUSHES} pushes: qh3", "page-1k-pushed", COMPILED, QH3, 4),
        versus(f"a page with {PUSHES} pushes: aioquic", "page-1k-pushed", COMPILED, AIOQUIC_DIRECT, 14),
        versus("bulk: native", "bulk", COMPILED, NATIVE, 1),
        versus("bulk: aioquic", "bulk", COMPILED, AIOQUIC, 40),
        versus("bulk: nginx", "bulk", COMPILED, NGINX, 1.3),
        versus("new connections: native", "connects", COMPILED, NATIVE, 0.9),
        versus("new connections: nginx", "connects", COMPILED, NGINX, 1.3),
        versus("50 x 1: nginx", "requests-50x1", COMPILED, NGINX, 0.7),
        _at_most("KB of memory for an idle connection", figures.rate("idle", COMPILED), 40),
        _at_most("CPU for a request, 1,000 connections / 10", _growth(figures, COMPILED), 1.2),
        _at_most(f"interpreted: instructions / those at {BASE}, the dearest operation", growth_of_work, 1.02),
    ]


def interpreted_targets(figures: Figures) -> list[Target]:
    """Those of the interpreted form, which are older."""
    versus = _versus(figures)
    return [
        versus("1 x 50, the same request: aioquic", "requests-1x50", HANDLER, AIOQUIC, 10),
        versus("1 x 50, all distinct: aioquic", "distinct-1x50", HANDLER, AIOQUIC, 10),
        versus("50 x 1: aioquic", "requests-50x1", HANDLER, AIOQUIC, 10),
        versus("50 x 1: native", "requests-50x1", HANDLER, NATIVE, 0.8),
        versus("1 x 50, the same request: Caddy", "requests-1x50", HANDLER, CADDY, 3),
        versus("ASGI hello: Hypercorn", "hello-asgi", ASGI, HYPERCORN, 8),
        versus("static file of 1 KB: Caddy", "static", FILES, CADDY, 2),
        versus("bulk: aioquic", "bulk", HANDLER, AIOQUIC, 20),
        versus("bulk: native", "bulk", HANDLER, NATIVE, 0.9),
        versus("bulk: nginx", "bulk", HANDLER, NGINX, 1),
        versus("new connections: aioquic", "connects", HANDLER, AIOQUIC, 3),
        _at_most("KB of memory for an idle connection", figures.rate("idle", HANDLER), 40),
        _at_most("CPU for a request, 1,000 connections / 10", _growth(figures, HANDLER), 1.5),
    ]


def _versus(figures: Figures):
    def versus(text: str, scenario: str, ours: str, theirs: str, wanted: float) -> Target:
        by_rate = figures.faster(scenario, ours, theirs)
        return Target(text, figures.cheaper(scenario, ours, theirs), wanted, beside=by_rate)

    return versus


def _at_most(text: str, measured: float | None, wanted: float) -> Target:
    return Target(text, measured, wanted, at_most=True)


def _growth(figures: Figures, server: str) -> float | None:
    return ratio(figures.cost("growth-1000", server), figures.cost("growth-10", server))


def _pushed(figures: Figures, server: str, scenario: str) -> float | None:
    """CPU of one pushed response of 1 KB over that of the same response requested.

    A page with its resources requested is 21 requests; what a page costs more than one request when it is pushed is 20 pushes.
    """
    requested, pushed = figures.cost("page-1k-requested", server), figures.cost(scenario, server)
    if requested is None or pushed is None:
        return None
    one = requested / (PUSHES + 1)
    return (pushed - one) / PUSHES / one


def pushed_costs(figures: Figures, server: str) -> tuple[float | None, float | None]:
    """A pushed response over a requested one: answered by the handler, and at hand."""
    return _pushed(figures, server, "page-1k-pushed"), _pushed(figures, server, "page-1k-at-hand")
