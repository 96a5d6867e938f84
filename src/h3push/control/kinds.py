"""Kinds of page views: what a server knows of a client, and the groups of an experiment."""

from enum import Enum


class EvidenceClass(Enum):
    """A server's knowledge of a client when a page is asked for; uses are counted for each class apart."""

    NEW = "new"
    """The first view of its connection, without validators."""
    WARM = "warm"
    """A further view of its connection: the client holds what came with the earlier ones."""
    RETURNING = "returning"
    """The page was asked for with validators, or the connection's first one with a cookie: the client was here before."""
    UNKNOWN = "unknown"
    """The log does not say."""


class Arm(Enum):
    """The groups of an experiment: what page views are given, at random."""

    NONE = "none"
    """Neither pushes nor hints."""
    HINT = "hint"
    """A 103 response or a Link field."""
    PUSH = "push"
    """Pushes."""
