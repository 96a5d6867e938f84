"""`h3push serve`: a directory or an ASGI application over HTTP/3, pushing what its pages need."""

import os
from typing import Any

import rich_click as click

from h3push.cli.serve_log import configure_logs, say
from h3push.cli.serving.environment import misspelt_variables
from h3push.cli.serving.environment_file import environment_file_option
from h3push.cli.serving.flag import add_flags
from h3push.cli.serving.options import SUBJECTS, ServeOptions
from h3push.cli.serving.rereading import RereadCommand, rereader
from h3push.cli.serving.settings_file import config_option
from h3push.cli.workers import run


@click.command(
    cls=RereadCommand,
    context_settings={"show_default": True},
    epilog="Example: h3push serve public/ --dev, or h3push serve package.module:app --dev",
)
@click.rich_config(
    {"options_table_column_types": ["opt_all_metavar", "help"], "append_metavars_help_string": "{}"}
)  # narrow: a flag in each line
@click.argument("target", metavar="DIR_OR_APP")
@add_flags(list(SUBJECTS.values()))
def serve(**given: Any) -> int:
    """Serve the files of a directory, or an ASGI application given as module:app, over HTTP/3, HTTP/2 and HTTP/1.1.

    Clients that take pushes get a page's style sheets, scripts, fonts and images pushed with it, in the order in which the
    page needs them and each at most once on a connection. All other clients get 103 Early Hints. An application says itself
    what goes with a page, or --push-manifest does. Ctrl-C stops gracefully: responses under way are finished first. SIGHUP
    reads the certificate anew; with --workers, the application and --config too.

    Each flag is also an environment variable (--port is H3PUSH_PORT) and a key of --config (port = 4433). The command line
    counts before the environment, and that before the file.
    """
    options = ServeOptions.of(given)
    configure_logs(options.logs)
    for line in misspelt_variables(serve, os.environ):
        say(line)
    return run(options, rereader(ServeOptions.of))


serve.params += [config_option(), environment_file_option()]  # in this order: the file of flags may name the other one
