"""The status of a relay for a browser: one page that loads nothing, and shows what `/.h3push/events` tells."""

import base64
import hashlib

STYLE = """
:root { color-scheme: light dark; --line: #8884; --push: #2a9d5c; --store: #3b7dd8; --server: #c77d1e; --relay: #c0392b; }
* { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.25rem; margin: 0 0 .75rem; } h2 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
.origin { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem; margin-bottom: .5rem; }
.origin small { display: block; opacity: .75; }
.dot { display: inline-block; width: .65rem; height: .65rem; border-radius: 50%; margin-right: .4rem; background: var(--relay); }
.dot.on { background: var(--push); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .5rem; margin: .75rem 0; }
.figure { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .8rem; }
.figure b { display: block; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
.figure span { opacity: .75; font-size: .85rem; }
.row { display: grid; grid-template-columns: 2.4rem minmax(0, 2fr) minmax(0, 3fr) 4.5rem; gap: .5rem; align-items: center;
  font-size: .85rem; border-top: 1px solid var(--line); padding: .15rem 0; }
.row .path { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.row .ms { text-align: right; font-variant-numeric: tabular-nums; }
.track { position: relative; height: .8rem; } .track i { position: absolute; height: 100%; min-width: 2px; border-radius: 2px; }
.wait { opacity: .35; } .push { background: var(--push); } .store { background: var(--store); }
.server { background: var(--server); } .relay { background: var(--relay); }
.key { font-size: .85rem; }
.key span { white-space: nowrap; margin-right: .8rem; }
.key i { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; margin-right: .3rem; }
@media (max-width: 36rem) {
  .row { grid-template-columns: 2.4rem minmax(0, 1fr) 4.5rem; } .row .track { grid-column: 1 / -1; grid-row: 2; }
}
"""

SCRIPT = """
"use strict";
const at = id => document.getElementById(id);
function element(name, kind, text) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}
const number = value => value.toLocaleString("en");
const size = bytes => bytes < 1e4 ? number(bytes) + " B" : bytes < 1e7 ? number(Math.round(bytes / 1e3)) + " kB"
  : number(Math.round(bytes / 1e6)) + " MB";
function origin(one) {
  const box = element("div", "origin");
  box.append(element("span", one.connected ? "dot on" : "dot"), element("strong", "", one.here), " \\u2192 " + one.origin);
  box.append(element("small", "", one.connected
    ? `round trip ${one.round_trip} ms, ${number(one.lost_packets)} packets lost, connection ${one.connections_so_far}`
    : `not connected: ${one.error || "connecting"}`));
  return box;
}
function figure(value, text) {
  const box = element("div", "figure");
  box.append(element("b", "", value), element("span", "", text));
  return box;
}
function bar(kind, from, to, end) {
  const made = element("i", kind);
  made.style.left = 100 * from / end + "%";
  made.style.width = 100 * Math.max(0, to - from) / end + "%";
  return made;
}
function load(one) {
  const box = element("section");
  const end = Math.max(1, ...one.rows.map(row => row.ended ?? row.answered ?? row.began));
  box.append(element("h2", "", `${one.origin}: ${one.rows.length + one.more} requests in ${Math.round(end)} ms`));
  for (const row of one.rows) {
    const line = element("div", "row"), track = element("span", "track");
    const answered = row.answered ?? end, kind = row.source || "server";
    track.append(bar("wait " + kind, row.began, answered, end), bar(kind, answered, row.ended ?? end, end));
    const path = element("span", "path", row.path);
    path.title = row.path;
    line.append(element("span", "", row.status || ""), path, track,
      element("span", "ms", row.ended === null ? "\\u2026" : Math.round(row.ended - row.began) + " ms"));
    box.append(line);
  }
  return box;
}
function show(facts) {
  at("origins").replaceChildren(...facts.origins.map(origin));
  const pushes = facts.pushes, requests = facts.requests;
  at("figures").replaceChildren(
    figure(number(facts.round_trips_saved), "round trips saved"),
    figure(number(requests.push), "answered by pushes"),
    figure(number(requests.store), "answered by the cache"),
    figure(number(requests.server), "answered by the origin"),
    figure(number(requests.websockets), "WebSockets open"),
    figure(size(pushes.bytes_claimed), "pushed and used"),
    figure(size(pushes.bytes_wasted), "pushed in vain"),
    figure(number(facts.cache.responses), size(facts.cache.bytes) + " in the cache"));
  at("loads").replaceChildren(...facts.loads.map(load));
}
const events = new EventSource("/.h3push/events");
events.onmessage = event => { at("state").textContent = ""; show(JSON.parse(event.data)); };
events.onerror = () => { at("state").textContent = "The relay does not answer."; };
"""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


POLICY = (
    f"default-src 'none'; script-src {_hash(SCRIPT)}; style-src {_hash(STYLE)}; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: nothing runs but what stands here."""

PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>h3push relay</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
</head>
<body>
<h1>h3push relay</h1>
<p id="state" role="status">Connecting</p>
<div id="origins"></div>
<div id="figures" class="figures"></div>
<p class="key"><span><i class="push"></i>by a push</span> <span><i class="store"></i>by the cache</span>
<span><i class="server"></i>by the origin</span> <span><i class="relay"></i>by the relay itself</span></p>
<div id="loads"></div>
<script>{SCRIPT}</script>
</body>
</html>
"""
"""The page."""
