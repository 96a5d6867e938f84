"""Sharing: a controller and its store, in a thread beside the event loop.

Every few seconds the thread exchanges page views with the file, and the loop learns those of the other workers. What the thread
does, the loop waits for only once: when the server stops.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from h3push.control.controller import Controller
from h3push.control.model import ViewSeen
from h3push.control.snapshot import SnapshotError, model_of_text, model_to_text, view_of_text, view_to_text
from h3push.control.store import News, Store, StoreError

logger = logging.getLogger("h3push.control")

INTERVAL = 5.0
"""Seconds between two exchanges."""
MAX_WAITING = 10_000
"""Views that wait for an exchange; beyond it the oldest are not shared."""


class SharedController:
    """Keeps what a controller learns in a file, and learns from it what others saw.

    Args:
        controller: the controller of this process.
        path: the file.

    Raises: StoreError: the file cannot be used.
    """

    def __init__(self, controller: Controller, path: Path) -> None:
        self.controller = controller
        """The controller."""
        self._own: list[str] = []
        self._thread = ThreadPoolExecutor(1, "h3push-learned")
        self._store = Store(path, secrets.token_hex(8))
        self._task: asyncio.Task[None] | None = None
        self._failed = False
        controller.on_view = self._note
        self._take(self._store.exchange(()))

    def _note(self, view: ViewSeen) -> None:
        self._own.append(view_to_text(view))
        if len(self._own) > MAX_WAITING:
            del self._own[0]

    def start(self) -> None:
        """Exchange from now on, in the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            await self._exchange()

    async def _exchange(self) -> None:
        own, self._own = self._own, []
        news = await self._in_thread(lambda: self._store.exchange(own))
        if news is None:
            self._own = own + self._own
            return
        self._take(news)
        if news.wants_model:
            state, number = model_to_text(self.controller.model), news.number
            await self._in_thread(lambda: self._store.write_model(state, number))

    async def _in_thread(self, call: "Callable[[], News | None]") -> News | None:
        """Call the store; `None` when it fails, which is logged once."""
        try:
            news = await asyncio.get_running_loop().run_in_executor(self._thread, call)
        except StoreError as error:
            if not self._failed:
                self._failed = True
                logger.error("%s; what is learned stays in this process", error)
            return None
        self._failed = False
        return news

    def _take(self, news: News) -> None:
        """Learn what others saw."""
        model = self.controller.model
        try:
            if news.model is not None:
                self.controller.model = model = model_of_text(news.model, model.waste)
            for text in news.views:
                model.learn(view_of_text(text))
        except SnapshotError as error:
            logger.error("a part of what was learned cannot be read, and is left out: %s", error)

    async def close(self) -> None:
        """Write what is left, and close the file."""
        if self._task is not None:
            self._task.cancel()
        self.controller.close()
        await self._exchange()
        self._thread.shutdown()
        self._store.close()
