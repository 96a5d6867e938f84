"""`h3push get`: one URL over HTTP/3, with curl's letters, and every push that comes with it."""

import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import rich_click as click

from h3push.cli.failures import file_failure

DEFAULT_MAX_PUSHES = 100
"""Pushes under way at once, when `--max-pushes` does not say: nearly every page has fewer resources."""
USER_AGENT = "h3push"
"""The User-Agent field, when `--header` does not say."""


@click.command(
    context_settings={"show_default": True},
    epilog="Example: h3push get -v --cacert ~/.local/state/h3push/ca.pem https://localhost:4433/",
)
@click.argument("url", metavar="URL")
@click.option("-k", "--insecure", is_flag=True, help="Accept any certificate: for your own machine only.")
@click.option(
    "--cacert",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Trust these authorities (PEM) instead of the system's.",
)
@click.option("--push", type=click.Choice(["accept", "off"]), default="accept", help="Whether the server may push.")
@click.option("--max-pushes", type=click.IntRange(1, 1_000_000), metavar="N",
              help=f"Pushes that the server may have under way at once.  [default: {DEFAULT_MAX_PUSHES}]")  # fmt: skip
@click.option(
    "--cancel", multiple=True, metavar="GLOB", help="Cancel pushes whose path, name or URL matches; may be repeated."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the content to FILE.")
@click.option("-O", "--remote-name", is_flag=True, help="Write the content to a file with the name in the URL.")
@click.option("-i", "--include", is_flag=True, help="Print the header section before the content.")
@click.option("-I", "--head", is_flag=True, help="Ask for the header section only (HEAD), and print it.")
@click.option("-v", "--verbose", is_flag=True, help="Tell what goes on, and about every push, on stderr.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object about response and pushes instead of the content."
)
@click.option("-f", "--fail", is_flag=True, help="Exit with 1 when the status is 400 or above.")
@click.option(
    "-H", "--header", multiple=True, metavar="'NAME: VALUE'", help="A further request field; may be repeated."
)
@click.option(
    "-X", "--request", "method", metavar="METHOD", help="Request method.  [default: GET, or POST with --data]"
)
@click.option("-d", "--data", metavar="DATA", help="Send DATA with POST; @FILE reads a file, @- standard input.")
@click.option("--connect-timeout", type=click.FloatRange(0, min_open=True), default=10.0, metavar="SECONDS",
              help="Give up when there is no connection after so long.")  # fmt: skip
@click.option("-m", "--max-time", type=click.FloatRange(0, min_open=True), metavar="SECONDS",
              help="Give up when not everything has arrived after so long.")  # fmt: skip
@click.option("-s", "--silent", is_flag=True, help="No progress and no messages.")
def get(
    url: str,
    insecure: bool,
    cacert: Path | None,
    push: str,
    max_pushes: int | None,
    cancel: tuple[str, ...],
    output: Path | None,
    remote_name: bool,
    include: bool,
    head: bool,
    verbose: bool,
    as_json: bool,
    fail: bool,
    header: tuple[str, ...],
    method: str | None,
    data: str | None,
    connect_timeout: float,
    max_time: float | None,
    silent: bool,
) -> None:
    """Fetch URL over HTTP/3 and take what the server pushes with it.

    The content goes to standard output. An HTTP error status is no failure unless --fail says so; no connection and a broken
    response are.
    """
    if output is not None and remote_name:
        raise click.UsageError("Give -o or -O, not both.")
    if head and data is not None:
        raise click.UsageError("-I asks for no content and --data sends some: give one of them.")
    whole_url = complete_url(url)
    path = Path(remote_file_name(whole_url)) if remote_name else output
    content = None if data is None else read_data(data)
    from h3push.cli.fetch import FetchOptions
    from h3push.cli.output import OutputOptions, run

    options = FetchOptions(
        url=whole_url,
        method=method or ("HEAD" if head else "GET" if content is None else "POST"),
        headers=request_fields(header, content),
        content=content,
        cafile=cacert,
        verify=not insecure,
        max_pushes=(max_pushes or DEFAULT_MAX_PUSHES) if push == "accept" else None,
        cancel=cancel,
        connect_timeout=connect_timeout,
    )
    target = OutputOptions(
        path=path, include=include, head=head, json=as_json, verbose=verbose, silent=silent, fail=fail
    )
    run(options, target, max_time)


def complete_url(url: str) -> str:
    """Make of what was typed an absolute https URL, percent-encoded, without fragment: `localhost:4433/a b` is enough.

    Raises `click.BadParameter` for another scheme or no host.
    """
    from h3push.http.url import origin_of, resolve

    typed = url if "://" in url else f"https://{url}"
    if not typed.lower().startswith("https://"):
        raise click.BadParameter(f"HTTP/3 has only https URLs, not {url!r}.", param_hint="URL")
    try:
        typed.encode("ascii")
        ascii_url = typed
    except UnicodeEncodeError:
        scheme, _, rest = typed.partition("://")
        host, slash, path = rest.partition("/")
        ascii_url = f"{scheme}://{_ascii_host(host)}{slash}{path}"
    resolved = resolve(ascii_url, ascii_url)
    if resolved is None or origin_of(resolved) is None or "@" in urlsplit(resolved).netloc:
        raise click.BadParameter(f"{url!r} is no URL such as https://example.org/.", param_hint="URL")
    return resolved


def _ascii_host(host: str) -> str:
    """A host name with other letters as it is looked up (IDNA)."""
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        raise click.BadParameter(f"{host!r} is no host name.", param_hint="URL") from None


def remote_file_name(url: str) -> str:
    """The last name in a URL's path, for -O."""
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        raise click.UsageError("-O needs a URL that ends with a file name; use -o FILE.")
    return name


def read_data(data: str) -> bytes:
    """The content that --data means."""
    if not data.startswith("@"):
        return data.encode()
    if data == "@-":
        return sys.stdin.buffer.read()
    try:
        return Path(data[1:]).read_bytes()
    except OSError as error:
        raise file_failure(error, "read", data[1:]) from None


def request_fields(headers: tuple[str, ...], content: bytes | None) -> list[tuple[str, str]]:
    """Request fields from `NAME: VALUE` options, with curl's defaults; `NAME:` drops a default."""
    defaults = {"user-agent": USER_AGENT, "accept": "*/*"}
    if content is not None:
        defaults["content-type"] = "application/x-www-form-urlencoded"
    fields = []
    for header in headers:
        name, colon, value = header.partition(":")
        name, value = name.strip().lower(), value.strip()
        if not colon or not name or not name.isascii() or any(character.isspace() for character in name):
            raise click.BadParameter(f"{header!r} is not of the form 'NAME: VALUE'.", param_hint="--header")
        defaults.pop(name, None)
        if value:
            fields.append((name, value))
    return [*defaults.items(), *fields]
