"""HTTP/2 and HTTP/1.1 by httpx2, for `--fallback`: where HTTP/3 does not answer, the same request goes out over TCP."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from h3push.cli.failures import CommandFailed, ExitCode, file_failure
from h3push.cli.options.addresses import Detour
from h3push.cli.options.request import Request
from h3push.cli.outcome import Exchange, PushRecord, Reply
from h3push.http.content import PIECE_BYTES, FileContent
from h3push.http.headers import Headers
from h3push.http.url import Origin, target_of
from h3push.runtime.settings import ClientSettings

VERSIONS = {"HTTP/2": "2", "HTTP/1.1": "1.1", "HTTP/1.0": "1.0"}
"""httpx2's names of versions, and curl's."""
CODES = {
    "ConnectTimeout": ExitCode.TIMEOUT,
    "TimeoutException": ExitCode.TIMEOUT,
    "ConnectError": ExitCode.REFUSED,
}
"""Exit codes of httpx2's errors, by the name of the class; of the others: `RECEIVE`."""


class OrdinaryArrival:
    """A response over TCP."""

    push: PushRecord | None = None
    ended: float | None = None

    def __init__(self, response: Any, began: float, where: str) -> None:
        version = VERSIONS.get(response.http_version, "1.1")
        fields = [(name.lower(), value) for name, value in response.headers.raw]
        self.reply = Reply(status=response.status_code, headers=Headers.wrap(fields), http_version=version)
        self.began: float | None = began
        self._response = response
        self._where = where

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The content as it came, piece by piece."""
        received = 0
        try:
            async for data in self._response.aiter_raw():
                received += len(data)
                yield data
        except Exception as error:
            raise _failure(error, self._where, begun=received > 0) from None
        finally:
            await self._response.aclose()


class Ordinary:
    """A client of httpx2.

    Arguments:
        tls: whom to trust, and who we are.
        detour: where to connect instead.
        settings: time-outs.
    """

    def __init__(self, tls: ssl.SSLContext, detour: Detour, settings: ClientSettings) -> None:
        httpx2 = ordinary_library()
        timeout = httpx2.Timeout(settings.read_timeout, connect=settings.connect_timeout)
        self._httpx2 = httpx2
        self._client = httpx2.AsyncClient(http2=find_spec("h2") is not None, verify=tls, timeout=timeout)
        self._detour = detour

    async def send(self, origin: Origin, exchange: Exchange, since_start: Callable[[None], float]) -> OrdinaryArrival:
        """Send the request of an exchange; returns when the header section of its response is there.

        Raises: CommandFailed: there is no connection, or no response.
        """
        loop = asyncio.get_running_loop()

        async def note(event: str, _info: object) -> None:
            if event == "connection.connect_tcp.complete":
                exchange.looked_up = exchange.begun  # httpx2 does not tell it
            if event == "connection.start_tls.complete":
                exchange.connected = exchange.started = since_start(None)

        try:
            asked = self._ask(origin, exchange.request)
            asked.extensions["trace"] = note
            response = await self._client.send(asked, stream=True)
        except Exception as error:
            raise _failure(error, origin.authority, begun=False) from None
        stream = response.extensions.get("network_stream")
        address = None if stream is None else stream.get_extra_info("server_addr")
        exchange.remote = None if address is None else (str(address[0]), int(address[1]))
        return OrdinaryArrival(response, loop.time(), origin.authority)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    def _ask(self, origin: Origin, request: Request) -> Any:
        """The request as httpx2 has it; to another address where a flag says so."""
        places = self._detour.of(origin)
        place = Origin(*places[0]) if places else origin
        fields = [(b"host", (request.authority or origin.authority).encode("ascii")), *request.fields]
        content: Any = request.content
        if isinstance(content, FileContent):
            fields.append((b"content-length", b"%d" % content.size()))
            content = _read(content)
        elif isinstance(content, AsyncIterable):
            content = _once(content)
        return self._httpx2.Request(
            request.method,
            f"https://{place.authority}{target_of(request.url)}",
            headers=fields,
            content=content,
            extensions={"sni_hostname": origin.host, "timeout": self._client.timeout.as_dict()},
        )


def ordinary_library() -> Any:
    """httpx2. `CommandFailed` when it is not installed."""
    try:
        return import_module("httpx2")
    except ImportError:
        raise CommandFailed("--fallback needs httpx2: pip install 'h3push[client]'") from None


async def _once(content: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    async for data in content:
        yield data


async def _read(content: FileContent) -> AsyncIterator[bytes]:
    with Path(content.path).open("rb") as file:  # noqa: ASYNC230 - a local file, a piece at a time
        while data := file.read(PIECE_BYTES):
            yield data


def _failure(error: Exception, where: str, *, begun: bool) -> CommandFailed:
    """The failure of a command that an error of httpx2, or of a file that was to be sent, means."""
    if isinstance(error, CommandFailed):
        return error
    if isinstance(error, OSError) and error.filename is not None:
        return file_failure(error, "read", str(error.filename), ExitCode.READ_ERROR)
    names = [kind.__name__ for kind in type(error).__mro__]
    if "HTTPError" not in names and not isinstance(error, OSError):
        raise error
    if _has_tls_error(error):
        code = ExitCode.CERTIFICATE if "certificate verify failed" in str(error).lower() else ExitCode.TLS
        return CommandFailed(f"TLS with {where} over TCP failed: {error}", code)
    code = next((CODES[name] for name in names if name in CODES), ExitCode.PARTIAL if begun else ExitCode.RECEIVE)
    if code == ExitCode.TIMEOUT:
        return CommandFailed(f"{where} does not answer over TCP either", code)
    if code == ExitCode.REFUSED:
        return CommandFailed(f"no connection to {where} over TCP either: {error}", code)
    return CommandFailed(f"{where} broke off over TCP: {str(error) or type(error).__name__}", code)


def _has_tls_error(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
