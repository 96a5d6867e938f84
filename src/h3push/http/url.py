"""References in pages and style sheets, resolved as a browser resolves them (WHATWG URL Standard, https URLs only).

What is pushed must be what the client would have asked for, byte for byte: a promise for `/a b.png` answers no request for
`/a%20b.png`. So a reference is resolved and percent-encoded here as a browser does it, and the result is what goes into
`:path`. Host names must be ASCII already; other schemes (data:, blob:, http:) are nobody's resource here.
"""

import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

_STRIPPED = "".join(map(chr, range(0x21)))
_DROPPED = dict.fromkeys(map(ord, "\t\n\r"))
_PATH_SAFE = "!$%&'()*+,-./:;=@[\\]_|~"
_QUERY_SAFE = "!$%&()*+,-./:;=?@[\\]^_`{|}~"
_DOT_SEGMENT = re.compile(r"(?<=/)((?:\.|%2e){1,2})(?=/|$)", re.IGNORECASE)
_DEFAULT_PORT = 443
_PLAIN_TARGET = re.compile("[!-~]*")
_NOT_IN_HOST = frozenset(' <>"\\^`{|}%')
_MAX_REMEMBERED = 512
"""Characters of a URL of which the meaning is remembered: the pages of a site name the same things again and again."""


@dataclass(frozen=True, slots=True)
class Origin:
    """An https origin (RFC 6454): what "same origin" compares."""

    host: str
    """Lower-case host name or IP address, an IPv6 address without brackets."""
    port: int
    """UDP port, the default of https filled in."""

    @property
    def authority(self) -> str:
        """As it stands in `:authority`: the port only where it is not 443."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORT else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ParsedUrl:
    """An https URL that a person typed, ready to be used."""

    origin: Origin
    """Where to connect to."""
    target: str
    """Path and query, percent-encoded, as they stand in `:path`."""
    authorization: str | None
    """The Authorization field that its user name and password mean (RFC 7617); `None` when it has none."""

    @property
    def url(self) -> str:
        """The whole URL, without user name, password and fragment."""
        return f"https://{self.origin.authority}{self.target}"


def parse_url(text: str) -> ParsedUrl:
    """Take an https URL apart as a browser does.

    Other letters in the host name become IDNA, those in the path are percent-encoded.
    `ValueError` with one sentence for what is no https URL.
    """
    try:
        text.encode()
        parts = urlsplit(text.strip(_STRIPPED).translate(_DROPPED))
        host, port = parts.hostname, parts.port
    except UnicodeEncodeError:
        raise ValueError(f"{text!r} is no URL: it has bytes that are not UTF-8") from None
    except ValueError as error:
        raise ValueError(f"{text!r} is no URL: {str(error).lower()}") from None
    if parts.scheme != "https" or not host:
        raise ValueError(f"HTTP/3 needs an https URL such as https://example.com/, not {text!r}")
    if port == 0:
        raise ValueError(f"{text!r} has port 0, where nobody can listen")
    origin = Origin(_ascii_host(host), _DEFAULT_PORT if port is None else port)
    return ParsedUrl(origin, request_target(parts._replace(path=_slashes(parts.path))), _basic(parts))


def _slashes(path: str) -> str:
    return path.replace("\\", "/")


def _ascii_host(host: str) -> str:
    """A host name as it is looked up (IDNA), in lower case."""
    if host.isascii():
        if set(host) & _NOT_IN_HOST:
            raise ValueError(f"{host!r} is no host name")
        return host.lower()
    try:
        return host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise ValueError(f"{host!r} is no host name") from None


def _basic(parts: SplitResult) -> str | None:
    if parts.username is None and parts.password is None:
        return None
    credentials = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(credentials.encode()).decode('ascii')}"


def encode_target(target: str) -> str:
    """Percent-encode what may not stand in `:path`: other letters, blanks. What is encoded already stays as it is."""
    if _PLAIN_TARGET.fullmatch(target):
        return target
    path, mark, query = target.partition("?")
    try:
        return quote(path, safe=_PATH_SAFE) + mark + quote(query, safe=_QUERY_SAFE)
    except UnicodeEncodeError:
        raise ValueError(f"the path {target!r} has bytes that are not UTF-8") from None


def origin_of(url: str) -> Origin | None:
    """Origin of an absolute https URL; `None` for any other scheme, a missing host or a port that is no number."""
    return _origin_before(url) if len(url) <= _MAX_REMEMBERED else _origin_of(url)


def _origin_of(url: str) -> Origin | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme != "https" or not parts.hostname:
        return None
    return Origin(parts.hostname.lower(), _DEFAULT_PORT if port is None else port)


_origin_before = lru_cache(4_096)(_origin_of)


def plain_authority(authority: bytes) -> bytes:
    """The authority of an https URL as it is compared: lower case, without the default port (RFC 3986 section 6.2)."""
    return authority.lower().removesuffix(b":443")


def plain_target(target: bytes) -> bytes:
    """A `:path` as it is compared: what need not be percent-encoded is not, hex digits in upper case (RFC 3986 section 6.2.2)."""
    return _TRIPLET.sub(_plain_triplet, target) if b"%" in target else target


_TRIPLET = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(rb"[A-Za-z0-9._~-]")


def _plain_triplet(match: "re.Match[bytes]") -> bytes:
    byte = bytes([int(match[1], 16)])
    return byte if _UNRESERVED.fullmatch(byte) else match[0].upper()


class Authorities:
    """Authorities of https URLs, to ask whether one is among them: without case, and with the default port.

    Args:
        names: hosts, or host:port, in ASCII.
    """

    __slots__ = ("_plain",)

    def __init__(self, names: Iterable[str]) -> None:
        self._plain = frozenset(plain_authority(name.encode("ascii")) for name in names)

    def __contains__(self, authority: bytes | None) -> bool:
        return authority is not None and (authority in self._plain or plain_authority(authority) in self._plain)


def resolve(base: str, reference: str) -> str | None:
    """Absolute https URL, percent-encoded and without fragment, that `reference` means in a document at `base`.

    `None` when it names nothing that could be fetched from an https server: it is empty or a mere fragment, has another
    scheme, or cannot be parsed.
    """
    text = reference.strip(_STRIPPED).translate(_DROPPED)
    if not text or text.startswith("#"):
        return None
    if len(text) > _MAX_REMEMBERED or text.startswith("?"):
        return _resolved(base, text)
    # Whatever else a reference is, it means the same in every document of a directory.
    return _resolved_before(base.partition("?")[0].rpartition("/")[0] + "/", text)


def _resolved(base: str, text: str) -> str | None:
    try:
        parts = urlsplit(urljoin(base, _with_forward_slashes(text)))
    except ValueError:
        return None
    if parts.scheme != "https" or not parts.hostname:
        return None
    return f"https://{parts.netloc.lower()}{request_target(parts)}"


_resolved_before = lru_cache(4_096)(_resolved)


def target_of(url: str) -> str:
    """The `:path` of an absolute https URL that `resolve` made: path and query."""
    return _target_of(url) if len(url) <= _MAX_REMEMBERED else request_target(urlsplit(url))


@lru_cache(4_096)
def _target_of(url: str) -> str:
    return request_target(urlsplit(url))


def request_target(parts: SplitResult) -> str:
    """Path and query, percent-encoded as a browser encodes them; what is encoded already stays as it is."""
    path = quote(_without_dot_segments(parts.path or "/"), safe=_PATH_SAFE)
    return f"{path}?{quote(parts.query, safe=_QUERY_SAFE)}" if parts.query else path


def _with_forward_slashes(text: str) -> str:
    """In https URLs a backslash before the query is a slash (URL Standard, path state)."""
    head, mark, tail = text.partition("?")
    return head.replace("\\", "/") + mark + tail


def _without_dot_segments(path: str) -> str:
    """Resolve `.` and `..`, also when written %2e, and never above the root."""
    if not _DOT_SEGMENT.search(path):
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        plain = segment.lower().replace("%2e", ".")
        if plain == "..":
            del kept[-1:]
        elif plain != ".":
            kept.append(segment)
    if segments[-1].lower().replace("%2e", ".") in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PLAIN = r"(?:[\w!$&()*+,:;=@~./-]|%[0-9A-Fa-f]{2})"
_PLAIN_PATH = re.compile(rf"/(?!/){_PLAIN}*(?:\?(?:{_PLAIN}|\?)+)?", re.ASCII)
_NO_HOST = "page.invalid"
"""Stands for the page's own authority (RFC 6761 keeps .invalid free)."""


