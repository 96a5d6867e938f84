"""The page of settings: every settings object that users can make, with units and defaults, from its source."""

import dataclasses
from typing import Any

from documented import paragraphs, table, under_each_name

import h3push
from h3push import testing
from h3push.proxy.settings import ProxySettings, UpstreamSettings
from h3push.relay.settings import RelaySettings

HEAD = """# Settings

Made from the code by `tools/reference.py`; do not edit by hand. The text beside each setting is the one in the source, with the
reason for the default. All of these are frozen dataclasses with keyword arguments. Those of `h3push relay` and `h3push proxy`
stand at the end; some of them are flags.


```python
import h3push

settings = h3push.ServerSettings(idle_timeout=60.0, max_connections=1_000)
```
"""

ENDINGS = {
    "seconds": ("timeout", "delay", "wait", "jitter", "grace", "interval", "seconds", "backoff", "keepalive"),
    "bytes": ("window", "water", "bytes", "size", "capacity", "mtu", "queue", "buffer"),
    "bits a second": ("rate",),
    "frames a second": ("flood_rate",),
    "probability": ("loss", "reorder", "duplicate"),
}
"""Unit -> how the names of settings in it end; the longest ending decides."""


OF_THE_RELAYS: list[type] = [RelaySettings, ProxySettings, UpstreamSettings]
"""Settings of commands: no public names, but bounds that people look up."""


def settings_classes() -> list[type]:
    """Every public class whose name ends with Settings or Config, in the order of the public names, and those of the relays."""
    names = [(h3push, name) for name in h3push.__all__] + [(testing, name) for name in testing.__all__]
    found = [getattr(module, name) for module, name in names if name.endswith(("Settings", "Config"))]
    return [thing for thing in found if dataclasses.is_dataclass(thing)] + OF_THE_RELAYS


def module_of(thing: type) -> str:
    """Where users find it."""
    for module in (h3push, testing):
        if thing.__name__ in module.__all__:
            return module.__name__
    return thing.__module__


def unit(name: str) -> str:
    """The unit of a setting; empty for a plain number or anything else."""
    endings = [(len(ending), unit) for unit, all_of in ENDINGS.items() for ending in all_of if name.endswith(ending)]
    return max(endings)[1] if endings else ""


def default(field: "dataclasses.Field[Any]") -> str:
    """The default as a reader takes it in: with its unit, in KiB where that is shorter."""
    if field.default_factory is not dataclasses.MISSING:
        return f"`{type(field.default_factory()).__name__}()`"
    value = field.default
    if value is dataclasses.MISSING:
        return "*must be given*"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (int, float)):
        return amount(value, unit(field.name))
    of = unit(field.name)
    return f"`{value!r}`" + (f", else {of}" if of else "")


def amount(value: float, of: str) -> str:
    """A number with its unit."""
    for size, name in ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB")):
        if of == "bytes" and value and value % size == 0:
            return f"{value // size:,} {name}"
    short = {"seconds": " s", "bits a second": " bit/s", "bytes": " bytes", "frames a second": " a second"}.get(of, "")
    return f"{value:,}{short}" if isinstance(value, int) else f"{value:g}{short}"


def page() -> str:
    """The page."""
    lines = [HEAD]
    for thing in settings_classes():
        module = module_of(thing)
        texts = under_each_name(thing)
        lines += [f"## `{module}.{thing.__name__}`", "", paragraphs(thing), ""]
        rows = [[f"`{one.name}`", default(one), texts.get(one.name, "")] for one in dataclasses.fields(thing)]
        lines += table(["setting", "default", "meaning"], rows)
    return "\n".join(lines)
