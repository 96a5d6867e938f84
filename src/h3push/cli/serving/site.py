"""How the files of a directory are served."""

from dataclasses import dataclass

from h3push.cli.serving.flag import Subject, flag


@dataclass(frozen=True, slots=True, kw_only=True)
class Site(Subject):
    """The directory, where one is served."""

    heading = "Directory"

    charset: str | None = flag("--charset NAME", "Encoding of the text in DIR.  [default: each file says its own]")
    browse: bool = flag("--browse", "List directories that have no index.html.")
    spa: bool = flag("--spa", "Answer paths of pages that are not there with /index.html.")
    cache_control: tuple[str, ...] = flag(
        "--cache-control PATTERN=VALUE",
        "Such as '/a/*=max-age=60'; 'hashed': a year for hashed names.",
        multiple=True,
    )
    compress: bool = flag("--compress", "Compress text that has no .br, .zst or .gz beside it.")
    follow_symlinks: bool = flag("--follow-symlinks", "Serve what symbolic links out of DIR lead to.")
