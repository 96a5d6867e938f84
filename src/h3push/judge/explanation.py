"""Decisions in words: what a person reads who asks why something is pushed or not."""

from h3push.judge.decision import MIN_TRIALS, Judged, Plan, Verdict


def reason(judged: Judged) -> str:
    """Why a candidate is in, or out."""
    candidate = judged.candidate
    seen = f"used in {candidate.total.uses:,} of {candidate.total.trials:,} views, so in {judged.bound:.0%} at least"
    gain = f"a push saves {judged.saved_ms:.0f} ms over a hint"
    match judged.verdict:
        case Verdict.PUSH:
            return f"{seen}; {gain}, and pays from {judged.break_even:.0%} on"
        case Verdict.TOO_FEW:
            return f"{candidate.total.trials:,} views tell of it, and {MIN_TRIALS} are needed"
        case Verdict.SAVES_NOTHING:
            return f"{seen}; but a hint brings it as early: the link is busy until then"
        case Verdict.TOO_UNLIKELY:
            return f"{seen}; {gain}, but pays only from {judged.break_even:.0%} on"
        case Verdict.NO_ROOM:
            return f"{seen}; but what is pushed before it fills the idle time"


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
