"""Figures for Prometheus: where each comes from, how processes are summed, and what a reader gets."""

import json
import re
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import h3push
from h3push.delivery.counters import DeliveryCounters
from h3push.metrics import families
from h3push.metrics.listener import MetricsListener, PageCollector
from h3push.metrics.page import MetricsPage
from h3push.metrics.tally import Tally
from h3push.server.access_log import AccessLog
from h3push.server.counters import ServerCounters
from h3push.tcp.sockets import listen
from h3push.testing import World, in_world

LARGE = 1_000_000
DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana.json"


def figures(page: MetricsPage, tally: Tally | None = None) -> dict[str, float]:
    """What a reader sees, by name and labels; what is 0 left out."""
    registry = CollectorRegistry()
    registry.register(PageCollector(page, tally))
    text = generate_latest(registry).decode()
    return {
        sample.name.removeprefix("h3push_") + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.value
    }


def stand_in() -> Any:
    """A server without connections, whose counters a test may set."""
    return SimpleNamespace(counters=ServerCounters(), connections=0, companion=None)


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/":
        await h3push.push(scope, "/a.css", "/b.css")
    if scope["path"] == "/large":
        await h3push.push(scope, "/large.css")
    if scope["path"] == "/broken":
        raise RuntimeError
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": bytes(LARGE if scope["path"] == "/large.css" else 1000)})


def counted(scenario: Any, *, max_pushes: int | None = 10) -> dict[str, float]:
    """What was counted of a scenario."""
    page = MetricsPage(1)

    async def measured(world: World) -> Tally:
        server = world.server.server
        tally = Tally(page, 0, server, world.server.handler.delivery.counters)
        server.access_log.observer = tally
        await scenario(world)
        return tally

    options: dict[str, Any] = {"serve": h3push.serve_asgi, "lifespan": False, "access_log": AccessLog(None)}
    tally = in_world(app, measured, max_pushes=max_pushes, **options)
    return figures(page, tally)


def test_requests_and_pushes_are_counted_apart() -> None:
    """A page with two pushes is one request; what was pushed has counts of its own."""

    async def scenario(world: World) -> None:
        await world.visit("/")
        await world.visit("/missing")

    shown = counted(scenario)
    assert shown["requests_total 200 3"] == 2
    assert shown["response_bytes_total 3"] == 2000
    assert shown["response_start_seconds_count 3"] == shown["response_duration_seconds_count 3"] == 2
    assert shown["pushes_promised_total"] == shown["pushes_total fulfilled"] == 2
    assert shown["pushed_bytes_total complete"] == 2000
    assert shown["handshakes_total completed"] == 1


def test_a_failed_handler_is_a_request_with_status_500(caplog: pytest.LogCaptureFixture) -> None:
    """What an application breaks is seen by status and as a failure."""

    async def scenario(world: World) -> None:
        await world.visit("/broken")

    shown = counted(scenario)
    assert shown["requests_total 500 3"] == shown["handler_failures_total"] == 1


def test_pushes_without_credit_and_hints_are_counted() -> None:
    """A client that grants one push gets one; the other is refused for credit and named in one 103."""

    async def scenario(world: World) -> None:
        await world.visit("/")

    shown = counted(scenario, max_pushes=1)
    assert shown["push_refusals_total no_push_credit"] == shown["early_hints_total"] == 1
    assert (shown["resources_total push"], shown["resources_total early_hint"]) == (1, 1)


def test_bytes_of_a_cancelled_push_are_wasted() -> None:
    """What a client calls off is shown under who called it off, with the bytes that went out."""

    async def scenario(world: World) -> None:
        response = await world.client.request("GET", "/large")
        async for push in response.pushes():
            push.cancel()
        await response.read()
        await world.visit("/other")

    shown = counted(scenario)
    assert shown["pushes_total cancelled_by_client"] == 1
    assert "pushed_bytes_total complete" not in shown
    assert 0 < shown["pushed_bytes_total cancelled_by_client"] < LARGE


def test_reported_pushes_count_with_their_content() -> None:
    """A client's Push-Report says which pushes saved a request, and which content was for nothing."""

    async def scenario(world: World) -> None:
        await world.visit("/")
        await world.visit("/other", headers=[("push-report", "used=(0), unused=(1)")])

    shown = counted(scenario)
    assert (shown["pushes_reported_total used"], shown["pushes_reported_total unused"]) == (1, 1)
    assert (shown["pushed_bytes_reported_total used"], shown["pushed_bytes_reported_total unused"]) == (1000, 1000)


