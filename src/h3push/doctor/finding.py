"""One finding: what was looked at, how it is, and what to type when it is not well."""

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """The severity of a finding."""

    GOOD = "good"
    """Nothing to do."""
    ADVICE = "advice"
    """It works, and could be better."""
    WRONG = "wrong"
    """Somebody is not served."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding."""

    topic: str
    """The subject, in a word or two."""
    level: Level
    """How it is."""
    message: str
    """One sentence."""
    remedy: str | None = None
    """A line to type, or what to change; `None`: nothing."""


def good(topic: str, message: str) -> Finding:
    """Report something that is in order."""
    return Finding(topic, Level.GOOD, message)


def advice(topic: str, message: str, remedy: str) -> Finding:
    """Report something that works and could be better."""
    return Finding(topic, Level.ADVICE, message, remedy)


def wrong(topic: str, message: str, remedy: str) -> Finding:
    """Report something that is wrong."""
    return Finding(topic, Level.WRONG, message, remedy)
