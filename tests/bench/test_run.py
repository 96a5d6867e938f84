"""The benchmark beside the peers: what it would measure is there, and what it says of figures follows from them."""

import importlib
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parent.parent.parent / "bench"
NAMES = (
    "samples",
    "scenarios",
    "servers",
    "programs",
    "targets",
    "summary",
    "run",
    "clients",
    "over_tcp",
    "counted_work",
)


@pytest.fixture(scope="module")
def bench() -> Iterator[dict[str, ModuleType]]:
    paths = [str(BENCH), str(BENCH / "peers")]
    sys.path[:0] = paths
    try:
        yield {name: importlib.import_module(name) for name in NAMES}
    finally:
        for path in paths:
            sys.path.remove(path)


def figures(bench: dict[str, Any], costs: dict[str, float]) -> Any:
    """Every scenario measured for every server: a server's cost is the same in each of them."""
    sample = bench["samples"].Sample
    return bench["samples"].Figures(
        {
            (scenario.key, name): [sample(1e6 / costs.get(name, 100.0), costs.get(name, 100.0))]
            for scenario in bench["scenarios"].SCENARIOS
            for name in scenario.servers
        }
    )


def test_each_server_of_a_scenario_exists(bench: dict[str, Any]) -> None:
    """A name that no server has would end the run in its middle."""
    servers = {server.name: server for server in bench["servers"].all_servers()}
    for scenario in bench["scenarios"].SCENARIOS:
        assert set(scenario.servers) <= set(servers)
        assert len(set(scenario.servers)) == len(scenario.servers)
    for server in servers.values():
        assert server.version or server.missing, server.name


def test_both_forms_are_measured_wherever_one_is(bench: dict[str, Any]) -> None:
    """The interpreted row stands below the compiled one in every table."""
    for scenario in bench["scenarios"].SCENARIOS:
        for name in scenario.servers:
            if name.startswith("h3push") and not name.endswith(", compiled"):
                assert f"{name}, compiled" in scenario.servers


