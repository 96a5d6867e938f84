"""One run of `h3push get`: every URL, one after the other or at the same time, then everything that is told of them."""

import asyncio
import ssl
import time
from contextlib import ExitStack
from pathlib import Path

from click.exceptions import Exit

from h3push.cli.failures import CommandFailed, ExitCode, file_failure
from h3push.cli.options.addresses import Detour
from h3push.cli.options.arguments import Arguments
from h3push.cli.options.cookies import Cookies
from h3push.cli.options.request import make_requests
from h3push.cli.options.targets import targets_of
from h3push.cli.options.tls import client_tls, ordinary_tls
from h3push.cli.ordinary import ordinary_library
from h3push.cli.outcome import FetchOutcome
from h3push.cli.output.content import Output
from h3push.cli.output.progress import Progress
from h3push.cli.output.summary import Summary
from h3push.cli.pushes import Expectation, PushTaker
from h3push.cli.sender import Sender, SenderOptions
from h3push.cli.transfer import Transfer, too_late


def run(arguments: Arguments) -> None:
    """Fetch, print, and turn whatever fails into a sentence. Raises `CommandFailed`; `Exit` where all is said already."""
    with ExitStack() as stack:
        try:
            command = Transfers(arguments, stack)
            asyncio.run(command.fetch())
            stack.close()  # progress bars end before anything is told below them
            command.tell()
        except CommandFailed as failed:
            failed.silent = arguments.silent and not arguments.show_error
            raise
        except KeyboardInterrupt:
            raise Exit(ExitCode.INTERRUPTED) from None
        raise Exit(command.exit_code)


def _fallback(arguments: Arguments) -> ssl.SSLContext | None:
    if not arguments.fallback:
        return None
    ordinary_library()
    return ordinary_tls(arguments)


def _directory(path: Path | None) -> Path | None:
    """The directory of --qlog, made if it is not there."""
    if path is not None:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise file_failure(error, "write to", path, ExitCode.WRITE_ERROR) from None
    return path


class Transfers:
    """All URLs of a command.

    Arguments:
        arguments: the command line.
        stack: closes what is opened.
    """

    def __init__(self, arguments: Arguments, stack: ExitStack) -> None:
        self._arguments = arguments
        self._outcome = FetchOutcome(started_at=time.time())
        self._summary = Summary(arguments, self._outcome)
        requests = make_requests(arguments, stack)
        self._options = SenderOptions(
            tls=client_tls(arguments),
            detour=Detour(arguments.resolve, arguments.connect_to),
            max_pushes=arguments.max_pushes if arguments.push == "accept" else None,
            connect_timeout=arguments.connect_timeout,
            fallback=_fallback(arguments),
            qlog=_directory(arguments.qlog),
            push_timeout=arguments.push_timeout,
        )
        self._cookies = Cookies(arguments.cookie, arguments.cookie_jar)
        progress = Progress(stack)
        targets = targets_of(arguments, [request.url for request in requests])
        outputs = [
            Output(arguments, request.url, path, self._cookies, progress)
            for request, path in zip(requests, targets, strict=True)
        ]
        self._transfers = [
            Transfer(arguments, request, output, self._cookies, self._outcome)
            for request, output in zip(requests, outputs, strict=True)
        ]
        self._untold = list(self._transfers)
        self._is_cut_short = False

    @property
    def exit_code(self) -> int:
        """Curl's: of one after the other that of the last, of several at the same time that of one that failed."""
        ran = self._transfers
        failed = [one.failure for one in ran if one.failure is not None]
        if self._arguments.parallel or self._is_cut_short:
            return failed[-1].exit_code if failed else ExitCode.DONE
        return ran[-1].failure.exit_code if ran[-1].failure is not None else ExitCode.DONE

    # fetching

    async def fetch(self) -> None:
        """Fetch all of them, and wait for all that was pushed."""
        start = asyncio.get_running_loop().time()
        self._outcome.started_at = time.time()
        taker = PushTaker(self._arguments.cancel, self._outcome, start)
        sender = Sender(self._options, taker, start)
        expectations = [taker.expect() for _ in self._transfers]
        try:
            await (self._at_once if self._arguments.parallel else self._in_turn)(sender, expectations)
            await self._settle(sender)
        finally:
            await sender.close()
            self._outcome.time_total = sender.since_start(None)

    async def _in_turn(self, sender: Sender, expectations: list[Expectation]) -> None:
        for transfer, expectation in zip(self._transfers, expectations, strict=True):
            await transfer.run(sender, expectation)
            self._is_over(transfer)
            if self._is_cut_short:
                return

    async def _at_once(self, sender: Sender, expectations: list[Expectation]) -> None:
        room = asyncio.Semaphore(self._arguments.parallel_max)

        async def run_one(transfer: Transfer, expectation: Expectation) -> Transfer:
            async with room:
                await transfer.run(sender, expectation)
            return transfer

        pairs = zip(self._transfers, expectations, strict=True)
        running = {asyncio.create_task(run_one(transfer, expectation)) for transfer, expectation in pairs}
        try:
            while running and not self._is_cut_short:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    self._is_over(task.result())
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _is_over(self, transfer: Transfer) -> None:
        """Tell of one while others are still to come; the last one is told of when its pushes are over too."""
        if transfer.failure is not None and self._arguments.fail_early:
            self._is_cut_short = True
        if self._arguments.json or len(self._untold) == 1 or self._is_cut_short:
            return
        self._untold.remove(transfer)
        self._tell(transfer)

    async def _settle(self, sender: Sender) -> None:
        """Wait for the pushes, within the time of the URL that began last."""
        if self._is_cut_short:
            return
        last = max(self._transfers, key=lambda transfer: transfer.fetched.started)
        seconds = self._arguments.max_time
        left = None if seconds is None else last.fetched.started + seconds - sender.since_start(None)
        try:
            async with asyncio.timeout(left):
                await sender.settle()
        except TimeoutError:
            last.failure = last.failure or too_late(self._arguments)
        if len(self._transfers) == 1:
            last.fetched.time_total = sender.since_start(None)

    # telling

    def tell(self) -> None:
        """Print and write what the flags ask for; then tell of what was not told of yet."""
        self._summary.tell([(one.fetched, one.failure) for one in self._transfers if one.is_over])
        for transfer in self._untold:
            self._tell(transfer)
        self._cookies.save()

    def _tell(self, transfer: Transfer) -> None:
        if not transfer.is_over:  # --fail-early came before
            return
        self._summary.tell_of(transfer.fetched, transfer.failure, transfer.output.path, transfer.retries)
        if transfer.failure is None:
            return
        failure = transfer.failure
        if len(self._transfers) > 1:
            failure = CommandFailed(f"{transfer.fetched.url}: {failure.message}", ExitCode(failure.exit_code))
        failure.silent = self._arguments.silent and not self._arguments.show_error
        failure.show()
