"""The status of a relay for a terminal."""

from typing import Any

_WIDTH = 40
"""Characters of the waterfall."""
_LOADS = 3
"""Loads that are shown."""
_ROWS = 40
"""Requests that are shown of each."""
MARKS = {"push": "=", "store": "*", "server": "-", "relay": "!"}
"""How a bar is drawn, by where the answer came from."""


def as_text(facts: dict[str, Any]) -> str:
    """The facts as lines."""
    lines = []
    for one in facts["origins"]:
        if one["connected"]:
            state = f"connected, round trip {one['round_trip']:g} ms, {one['lost_packets']} packets lost"
        else:
            state = f"not connected: {one['error'] or 'connecting'}"
        lines.append(f"{one['here']} -> {one['origin']}  {state}")
    requests, pushes, cache = facts["requests"], facts["pushes"], facts["cache"]
    why = ", ".join(f"{number} {name}" for name, number in pushes["cancelled"].items())
    lines += [
        "",
        f"round trips saved  {facts['round_trips_saved']}",
        f"requests           {requests['push']} by pushes, {requests['store']} by the cache, {requests['server']} by the origin, "
        f"{requests['relay']} refused, {requests['under_way']} under way",
        f"WebSockets         {requests['websockets']} open",
        f"pushes             {pushes['promised']} promised, {pushes['claimed']} claimed, {pushes['waiting']} waiting"
        + (f"; not used: {why}" if why else ""),
        f"push bytes         {pushes['bytes_claimed']:,} claimed, {pushes['bytes_wasted']:,} wasted",
        f"cache              {cache['responses']:,} responses, {cache['bytes']:,} of {cache['most_bytes']:,} bytes",
    ]
    for load in facts["loads"][:_LOADS]:
        lines += ["", *_waterfall(load)]
    if facts["loads"]:
        lines += ["", "= by a push   * by the cache   - by the origin   ! by the relay itself   . waiting"]
    return "\n".join(lines) + "\n"


def _waterfall(load: dict[str, Any]) -> list[str]:
    rows = load["rows"]
    end = max([row["ended"] or row["answered"] or row["began"] for row in rows] + [1.0])
    lines = [f"{load['origin']}: {len(rows) + load['more']} requests in {end:.0f} ms"]
    for row in rows[:_ROWS]:
        path = row["path"] if len(row["path"]) <= 44 else f"{row['path'][:20]}...{row['path'][-21:]}"
        ended = row["ended"] or end
        lines.append(f"  {row['status'] or '':3} {path:44} {_bar(row, end)} {ended - row['began']:6.0f} ms")
    hidden = len(rows) - _ROWS + load["more"]
    if hidden > 0:
        lines.append(f"  and {hidden} more")
    return lines


def _bar(row: dict[str, Any], end: float) -> str:
    began, answered, ended = (
        min(_WIDTH - 1, round((end if row[name] is None else row[name]) / end * (_WIDTH - 1)))
        for name in ("began", "answered", "ended")
    )
    mark = MARKS.get(row["source"], ".")
    return (" " * began + "." * (answered - began) + mark * (ended - answered + 1)).ljust(_WIDTH)
