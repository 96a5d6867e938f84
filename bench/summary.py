"""The head of the page: five lines for who comes new, and a picture; `run.py` writes both from what it measured."""

from collections.abc import Iterator

from report import PAGE, Target, write_section
from samples import Figures
from scenarios import (
    AIOQUIC,
    AIOQUIC_DIRECT,
    APPLICATIONS,
    ASGI,
    ASGI_COMPILED,
    CADDY,
    COMPILED,
    HANDLER,
    HYPERCORN,
    IDLE_CONNECTIONS,
    NATIVE,
    NGINX,
    PUSHES,
    QH3,
)
from targets import pushed_costs

PICTURE = PAGE.with_suffix(".svg")
BARS = (NATIVE, COMPILED, HANDLER, AIOQUIC, AIOQUIC_DIRECT, QH3, *APPLICATIONS, CADDY, NGINX)
"""Servers of the picture; the cheapest is drawn first."""
TITLE = "CPU for one HTTP/3 request with 1 KB of response"
SUBTITLE = "microseconds of one core, less is better; 50 requests at once on one connection"

WIDTH, LEFT, LONGEST, ROW, TOP = 760, 190, 490, 26, 66
STYLE = """
.paper { fill: #ffffff } .text { fill: #24292f } .faint { fill: #57606a } .ours { fill: #1f6feb } .peer { fill: #8c959f }
text { font: 13px system-ui, sans-serif } .title { font-size: 16px; font-weight: 600 }
@media (prefers-color-scheme: dark) {
.paper { fill: #0d1117 } .text { fill: #e6edf3 } .faint { fill: #9198a1 } .ours { fill: #58a6ff } .peer { fill: #6e7681 }
}"""


def write_head(figures: Figures, targets: list[Target]) -> None:
    """Write the picture, and the section of the page that shows it."""
    PICTURE.write_text(picture(figures), encoding="utf-8")
    lines = "\n".join(f"* {line}" for line in sentences(figures, targets))
    write_section("summary", f"{lines}\n\n![{TITLE}, as bars]({PICTURE.name})")


def sentences(figures: Figures, targets: list[Target]) -> Iterator[str]:
    """The five lines; what was not measured is left out."""
    ours, name = _form(figures)
    yield " ".join(_requests(figures, ours, name))
    yield from filter(None, (_application(figures), _download(figures, ours), _pushes(figures, ours)))
    yield _connections(figures, ours) + _verdict(targets)


def _form(figures: Figures) -> tuple[str, str]:
    if figures.cost("requests-1x50", COMPILED) is not None:
        return COMPILED, "h3push as its wheel brings it (compiled)"
    return HANDLER, "h3push from a source tree (interpreted)"


def _requests(figures: Figures, ours: str, name: str) -> Iterator[str]:
    def per_second(server: str) -> str | None:
        cost = figures.cost("requests-1x50", server)
        return f"{round(1e6 / cost, -3):,.0f}" if cost else None

    yield f"One second of one core is enough for {per_second(ours) or '?'} requests with {name}."
    others = {
        "the same source interpreted": HANDLER,
        "a server in Rust (quinn and h3)": NATIVE,
        "qh3": QH3,
        "aioquic": AIOQUIC,
    }
    rest = [
        f"{per_second(server)} with {label}"
        for label, server in others.items()
        if server != ours and per_second(server)
    ]
    if rest:
        yield f"It is enough for {_listed(rest)}."


def _application(figures: Figures) -> str | None:
    ours = ASGI_COMPILED if figures.cost("hello-asgi", ASGI_COMPILED) is not None else ASGI
    hypercorn, caddy = (figures.cheaper("hello-asgi", ours, peer) for peer in (HYPERCORN, CADDY))
    if hypercorn is None:
        return None
    beside = f", and {_times(caddy)} as many as Caddy with a fixed text" if caddy else ""
    return f"With the same CPU an ASGI application answers {_times(hypercorn)} as many requests as under Hypercorn{beside}."


def _download(figures: Figures, ours: str) -> str | None:
    costs = {
        label: figures.cost("bulk", server)
        for label, server in (("Rust", NATIVE), ("aioquic", AIOQUIC), ("nginx", NGINX))
    }
    cost = figures.cost("bulk", ours)
    others = [f"{one:,.2g} s with {label}" for label, one in costs.items() if one]
    return f"A download of 1 GB takes {cost:,.2g} s of CPU; {_listed(others)}." if cost and others else None


def _pushes(figures: Figures, ours: str) -> str | None:
    handled, ready = pushed_costs(figures, ours)
    if handled is None:
        return None
    hand = f", {ready:.2f} times when its response is at hand" if ready is not None else ""
    peers = [
        f"{figure:.1f} times as much with {label}"
        for label, server in (("qh3", QH3), ("aioquic", AIOQUIC_DIRECT))
        if (figure := figures.cheaper("page-1k-pushed", ours, server)) is not None
    ]
    page = f"; a page with {PUSHES} pushes costs {_listed(peers)}" if peers else ""
    return f"A pushed response of 1 KB costs {handled:.2f} times a requested one{hand}{page}."


def _connections(figures: Figures, ours: str) -> str:
    idle = figures.rate("idle", ours)
    return (
        "" if idle is None else f"{IDLE_CONNECTIONS:,} idle connections hold {idle * IDLE_CONNECTIONS / 1000:,.0f} MB. "
    )


def _verdict(targets: list[Target]) -> str:
    measured = [target for target in targets if target.measured is not None]
    met = sum(target.met for target in measured)
    return f"Of {len(measured)} targets that this run measured {met} are met; [the table](#targets) says which."


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.1f} times"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def picture(figures: Figures) -> str:
    """The bars as SVG, with colours of its own for light and for dark screens."""
    costs = {name: cost for name in BARS if (cost := figures.cost("requests-1x50", name)) is not None}
    longest = max(costs.values(), default=1.0)
    height = TOP + ROW * len(costs) + 14
    rows = [
        _bar(name, cost, LONGEST * cost / longest, TOP + ROW * number)
        for number, (name, cost) in enumerate(sorted(costs.items(), key=lambda pair: pair[1]))
    ]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
        f"<title>{TITLE}: {'; '.join(f'{name} {cost:.0f} us' for name, cost in costs.items())}</title>",
        f"<style>{STYLE}\n</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="6"/>',
        f'<text class="text title" x="16" y="28">{TITLE}</text>',
        f'<text class="faint" x="16" y="48">{SUBTITLE}</text>',
        *rows,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _bar(name: str, cost: float, length: float, top: float) -> str:
    kind = "ours" if name.startswith("h3push") else "peer"
    text = f"{cost:.1f}" if cost < 100 else f"{cost:,.0f}"
    middle = top + ROW / 2 + 3
    return (
        f'<text class="text" x="{LEFT - 8}" y="{middle}" text-anchor="end">{name}</text>'
        f'<rect class="{kind}" x="{LEFT}" y="{top + 4}" width="{max(length, 1.5):.1f}" height="{ROW - 8}" rx="2"/>'
        f'<text class="faint" x="{LEFT + length + 6:.1f}" y="{middle}">{text}</text>'
    )
