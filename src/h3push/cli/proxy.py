"""`h3push proxy`: HTTP/3 and push in front of any server of HTTP/1.1 or HTTP/2."""

from importlib.util import find_spec
from typing import Any

import rich_click as click

from h3push.cli.failures import CommandFailed
from h3push.cli.serve_log import configure_logs
from h3push.cli.serving.environment_file import environment_file_option
from h3push.cli.serving.flag import add_flags
from h3push.cli.serving.options import ProxyOptions
from h3push.cli.serving.rereading import RereadCommand, rereader
from h3push.cli.serving.settings_file import config_option
from h3push.cli.workers import run


@click.command(
    cls=RereadCommand,
    context_settings={"show_default": True},
    epilog="Example: h3push proxy localhost:8000 --dev",
)
@click.rich_config(
    {"options_table_column_types": ["opt_all_metavar", "help"], "append_metavars_help_string": "{}"}
)  # narrow: a flag in each line
@click.argument("upstream", metavar="UPSTREAM...", nargs=-1, required=True)
@add_flags(list(ProxyOptions.subjects().values()))
def proxy(**given: Any) -> int:
    """Put HTTP/3, HTTP/2 and HTTP/1.1 in front of any HTTP server, and push what its pages need.

    UPSTREAM is http://HOST:PORT, https://HOST, h2c://HOST:PORT, HOST:PORT, :PORT or unix:/PATH. Of several, the one with the
    fewest requests gets the next, and one that cannot be reached is left out for a while. What is pushed: what the upstream
    names in Link fields with rel=preload, and in 103; what --push-manifest names; and what pages and style sheets name, which
    are read as they pass through. Clients that take no pushes get 103 Early Hints.
    """
    for library, extra in (("zttp", "proxy"), ("h2", "proxy")):
        if find_spec(library) is None:
            raise CommandFailed(f"{library} is not installed: pip install 'h3push[{extra}]'")
    options = ProxyOptions.of(given)
    configure_logs(options.logs)
    return run(options, rereader(ProxyOptions.of))


proxy.params += [config_option(), environment_file_option()]  # in this order: the file of flags may name the other one
