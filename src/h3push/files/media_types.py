"""Content types by file extension: a frozen table, so that the same directory is served alike on every machine.

`mimetypes` reads the system's own tables, which differ. Names are those of the IANA registry; text is UTF-8, which is what
files are in.
"""

from collections.abc import Mapping
from types import MappingProxyType

DEFAULT_TYPE = "application/octet-stream"
"""For what the table does not know: a browser saves it and runs nothing."""

HTML = "text/html; charset=utf-8"
"""The type of pages: what is of this type is read for what it needs."""

CONTENT_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "html": HTML,
        "htm": HTML,
        "xhtml": "application/xhtml+xml",
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "mjs": "text/javascript; charset=utf-8",
        "json": "application/json",
        "map": "application/json",
        "jsonld": "application/ld+json",
        "webmanifest": "application/manifest+json",
        "wasm": "application/wasm",
        "xml": "text/xml; charset=utf-8",
        "atom": "application/atom+xml",
        "rss": "application/rss+xml",
        "txt": "text/plain; charset=utf-8",
        "md": "text/markdown; charset=utf-8",
        "csv": "text/csv; charset=utf-8",
        "ics": "text/calendar; charset=utf-8",
        "vtt": "text/vtt; charset=utf-8",
        "svg": "image/svg+xml",
        "png": "image/png",
        "jpg": "image/jpeg",
        "jpeg": "image/jpeg",
        "gif": "image/gif",
        "webp": "image/webp",
        "avif": "image/avif",
        "ico": "image/x-icon",
        "bmp": "image/bmp",
        "tif": "image/tiff",
        "tiff": "image/tiff",
        "woff2": "font/woff2",
        "woff": "font/woff",
        "ttf": "font/ttf",
        "otf": "font/otf",
        "mp4": "video/mp4",
        "m4v": "video/mp4",
        "m4s": "video/iso.segment",
        "webm": "video/webm",
        "ogv": "video/ogg",
        "ts": "video/mp2t",
        "m3u8": "application/vnd.apple.mpegurl",
        "mpd": "application/dash+xml",
        "mp3": "audio/mpeg",
        "m4a": "audio/mp4",
        "aac": "audio/aac",
        "flac": "audio/flac",
        "ogg": "audio/ogg",
        "opus": "audio/ogg",
        "wav": "audio/wav",
        "pdf": "application/pdf",
        "epub": "application/epub+zip",
        "zip": "application/zip",
        "gz": "application/gzip",
        "tgz": "application/gzip",
        "bz2": "application/x-bzip2",
        "xz": "application/x-xz",
        "zst": "application/zstd",
        "tar": "application/x-tar",
        "7z": "application/x-7z-compressed",
        "whl": "application/zip",
    }
)
"""Lower-case extension without its dot -> Content-Type."""


def content_type(name: str) -> str:
    """The Content-Type for a file name."""
    stem, _, extension = name.rpartition(".")
    return CONTENT_TYPES.get(extension.lower(), DEFAULT_TYPE) if stem else DEFAULT_TYPE
