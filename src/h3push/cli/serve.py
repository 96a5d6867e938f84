"""`h3push serve`: a directory or an ASGI application over HTTP/3, pushing what its pages need."""

from typing import Any

import rich_click as click

from h3push.cli.serving.flag import add_flags
from h3push.cli.serving.options import SUBJECTS, ServeOptions
from h3push.cli.workers import run


@click.command(
    context_settings={"show_default": True},
    epilog="Example: h3push serve public/ --dev, or h3push serve package.module:app --dev",
)
@click.argument("target", metavar="DIR_OR_APP")
@add_flags(list(SUBJECTS.values()))
def serve(**given: Any) -> int:
    """Serve the files of a directory, or an ASGI application given as module:app, over HTTP/3, HTTP/2 and HTTP/1.1.

    Clients that take pushes get a page's style sheets, scripts, fonts and images pushed with it, in the order in which the
    page needs them and each at most once on a connection. All other clients get 103 Early Hints. An application says itself
    what goes with a page, or --push-manifest does. Ctrl-C stops gracefully: responses under way are finished first. SIGHUP
    reads the certificate anew; with --workers, the application too.
    """
    return run(ServeOptions.of(given))
