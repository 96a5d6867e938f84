"""When `--retry` tries again, and after how long."""

FIRST_WAIT = 1.0
"""Seconds before the first try again; each further one waits twice as long, as in curl."""
LONGEST_WAIT = 600.0
"""Seconds that a wait is at most."""


def seconds_before(attempt: int, retry_after: int | None) -> float:
    """Give the wait before an attempt (the first one again is 1), in seconds; the server's Retry-After goes first."""
    doublings = min(attempt - 1, 20)  # more could not be told from LONGEST_WAIT, but would overflow
    wait = FIRST_WAIT * 2**doublings if retry_after is None else retry_after
    return min(wait, LONGEST_WAIT)