def test_processes_are_summed() -> None:
    """Two processes, one figure; each writes to its own row alone."""
    page = MetricsPage(2)
    tallies = [Tally(page, number, stand_in(), DeliveryCounters()) for number in range(2)]
    for count, tally in enumerate(tallies, 1):
        tally._server.counters.connections = count
        tally.sample()
    assert figures(page)["handshakes_total completed"] == 3
    assert figures(page)["workers"] == 2


def test_connections_are_told_by_what_they_speak() -> None:
    """Those over TCP are the companion's, and all workers' are summed."""
    page = MetricsPage(2)
    for number, over_tcp in enumerate(({"1.1": 2, "2": 1}, {"1.1": 5})):
        server = stand_in()
        server.connections = 3
        server.companion = SimpleNamespace(connections=lambda over_tcp=over_tcp: over_tcp)
        Tally(page, number, server, DeliveryCounters()).sample()
    shown = figures(page)
    assert {name: count for name, count in shown.items() if name.startswith("connections")} == {
        "connections 1.1": 7,
        "connections 2": 1,
        "connections 3": 6,
    }


def test_counts_outlive_their_process() -> None:
    """A worker that ended without a word leaves its counts, and its successor on the row adds to them; its state ends with it."""
    page = MetricsPage(2)
    first = Tally(page, 1, stand_in(), DeliveryCounters())
    first._server.counters.connections, first._server.connections = 5, 4
    first.sample()
    page.clear_gauges(1)  # the supervisor, when it sees the end
    shown = figures(page)
    assert shown["handshakes_total completed"] == 5
    assert "connections 3" not in shown
    assert "workers" not in shown
    second = Tally(page, 1, stand_in(), DeliveryCounters())
    second._server.counters.connections = 2
    second.sample()
    shown = figures(page)
    assert (shown["handshakes_total completed"], shown["worker_starts_total"]) == (7, 2)


def test_a_reader_gets_all_of_it_from_any_process() -> None:
    """The port answers with the sum of the page, and with the latest counts of its own process."""
    page = MetricsPage(2)
    other = Tally(page, 1, stand_in(), DeliveryCounters())
    other._server.counters.connections = 3
    other.sample()
    own = Tally(page, 0, stand_in(), DeliveryCounters())
    listening = listen(("127.0.0.1", 0), 16)
    listener = MetricsListener(listening, page, own)
    listener.start()
    try:
        own._server.counters.connections = 4
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
    finally:
        listener.close()
    assert 'h3push_handshakes_total{outcome="completed"} 7.0' in text
    assert "text/plain" in answer.headers["content-type"]


def test_the_dashboard_asks_for_nothing_that_does_not_exist() -> None:
    """Every metric and every label that a query of deploy/grafana.json names is one of ours, and no family is forgotten."""
    dashboard = json.loads(DASHBOARD.read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    suffixes = {families.Kind.COUNTER: ["_total"], families.Kind.GAUGE: [""], families.Kind.HISTOGRAM: ["_bucket"]}
    known = {
        families.PREFIX + family.name + suffix: {*family.labels, "le", "job", "instance"}
        for family in families.FAMILIES
        for suffix in suffixes[family.kind]
    }
    asked = set()
    for query in queries:
        names = re.findall(r"h3push_\w+", query)
        assert len(names) == 1, query
        asked.add(names[0])
        labels = {*re.findall(r"(\w+)=~?\"", query), *re.findall(r"by \((\w+)\)", query)}
        assert labels <= known[names[0]], query
    assert asked == set(known)
    assert len(queries) > 12


def test_the_page_names_every_metric_and_no_other() -> None:
    """With the labels that it has, so that a query can be written from the page alone."""
    page = (DASHBOARD.parents[1] / "docs" / "howto" / "metrics.md").read_text()
    rows = re.findall(r"^\| `h3push_(\w+)` \| (.*?) \|", page, re.MULTILINE)
    told = {name.removesuffix("_total"): tuple(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    assert told == {family.name: family.labels for family in families.FAMILIES}
