"""Settings of h3push in the benchmark.

The load client has one address, opens more connections than a visitor may, and leaves them idle until all are open.
"""

from h3push.runtime.settings import ServerSettings

SETTINGS = ServerSettings(idle_timeout=300.0, max_connections=20_000, max_connections_per_address=20_000)
