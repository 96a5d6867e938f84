"""The URL that was typed."""

from urllib.parse import unquote, urlsplit

import rich_click as click

FIRST_ESCAPE, LAST_ESCAPE = 0xDC80, 0xDCFF
"""How Python writes bytes of a command line that are no UTF-8 (PEP 383): the byte plus 0xDC00."""


def complete_url(url: str) -> str:
    """Make of what was typed an absolute https URL, percent-encoded, without fragment: `localhost:4433/a b` is enough.

    Bytes that are no UTF-8 are percent-encoded as they are. Raises `click.BadParameter` for another scheme, a host that cannot
    be one, and port 0.
    """
    from h3push.http.url import origin_of, resolve

    shown = url.encode("utf-8", "backslashreplace").decode()
    typed = url if "://" in url else f"https://{url}"
    if not typed.lower().startswith("https://"):
        raise click.BadParameter(f"HTTP/3 has only https URLs, not {shown!r}.", param_hint="URL")
    scheme, _, rest = typed.partition("://")
    host, slash, path = rest.partition("/")
    ascii_url = f"{scheme}://{_ascii_host(host)}{slash}{_escape_undecodable(path)}"
    resolved = resolve(ascii_url, ascii_url)
    origin = None if resolved is None else origin_of(resolved)
    if resolved is None or origin is None or "@" in urlsplit(resolved).netloc:
        raise click.BadParameter(f"{shown!r} is no URL such as https://example.org/.", param_hint="URL")
    if origin.port == 0:
        raise click.BadParameter(f"nobody can listen on port 0: {shown!r}.", param_hint="URL")
    return resolved


def split_userinfo(url: str) -> tuple[str, str | None]:
    """Take `user:password@` out of a URL that was typed; the second item is `user:password`, decoded."""
    scheme, mark, rest = url.rpartition("://") if "://" in url else ("", "", url)
    end = min((position for position in map(rest.find, "/?#") if position >= 0), default=len(rest))
    userinfo, at, host = rest[:end].rpartition("@")
    if not at:
        return url, None
    return f"{scheme}{mark}{host}{rest[end:]}", unquote(userinfo, errors="surrogateescape")


def _escape_undecodable(text: str) -> str:
    """Percent-encode the bytes that are no UTF-8."""
    return "".join(
        f"%{ord(character) - 0xDC00:02X}" if FIRST_ESCAPE <= ord(character) <= LAST_ESCAPE else character
        for character in text
    )


def _ascii_host(host: str) -> str:
    """A host name with other letters as it is looked up (IDNA)."""
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        shown = host.encode("utf-8", "backslashreplace").decode()
        raise click.BadParameter(f"{shown!r} is no host name.", param_hint="URL") from None


def remote_file_name(url: str) -> str:
    """The last name in a URL's path, for -O."""
    name = unquote(urlsplit(url).path.rpartition("/")[2], errors="surrogateescape")
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        raise click.UsageError("-O needs a URL that ends with a file name; use -o FILE.")
    return name
