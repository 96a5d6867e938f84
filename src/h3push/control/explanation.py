"""Decisions in words: what a person reads who asks why something is pushed or not."""

from h3push.control.decision import MIN_TRIALS, Judgement, Verdict


def reason(judged: Judgement) -> str:
    """Why a candidate is in, or out."""
    seen = f"used in {judged.uses:,.0f} of {judged.trials:,.0f} views, so in {judged.bound:.0%} at least"
    gain = f"a push saves {judged.saved_ms:.0f} ms over a hint"
    match judged.verdict:
        case Verdict.PUSH:
            return f"{seen}; {gain}, and pays from {judged.break_even:.0%} on"
        case Verdict.TOO_FEW:
            return f"{judged.trials:,.0f} views tell of it, and {MIN_TRIALS} are needed"
        case Verdict.SAVES_NOTHING:
            return f"{seen}; but a hint brings it as early: the link is busy until then"
        case Verdict.TOO_UNLIKELY:
            return f"{seen}; {gain}, but pays only from {judged.break_even:.0%} on"
        case Verdict.NO_ROOM:
            return f"{seen}; but what is pushed before it fills the idle time"
        case Verdict.DEMOTED:
            return f"{seen}; but pushes with this page were measured, and save nothing over hints"
        case Verdict.UNCLAIMED:
            return f"{seen}; but this client has not claimed what it was pushed before"