def test_the_form_that_is_not_built_is_missing_with_a_sentence(
    bench: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an absent environment nor one with the interpreted form gives a row that says "compiled"."""
    servers = bench["servers"]
    for python, reason in ((tmp_path / "python", "make install COMPILED=1"), (Path(sys.executable), "does not have")):
        monkeypatch.setattr(servers, "COMPILED_PYTHON", python)
        monkeypatch.setattr(servers, "compiled_python", lambda python=python: [str(python)])
        version, missing = servers.compiled_form.__wrapped__()
        if python.exists() and version is not None:
            pytest.skip("this Python has the compiled form")
        assert reason in missing


def test_both_forms_run_on_the_same_python(
    bench: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compiled row of another interpreter would tell the gain of both as that of one."""
    servers, python = bench["servers"], tmp_path / "python"
    for version, compiled in ((sys.version, "h3push 1.0, compiled"), ("3.11.99 (other)", None)):
        python.write_text(f"#!/bin/sh\ncat <<'END'\n1.0 True {version!a}\nEND\n", encoding="ascii")
        python.chmod(0o755)
        monkeypatch.setattr(servers, "COMPILED_PYTHON", python)
        told, missing = servers.compiled_form.__wrapped__()
        assert told == compiled
        assert ("3.11.99" in missing) == (compiled is None)


def test_an_nginx_without_http3_is_passed_over(
    bench: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that has it is found behind it; without any the sentence names what was seen."""
    programs = bench["programs"]
    for name, modules in (("old", ""), ("new", "--with-http_v3_module")):
        script = tmp_path / name
        script.write_text(
            f"#!/bin/sh\necho 'nginx version: nginx/1.{len(name)}.{len(modules)}' {modules}\n", encoding="utf-8"
        )
        script.chmod(0o755)
    monkeypatch.delenv("H3PUSH_NGINX", raising=False)
    monkeypatch.setattr(programs, "_nginx_on_path", lambda: [(str(tmp_path / "old"),)])
    monkeypatch.setattr(programs, "_nginx_of_newer_debian", lambda: [(str(tmp_path / "new"),)])
    assert programs.nginx_program().command == (str(tmp_path / "new"),)
    monkeypatch.setenv("H3PUSH_NGINX", str(tmp_path / "old"))
    assert "nginx 1.3.0 has no HTTP/3" in programs.nginx_program()


def test_targets_are_judged_by_cpu(bench: dict[str, Any]) -> None:
    """A server that takes a tenth of a peer's CPU does ten times as much with the same; the rate decides nothing."""
    targets = bench["targets"]
    held = {one.text: one for one in targets.compiled_targets(figures(bench, {"h3push, compiled": 10.0}), 1.01)}
    assert held["bulk: nginx"].row[1:] == ["10.00", "10.00", ">= 1.3", "pass"]
    assert held["bulk: aioquic"].row[1:] == ["10.00", "10.00", ">= 40", "SHORT"]
    assert held["ASGI hello: Caddy"].row[1:] == ["1.00", "1.00", ">= 2", "SHORT"]
    assert held["CPU for a request, 1,000 connections / 10"].row[1:] == ["1.00", "", "<= 1.2", "pass"]
    # A page costs as much pushed as requested: 21 requests, so a push costs as much as a request.
    assert held["a pushed 1 KB response / a requested one"].measured == pytest.approx(1.0)
    assert sum(one.text.startswith("interpreted") for one in held.values()) == 1
    assert all(one.measured is not None for one in targets.interpreted_targets(figures(bench, {})))


def test_nothing_measured_is_no_target_met(bench: dict[str, Any]) -> None:
    """An empty run passes nothing, and still has its head."""
    nothing = bench["samples"].Figures({})
    held = bench["targets"].compiled_targets(nothing, None)
    assert {one.row[-1] for one in held} == {"not measured"}
    assert not any(one.met for one in held)
    assert list(bench["summary"].sentences(nothing, held))


def test_the_head_of_the_page_is_five_lines_and_a_picture(bench: dict[str, Any]) -> None:
    """Bars are as long as what they stand for."""
    measured = figures(bench, {"h3push, compiled": 10.0, "aioquic": 400.0})
    held = bench["targets"].compiled_targets(measured, 1.0)
    lines = list(bench["summary"].sentences(measured, held))
    assert len(lines) == 5
    assert lines[0].startswith(
        "One second of one core is enough for 100,000 requests with h3push as its wheel brings it"
    )
    root = ElementTree.fromstring(bench["summary"].picture(measured))
    bars = [float(one.get("width", "")) for one in root.iter() if one.get("class") in {"ours", "peer"}]
    assert len(bars) == len(bench["summary"].BARS)
    assert max(bars) / min(bars) == pytest.approx(40, rel=0.01)


def test_the_clients_table_has_both_forms(bench: dict[str, Any]) -> None:
    """Each target of the interpreted client is one of the compiled client, too."""
    clients = bench["clients"]
    names = [client.name for client in clients.CLIENTS]
    assert {clients.OURS_COMPILED, clients.OURS, clients.TRANSPORT_COMPILED, clients.TRANSPORT} <= set(names)
    nothing = clients.Bench.__new__(clients.Bench)
    nothing.results = {}
    texts = [target.text for target in clients.targets(nothing)]
    assert sorted(text for text in texts if "compiled" not in text) == sorted(
        text.replace(", compiled", "") for text in texts if "compiled" in text
    )


def test_what_people_would_pick_instead_stands_beside_http3(bench: dict[str, Any], tmp_path: Path) -> None:
    """The table of HTTP/2 has uvicorn, granian and the same application over HTTP/3."""
    from h3push.server.certificates import development_certificates

    over_tcp = bench["over_tcp"]
    _, servers = over_tcp.scenarios(development_certificates(tmp_path), 1.0)[over_tcp.HTTP2]
    names = [server.name for server in servers]
    assert {"uvicorn", "granian", over_tcp.OVER_HTTP3, f"{over_tcp.OVER_HTTP3}, compiled"} <= set(names)
