"""The findings as JSON: everything that the table, the verdict and the plots show, in seconds and bytes."""

from typing import Any

from h3push.lab.findings import Cell, Findings
from h3push.lab.intervals import Interval
from h3push.lab.scenarios import Scenario
from h3push.lab.simulation import Run
from h3push.lab.verdict import verdict_of, verdict_sentence
from h3push.lab.ways import ORDER, LabWay


def record(findings: Findings) -> dict[str, Any]:
    """Give the findings as what `json.dumps` takes."""
    site = findings.site
    return {
        "site": {
            "name": site.name,
            "page": site.path,
            "resources": len(site.resources),
            "left_out": site.left_out,
            "content_bytes": site.content_bytes,
            "depth": site.depth,
        },
        "verdict": verdict_of(findings).name.lower(),
        "sentence": verdict_sentence(findings),
        "decided_by": findings.goal.value,
        "cells": [_cell(cell) for cell in findings.cells],
        "failed": [
            {**_scenario(one.visit.scenario), "way": one.visit.way.value, "seed": one.visit.seed, "reason": one.reason}
            for one in findings.failed
        ],
        "visits_not_made": findings.missing,
    }


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        **_scenario(cell.scenario),
        "best": cell.best.value,
        "gain": round(cell.gain, 4),
        "ways": {way.value: _way(cell, way) for way in ORDER},
    }


def _scenario(scenario: Scenario) -> dict[str, Any]:
    return {
        "round_trip": scenario.round_trip,
        "rate": scenario.rate,
        "loss": scenario.loss,
        "warm": scenario.cache.warm,
        "cached": scenario.cache.share,
    }


def _way(cell: Cell, way: LabWay) -> dict[str, Any]:
    measured = cell.measured[way]
    return {
        "shown": _interval(measured.shown),
        "complete": _interval(measured.complete),
        "bytes": measured.wire_bytes,
        "wasted_bytes": measured.wasted_bytes,
        **_pushes(measured.sample),
    }


def _pushes(run: Run) -> dict[str, int]:
    return {"pushes_used": run.pushes, "promises_refused": run.refused, "pushes_unused": run.unused}


def _interval(interval: Interval) -> dict[str, Any]:
    return {
        "median": round(interval.median, 9),
        "low": round(interval.low, 9),
        "high": round(interval.high, 9),
        "confidence": round(interval.confidence, 4),
        "visits": interval.count,
    }
