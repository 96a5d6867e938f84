"""Warnings for whoever runs a server, each given once, and not without end."""

from logging import Logger

MAX_NOTICES = 100
"""Notices of one kind. A site with more of them has one cause, and a log that repeats it hides everything else."""


class Notices:
    """Warnings of one kind, each given once.

    Arguments:
        logger: where they go.
        limit: how many are given; after the last one, a line says that there are more.
    """

    def __init__(self, logger: Logger, limit: int = MAX_NOTICES) -> None:
        self._logger = logger
        self._limit = limit
        self._given: set[tuple[object, ...]] = set()

    def warn(self, sentence: str, *subjects: object) -> None:
        """Warn, unless the same was said before. `sentence` takes the subjects as `logging` does."""
        if len(self._given) > self._limit or subjects in self._given:
            return
        if len(self._given) == self._limit:
            self._logger.warning("there are more such warnings; they are not shown")
        else:
            self._logger.warning(sentence, *subjects)
        self._given.add(subjects)
