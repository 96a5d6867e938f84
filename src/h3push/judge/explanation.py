"""Decisions in words: what a person reads who asks why something is pushed or not."""

from h3push.control.decision import Verdict
from h3push.control.explanation import reason as reason_of
from h3push.judge.decision import Judged, Plan


def reason(judged: Judged) -> str:
    """Why a candidate is in, or out."""
    return reason_of(judged.judgement)


def link(plan: Plan) -> str:
    """The figures that the decisions of a route were calculated with."""
    path, route = plan.path, plan.route
    told = "measured" if path.round_trip == route.rtt_ms else "assumed"
    return (
        f"{route.views:,} views; round trip {path.round_trip:.0f} ms ({told}), {path.rate * 8 / 1000:g} Mbit/s (assumed),"
        f" window {path.window / 1000:.0f} kB, page {path.page / 1000:.1f} kB, thinking {path.think:.0f} ms;"
        f" room for {path.idle / 1000:.1f} kB"
    )


def explain(plan: Plan) -> str:
    """All of a route's decisions, one paragraph for the link and a line for each candidate."""
    lines = [plan.route.route, f"  {link(plan)}"]
    for judged in plan.judged:
        sign = "push" if judged.verdict is Verdict.PUSH else "leave"
        lines.append(f"  {sign:<5}  {judged.candidate.path}: {reason(judged)}")
        by_class = (
            f"{kind.value} {count.uses:,} of {count.trials:,} ({judged.bounds[kind]:.0%})"
            for kind, count in judged.candidate.by_class.items()
        )
        lines.append(f"         {', '.join(by_class)}")
    if not plan.judged:
        lines.append("  nothing was seen that goes with it")
    return "\n".join(lines)
