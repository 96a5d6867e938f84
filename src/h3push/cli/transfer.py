"""One URL of `h3push get`: fetched, and tried again where that is wanted."""

import asyncio

from h3push.cli.assets import Assets
from h3push.cli.failures import CommandFailed, ExitCode, failure_of, say
from h3push.cli.fetch import fetch
from h3push.cli.options.arguments import Arguments
from h3push.cli.options.cookies import Cookies
from h3push.cli.options.redirects import followed
from h3push.cli.options.request import Request
from h3push.cli.options.retries import seconds_before
from h3push.cli.outcome import Fetched, FetchOutcome
from h3push.cli.output.content import Output, TryAgain
from h3push.cli.pushes import Expectation
from h3push.cli.sender import Sender
from h3push.errors import H3PushError


class Transfer:
    """One URL.

    Arguments:
        arguments: the command line.
        request: the first request.
        output: takes the response.
        cookies: those of the command.
        outcome: the command that it is a part of.
    """

    def __init__(
        self, arguments: Arguments, request: Request, output: Output, cookies: Cookies, outcome: FetchOutcome
    ) -> None:
        self.output = output
        """Takes the response."""
        self.fetched = Fetched(request.url, outcome)
        """The last attempt."""
        self.retries = 0
        """Attempts before it."""
        self.failure: CommandFailed | None = None
        """Why it failed."""
        self.is_over = False
        """True when it ran to its end, good or bad."""
        self._arguments = arguments
        self._request = request
        self._cookies = cookies
        self._number = len(outcome.transfers)
        outcome.transfers.append(self.fetched)

    async def run(self, sender: Sender, expectation: Expectation) -> None:
        """Fetch, as often as `--retry` allows. `expectation` ends when no further request comes."""
        started = sender.since_start(None)
        try:
            async with asyncio.timeout(self._arguments.max_time):
                self.failure = await self._attempts(sender, expectation, started)
        except TimeoutError:
            self.failure = too_late(self._arguments)
        except CommandFailed as failed:
            self.failure = failed
        finally:
            expectation.end()
            self.fetched.time_total = sender.since_start(None)
        try:
            self.output.close()
        except CommandFailed as failed:
            self.failure = self.failure or failed
        self.is_over = True

    async def _attempts(self, sender: Sender, expectation: Expectation, started: float) -> CommandFailed | None:
        attempts = 1 + (self._arguments.retry if self._request.is_repeatable else 0)
        for attempt in range(1, attempts + 1):
            self._begin(started)
            self.output.may_try_again = attempt < attempts
            try:
                failure, retry_after = await self._attempt(sender, expectation)
            except TryAgain as again:
                failure, retry_after = CommandFailed(str(again)), again.seconds
            else:
                if not self._may_try_again(failure):
                    return failure
            assert failure is not None
            await self._wait(attempt, retry_after, failure)
        raise AssertionError("the last attempt returns")

    def _begin(self, started: float) -> None:
        outcome = self.fetched.outcome
        self.fetched = outcome.transfers[self._number] = Fetched(self._request.url, outcome, started=started)

    async def _attempt(self, sender: Sender, expectation: Expectation) -> tuple[CommandFailed | None, int | None]:
        """Fetch once; gives the failure, if it is one. Raises `TryAgain` for a status that may be another one next time."""
        try:
            await (self._load_page if self._arguments.assets else self._fetch)(sender, expectation)
        except H3PushError as error:
            last = self.fetched.last
            return failure_of(error, begun=bool(last and last.body_bytes)), None
        response = self.fetched.response
        if not self.output.is_failure or response is None:
            return None, None
        return CommandFailed(f"the server answered {response.status}", ExitCode.HTTP_ERROR), None

    async def _fetch(self, sender: Sender, expectation: Expectation) -> None:
        follow = followed(self._arguments, self._request) if self._arguments.follows_redirects else None
        await fetch(sender, self._request, self.output, self.fetched, follow, expectation)

    async def _load_page(self, sender: Sender, expectation: Expectation) -> None:
        """Fetch the page, and all that it names."""
        assets = Assets(self._arguments, self._cookies, sender, self._request, self.fetched)
        self.output.on_content = assets.feed
        try:
            await self._fetch(sender, expectation)
            await assets.finish()
        finally:
            await assets.stop()

    def _may_try_again(self, failure: CommandFailed | None) -> bool:
        """A time-out before there was a response is a reason; a refused connection is none, as in curl."""
        if failure is None or failure.exit_code != ExitCode.TIMEOUT:
            return False
        return self.output.may_try_again and self.fetched.response is None

    async def _wait(self, attempt: int, retry_after: int | None, failure: CommandFailed) -> None:
        self.retries += 1
        seconds = seconds_before(attempt, retry_after)
        if not self._arguments.silent:
            say(f"h3push: {failure.message}; trying again in {seconds:g} s")
        await asyncio.sleep(seconds)


def too_late(arguments: Arguments) -> CommandFailed:
    """The failure of what took longer than `--max-time`."""
    return CommandFailed(f"not everything arrived within {arguments.max_time:g} s (--max-time)", ExitCode.TIMEOUT)
