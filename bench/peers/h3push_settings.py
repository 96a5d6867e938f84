"""Settings of h3push in the benchmark: the load client has one address, and opens more connections than a visitor may."""

from h3push.runtime.settings import ServerSettings

SETTINGS = ServerSettings(max_connections=20_000, max_connections_per_address=20_000)
