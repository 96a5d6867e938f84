"""One run of `h3push get`: the fetch, tried again where that is wanted, then everything that is told of it."""

import asyncio
import time
from contextlib import ExitStack
from pathlib import Path

import rich_click as click
from click.exceptions import Exit

from h3push.cli.failures import CommandFailed, ExitCode, failure_of, say
from h3push.cli.fetch import Fetched, FetchOptions, fetch
from h3push.cli.options.addresses import Detour
from h3push.cli.options.arguments import Arguments
from h3push.cli.options.cookies import Cookies
from h3push.cli.options.redirects import followed
from h3push.cli.options.request import make_request
from h3push.cli.options.retries import seconds_before
from h3push.cli.options.tls import client_tls
from h3push.cli.options.url import remote_file_name
from h3push.cli.output.content import Output, TryAgain
from h3push.cli.output.summary import Summary
from h3push.errors import H3PushError
from h3push.http.url import origin_of


def run(arguments: Arguments) -> None:
    """Fetch, print, and turn whatever fails into a sentence. Raises `CommandFailed`."""
    with ExitStack() as stack:
        try:
            summary = Summary(arguments)
            options = fetch_options(arguments, stack)
            path = _path(arguments, options.request.url)
            cookies = Cookies(arguments.cookie, arguments.cookie_jar)
            output = Output(arguments, path, cookies, stack)
            failure = asyncio.run(_fetch_within(arguments, options, output, summary))
            stack.close()  # a progress bar ends before anything is told below it
            summary.tell(failure, path)
            cookies.save()
        except CommandFailed as failed:
            failed.silent = arguments.silent and not arguments.show_error
            raise
        except KeyboardInterrupt:
            raise Exit(ExitCode.INTERRUPTED) from None
        if failure is not None:
            failure.silent = arguments.silent and not arguments.show_error
            raise failure


def fetch_options(arguments: Arguments, stack: ExitStack) -> FetchOptions:
    """Make of the arguments what is fetched, and how."""
    request = make_request(arguments, stack)
    origin = origin_of(request.url)
    assert origin is not None
    return FetchOptions(
        request=request,
        tls=client_tls(arguments),
        addresses=Detour(arguments.resolve, arguments.connect_to).of(origin),
        max_pushes=arguments.max_pushes if arguments.push == "accept" else None,
        cancel=arguments.cancel,
        connect_timeout=arguments.connect_timeout,
        push_timeout=arguments.push_timeout,
    )


def _path(arguments: Arguments, url: str) -> Path | None:
    if arguments.output is not None and arguments.remote_name:
        raise click.UsageError("Give -o or -O, not both.")
    if arguments.output == Path("-"):
        return None
    return Path(remote_file_name(url)) if arguments.remote_name else arguments.output


async def _fetch_within(
    arguments: Arguments, options: FetchOptions, output: Output, summary: Summary
) -> CommandFailed | None:
    """Fetch, as often as `--retry` allows; `summary` has the last attempt. Gives the failure, if it is one."""
    try:
        async with asyncio.timeout(arguments.max_time):
            return await _attempts(arguments, options, output, summary)
    except TimeoutError:
        sentence = f"not everything arrived within {arguments.max_time:g} s (--max-time)"
        return CommandFailed(sentence, ExitCode.TIMEOUT)


async def _attempts(
    arguments: Arguments, options: FetchOptions, output: Output, summary: Summary
) -> CommandFailed | None:
    attempts = 1 + (arguments.retry if options.request.is_repeatable else 0)
    for attempt in range(1, attempts + 1):
        output.may_try_again = attempt < attempts
        fetched = summary.fetched = Fetched(options.request.url, started_at=time.time())
        retry_after = None
        try:
            await fetch(options, output, fetched, followed(arguments))
        except TryAgain as again:
            failure, retry_after = CommandFailed(str(again)), again.seconds
        except CommandFailed as failed:
            return failed
        except H3PushError as error:
            failure = failure_of(error, begun=bool(fetched.last and fetched.last.body_bytes))
            if failure.exit_code != ExitCode.TIMEOUT or not output.may_try_again or fetched.response is not None:
                return failure
        else:
            return _http_failure(output, fetched)
        summary.retries += 1
        seconds = seconds_before(attempt, retry_after)
        if not arguments.silent:
            say(f"h3push: {failure.message}; trying again in {seconds:g} s")
        await asyncio.sleep(seconds)
    raise AssertionError("the last attempt returns")


def _http_failure(output: Output, fetched: Fetched) -> CommandFailed | None:
    if not output.is_failure or fetched.response is None:
        return None
    return CommandFailed(f"the server answered {fetched.response.status}", ExitCode.HTTP_ERROR)
