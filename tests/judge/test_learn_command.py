"""`h3push learn`: logs in, a plan out that the server reads, and every failure one sentence."""

import json
import sys
from pathlib import Path

import pytest

from h3push.plans.manifest import load_manifest

from .rows import LogOfTest


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Forty orders with items, and a style sheet that a third of the views take."""
    rows = LogOfTest()
    for number in range(40):
        page = f"/orders/{number}"
        rows.page(number, page)
        rows.member(number, f"{page}/items", page)
        if number % 3 == 0:
            rows.member(number, "/app.css", page, position=2)
    rows.lines[7] = "{nonsense"
    return rows.write(tmp_path / "access.jsonl")


def test_a_plan_is_what_the_server_reads(run, log, tmp_path):
    """The plan pushes what is certain, for every page of the route, and keeps the rest with its reason."""
    plan = tmp_path / "plan.json"
    result = run("learn", log, "-o", plan)
    assert result.code == 0
    assert "1 line could not be understood" in result.err
    assert "access.jsonl:8: {nonsense" in result.err
    assert "/orders/{1}" in result.out.decode()
    found = load_manifest(plan).plan("/orders/4711")
    assert found is not None
    assert [resource.path for resource in found.resources] == ["/orders/4711/items"]
    left = json.loads(plan.read_text())["/orders/{1}"]["/app.css"]
    assert (left["push"], left["verdict"]) == (False, "too unlikely")
    assert left["uses"] < left["trials"] <= 40
    assert 0 < left["bound"] < left["break_even"]


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_spark_makes_the_same_plan(run, log, tmp_path):
    """The whole command with a local Spark: routes, counts and verdicts are those of DuckDB."""
    pytest.importorskip("pyspark", reason="pyspark is not installed: pip install --group spark")
    plans = []
    for engine in ("duckdb", "spark"):
        plan = tmp_path / f"{engine}.json"
        result = run("learn", "--engine", engine, log, "-o", plan)
        assert result.code == 0, result.err
        plans.append(json.loads(plan.read_text()))
    assert plans[0].keys() == plans[1].keys()
    route, other = (plan["/orders/{1}"] for plan in plans)
    assert route.keys() == other.keys()
    for path in ("/orders/{1}/items", "/app.css"):
        assert {name: route[path][name] for name in ("push", "verdict", "uses", "trials")} == {
            name: other[path][name] for name in ("push", "verdict", "uses", "trials")
        }


def test_a_decision_can_be_asked_for(run, log, tmp_path):
    """--explain with logs and from a plan says the same."""
    plan = tmp_path / "plan.json"
    first = run("learn", log, "-o", plan, "--explain", "https://shop.example/orders/5?x=1")
    second = run("learn", "-o", plan, "--explain", "/orders/5")
    assert (first.code, second.code) == (0, 0)
    assert first.out == second.out
    text = second.out.decode()
    assert "push   /orders/{1}/items: used in" in text
    assert "leave  /app.css: used in" in text
    missing = run("learn", "-o", plan, "--explain", "/elsewhere")
    assert (missing.code, missing.err) == (26, f"h3push: {plan} has nothing for /elsewhere\n")


def test_failures_are_one_sentence(run, log, tmp_path, monkeypatch):
    """A file that is not there, logs without a page, a route that is none, a plan that is none, a missing extra."""
    assert run("learn").code == 2
    gone = run("learn", tmp_path / "gone")
    assert (gone.code, gone.err) == (26, f"h3push: cannot read {tmp_path / 'gone'}: no such file or directory\n")
    empty = tmp_path / "empty"
    empty.write_text("")
    nothing = run("learn", empty)
    assert (nothing.code, nothing.err.count("\n")) == (1, 1)
    assert run("learn", log, "--route", "orders").code == 2
    assert run("learn", "-o", log, "--explain", "/").code == 26
    assert run("learn", log, "-o", tmp_path / "no" / "plan.json").code == 23
    monkeypatch.setitem(sys.modules, "ibis", None)
    monkeypatch.setattr("h3push.judge.engine.find_spec", lambda name: None)
    missing = run("learn", log)
    assert missing.code == 1
    assert "pip install 'h3push[learn]'" in missing.err
