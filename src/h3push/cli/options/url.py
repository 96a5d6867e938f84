"""The URL that was typed."""

from urllib.parse import unquote, urlsplit

import rich_click as click

from h3push.http.url import ParsedUrl, parse_url

FIRST_ESCAPE, LAST_ESCAPE = 0xDC80, 0xDCFF
"""How Python writes bytes of a command line that are no UTF-8 (PEP 383): the byte plus 0xDC00."""


def typed_url(url: str) -> ParsedUrl:
    """Read what was typed: `localhost:4433/a b` is enough, and bytes that are no UTF-8 are percent-encoded as they are.

    Raises `click.BadParameter` for another scheme, a host that cannot be one, and port 0.
    """
    whole = url if "://" in url else f"https://{url}"
    try:
        return parse_url(_escape_undecodable(whole))
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="URL") from None


def _escape_undecodable(text: str) -> str:
    """Percent-encode the bytes that are no UTF-8."""
    return "".join(
        f"%{ord(character) - 0xDC00:02X}" if FIRST_ESCAPE <= ord(character) <= LAST_ESCAPE else character
        for character in text
    )


def remote_file_name(url: str) -> str:
    """The last name in a URL's path, for -O."""
    name = unquote(urlsplit(url).path.rpartition("/")[2], errors="surrogateescape")
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        raise click.UsageError(f"-O needs a URL that ends with a file name, as {url} does not; use -o FILE.")
    return name
