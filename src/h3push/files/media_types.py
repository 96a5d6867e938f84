"""Content types by file extension, the same on every machine.

The list is that of Python's `mimetypes`, without the tables of the system, which differ from one machine to the next. `ADDITIONS`
has what it lacks, and where its versions disagree, the name in the IANA registry.

No type names a charset by itself: a charset in Content-Type overrides `<meta charset>`, `@charset` and a byte order mark alike
(HTML Standard, "determining the character encoding"), and what the file says of itself is more likely to be true.
"""

import codecs
from collections.abc import Mapping
from functools import lru_cache
from mimetypes import MimeTypes
from types import MappingProxyType

DEFAULT_TYPE = "application/octet-stream"
"""The type of an unknown extension: a browser saves the file and runs nothing."""

HTML = "text/html"
"""The type of pages: they are read for what they need."""

_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN = "application/vnd.oasis.opendocument."

ADDITIONS: Mapping[str, str] = MappingProxyType(
    {
        # pages, style, code
        "html": HTML,
        "htm": HTML,
        "xhtml": "application/xhtml+xml",
        "css": "text/css",
        "js": "text/javascript",
        "mjs": "text/javascript",
        "cjs": "text/javascript",
        "wasm": "application/wasm",
        # data
        "json": "application/json",
        "map": "application/json",
        "jsonld": "application/ld+json",
        "geojson": "application/geo+json",
        "ndjson": "application/x-ndjson",
        "ipynb": "application/x-ipynb+json",
        "webmanifest": "application/manifest+json",
        "xml": "text/xml",
        "atom": "application/atom+xml",
        "rss": "application/rss+xml",
        "rdf": "application/rdf+xml",
        "xslt": "application/xslt+xml",
        "yaml": "application/yaml",
        "yml": "application/yaml",
        "toml": "application/toml",
        "sql": "application/sql",
        "parquet": "application/vnd.apache.parquet",
        # text
        "txt": "text/plain",
        "text": "text/plain",
        "log": "text/plain",
        "conf": "text/plain",
        "ini": "text/plain",
        "cfg": "text/plain",
        "diff": "text/plain",
        "patch": "text/plain",
        "srt": "application/x-subrip",
        "md": "text/markdown",
        "rst": "text/x-rst",
        "py": "text/x-python",
        "pyi": "text/x-python",
        "rs": "text/rust",
        "csv": "text/csv",
        "ics": "text/calendar",
        "vcf": "text/vcard",
        "vtt": "text/vtt",
        "rtf": "application/rtf",
        # images
        "svg": "image/svg+xml",
        "png": "image/png",
        "apng": "image/apng",
        "jpg": "image/jpeg",
        "jpeg": "image/jpeg",
        "gif": "image/gif",
        "webp": "image/webp",
        "avif": "image/avif",
        "jxl": "image/jxl",
        "heic": "image/heic",
        "heif": "image/heif",
        "ico": "image/x-icon",
        "bmp": "image/bmp",
        "tif": "image/tiff",
        "tiff": "image/tiff",
        # fonts
        "woff2": "font/woff2",
        "woff": "font/woff",
        "ttf": "font/ttf",
        "otf": "font/otf",
        "ttc": "font/collection",
        "eot": "application/vnd.ms-fontobject",
        # sound and film
        "mp4": "video/mp4",
        "m4v": "video/mp4",
        "m4s": "video/iso.segment",
        "mov": "video/quicktime",
        "mkv": "video/matroska",
        "mka": "audio/matroska",
        "webm": "video/webm",
        "weba": "audio/webm",
        "ogv": "video/ogg",
        "avi": "video/x-msvideo",
        "3gp": "video/3gpp",
        "3g2": "video/3gpp2",
        "ts": "video/mp2t",
        "m3u8": "application/vnd.apple.mpegurl",
        "mpd": "application/dash+xml",
        "mp3": "audio/mpeg",
        "m4a": "audio/mp4",
        "aac": "audio/aac",
        "flac": "audio/flac",
        "oga": "audio/ogg",
        "ogg": "audio/ogg",
        "opus": "audio/ogg",
        "wav": "audio/wav",
        "mid": "audio/midi",
        "midi": "audio/midi",
        # models and documents
        "glb": "model/gltf-binary",
        "gltf": "model/gltf+json",
        "stl": "model/stl",
        "obj": "model/obj",
        "pdf": "application/pdf",
        "epub": "application/epub+zip",
        "docx": _OFFICE + "wordprocessingml.document",
        "xlsx": _OFFICE + "spreadsheetml.sheet",
        "pptx": _OFFICE + "presentationml.presentation",
        "odt": _OPEN + "text",
        "ods": _OPEN + "spreadsheet",
        "odp": _OPEN + "presentation",
        # archives
        "zip": "application/zip",
        "gz": "application/gzip",
        "tgz": "application/gzip",
        "bz2": "application/x-bzip2",
        "xz": "application/x-xz",
        "zst": "application/zstd",
        "tar": "application/x-tar",
        "7z": "application/x-7z-compressed",
        "rar": "application/vnd.rar",
        "jar": "application/java-archive",
        "whl": "application/zip",
        "apk": "application/vnd.android.package-archive",
        "deb": "application/vnd.debian.binary-package",
        "rpm": "application/x-rpm",
    }
)
"""Lower-case extension without its dot -> media type."""


@lru_cache(1)
def media_types() -> Mapping[str, str]:
    """Every known extension, lower-case and without its dot, with its media type."""
    kept = MimeTypes().types_map[True]
    return MappingProxyType({name.removeprefix("."): kind for name, kind in kept.items()} | dict(ADDITIONS))


def media_type(name: str) -> str:
    """The media type of a file by its name."""
    stem, _, extension = name.rpartition(".")
    return media_types().get(extension.lower(), DEFAULT_TYPE) if stem else DEFAULT_TYPE


def content_type(name: str, charset: str | None = None) -> str:
    """The Content-Type of a file by its name; `charset` is added to types of text."""
    kind = media_type(name)
    return f"{kind}; charset={charset}" if charset and kind.startswith("text/") else kind


def check_charset(name: str) -> str:
    """A charset that is known by this name. `ValueError` with a sentence when there is none."""
    try:
        codecs.lookup(name)
    except (LookupError, ValueError):
        raise ValueError(f"there is no charset {name!r}") from None
    return name