def has_control_characters(path: str) -> bool:
    """True for a path with a line break or another character that no URL can have, encoded or not."""
    return _CONTROL.search(path) is not None


def resolve_push_path(base: str, path: str) -> tuple[str, str | None]:
    """Resolve what is to be pushed with the page at `base` (its `:path`): path with query, and authority; `None`: the page's own.

    Absolute paths, paths relative to the page's, and whole https URLs. Characters become percent-encoded UTF-8 as in a browser
    (`/a b.css` is `/a%20b.css`); what is encoded already stays, and a `%` that encodes nothing becomes `%25`. `.` and `..` are
    resolved as every client does, the fragment is dropped. `ValueError` for anything else.
    """
    if _PLAIN_PATH.fullmatch(path) and "/." not in path and "/%2" not in path:
        return path, None  # nearly all of them
    if has_control_characters(path):
        raise ValueError(f"a path to push has no control characters, as {path!r} has")
    url = resolve(f"https://{_NO_HOST}{base}", _encoded(path))
    if url is None:
        raise ValueError(f"only https can be pushed, not {path!r}")
    authority = urlsplit(url).netloc
    return target_of(url), None if authority == _NO_HOST else authority


def _encoded(path: str) -> str:
    return quote(_BARE_PERCENT.sub("%25", path), safe="!#$%&'()*+,-./:;=?@[\\]^_`{|}~")
