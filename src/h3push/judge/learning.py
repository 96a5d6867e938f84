"""Learning: from a table of evidence to routes with their candidates, counted. Expressions of Ibis, the same on every engine.

    rows ──▶ views      one for each page view: its route, the class of its client, what the path measured
         └─▶ members    one for each view and candidate: was it used, or wasted, or is that unknown?
                 └─▶ counts by route, candidate and class; medians of size, place and time

A candidate's trials are the views of its route, less those in which it was pushed and nobody said whether it was used: pushed
things are never asked for, so counting those either way would make a plan confirm or refute itself. Views that an experiment held
out of pushes tell for all of them: they keep the learning going while a plan is carried out.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from h3push.control.kinds import EvidenceClass
from h3push.control.routes import MAX_VALUES, Match
from h3push.judge.engine import Store
from h3push.judge.evidence import Candidate, Count, Route
from h3push.judge.routes import find_routes

if TYPE_CHECKING:
    from ibis.expr.types import BooleanValue, StringValue, Table

MAX_PAGES = 200_000
"""Different pages that are sorted into routes, those with the most views first."""
MIN_USES = 2
"""Uses below which something is no candidate: the long tail is not even listed."""
MIN_SHARE = 0.01
"""Share of a route's views below which something is no candidate."""

CLASSES = tuple(EvidenceClass)


class Tables(NamedTuple):
    """The evidence, in three tables."""

    views: "Table"
    """A row for each page view."""
    members: "Table"
    """A row for each view and candidate."""
    routes: Mapping[str, Match]
    """The route of each page."""


def tables_of(evidence: "Table", store: Store, given: Sequence[str] = ()) -> Tables:
    """Views and members. Raises `RouteError`."""
    rows = evidence.mutate(page=_without_query(evidence.page))
    pages = rows.filter(rows.position == 0)
    counted = pages.group_by("page").aggregate(n=pages.count())
    listed = counted.order_by([counted.n.desc(), counted.page]).limit(MAX_PAGES)
    routes = find_routes([row["page"] for row in _rows(listed)], given)
    mapping = store.table(_mapping(routes))
    views = store.keep(_views(pages, mapping))
    members = store.keep(_members(rows.filter(rows.position > 0), mapping, views, _reports(rows)))
    return Tables(views, members, routes)


def _without_query(text: "StringValue") -> "StringValue":
    import ibis

    return ibis.ifelse(text.contains("?"), text.re_extract(r"^[^?]*", 0), text)


def _mapping(routes: Mapping[str, Match]) -> dict[str, list[str]]:
    """Columns that lead from a page to its route and the values of its first placeholders."""
    columns: dict[str, list[str]] = {"page": list(routes), "route": [match.route for match in routes.values()]}
    for index in range(MAX_VALUES):
        columns[f"value_{index}"] = [(*match.values, "", "")[index] for match in routes.values()]
    return columns


def _views(pages: "Table", mapping: "Table") -> "Table":
    import ibis

    t = pages.join(mapping, "page")
    is_known = t.warm.notnull()
    kind = ibis.cases(
        (t.conditional.fill_null(False), CLASSES.index(EvidenceClass.RETURNING)),
        (t.warm.fill_null(False), CLASSES.index(EvidenceClass.WARM)),
        (is_known, CLASSES.index(EvidenceClass.NEW)),
        else_=CLASSES.index(EvidenceClass.UNKNOWN),
    )
    grouped = t.mutate(key=t["view"].hash(), kind=kind.cast("int8")).group_by("key")
    return grouped.aggregate(
        route=lambda t: t.route.min(),
        kind=lambda t: t.kind.max(),
        day=lambda t: t.time.substr(0, 10).min(),
        arm=lambda t: t.arm.min(),
        page_bytes=lambda t: t.bytes.max(),
        page_ms=lambda t: t.duration_ms.max(),
        think_ms=lambda t: t.think_ms.min(),
        rtt_ms=lambda t: t.rtt_ms.max(),
        window=lambda t: t.window.max(),
    )


def _reports(rows: "Table") -> "Table":
    """The reports of clients on pushes: connection, push ID, used or not."""
    both = []
    for column, used in (("pushes_used", True), ("pushes_unused", False)):
        said = rows.filter(rows[column].notnull())
        both.append(said.select("connection", push_id=said[column].unnest()).mutate(reported=used))
    reports = both[0].union(both[1])
    grouped = reports.group_by(["connection", "push_id"])
    return grouped.aggregate(reported=reports.reported.cast("int8").min()).rename(
        reporter="connection", said_of="push_id"
    )


def _members(rows: "Table", mapping: "Table", views: "Table", reports: "Table") -> "Table":
    t = rows.join(mapping, "page")
    t = t.left_join(reports, [t.connection == reports.reporter, t.push_id == reports.said_of])
    t = t.mutate(key=t["view"].hash(), candidate=_candidate(t), pushed=t.push_id.notnull())
    cancelled = t.pushed & (t.outcome == "cancelled by the client")
    good = t.status.notnull() & (t.status < 400)
    use = (~t.pushed & good) | (t.pushed & (t.reported == 1).fill_null(False))
    waste = t.pushed & (cancelled | (t.reported == 0).fill_null(False))
    t = t.mutate(use=use.cast("int8"), waste=waste.cast("int8"), is_push=t.pushed.cast("int8"))
    t = t.mutate(cancelled=cancelled.cast("int8"), ended=t.since_page_ms + t.duration_ms)
    grouped = t.group_by(["key", "candidate"])
    members = grouped.aggregate(
        use=lambda t: t.use.max(),
        waste=lambda t: t.waste.max(),
        is_push=lambda t: t.is_push.max(),
        cancelled=lambda t: t.cancelled.max(),
        size=lambda t: t.bytes.max(),
        position=lambda t: t.position.min(),
        since=lambda t: t.since_page_ms.min(),
        ended=lambda t: t.ended.max(),
    )
    return members.join(views.select("key", "route", "kind", "day", "arm"), "key")


def _candidate(t: Any) -> "StringValue":
    """The path of a row, with its page's values replaced by the placeholders of the route."""
    import ibis

    path = t.path.concat("/")
    for index in range(MAX_VALUES):
        value = t[f"value_{index}"]
        replaced = path.replace(ibis.literal("/").concat(value, "/"), f"/{{{index + 1}}}/")
        path = ibis.ifelse(value == "", path, replaced)
    result: StringValue = ibis.ifelse(t.value_0 == "", t.path, path.substr(0, path.length() - 1))
    return result


def learn(tables: Tables, max_routes: int) -> list[Route]:
    """Count: the routes with the most views first, each with its candidates."""
    import ibis

    views, members = tables.views, tables.members
    by_route = _rows(
        views.group_by("route")
        .aggregate(
            views=views.count(),
            page_bytes=views.page_bytes.cast("float64").median(),
            think_ms=views.think_ms.quantile(0.1),
            rtt_ms=views.rtt_ms.median(),
            window=views.window.cast("float64").median(),
        )
        .order_by([ibis.desc("views"), "route"])
        .limit(max_routes)
    )
    by_class = _rows(views.group_by(["route", "kind"]).aggregate(views=views.count()))
    trials = {(row["route"], int(row["kind"])): int(row["views"]) for row in by_class}
    counted, medians = _counts(members), _medians(members)
    found: dict[str, list[Candidate]] = {}
    for (route, path), counts in counted.items():
        if (route, path) in medians:
            candidate = _make_candidate(path, counts, trials, route, medians[route, path])
            found.setdefault(route, []).append(candidate)
    return [_make_route(row, found.get(row["route"], [])) for row in by_route]


def _counts(members: "Table") -> dict[tuple[str, str], dict[int, tuple[int, int]]]:
    """By route and candidate: by class, the uses and the views that do not tell."""
    unknown = _is_unknown(members)
    table = members.group_by(["route", "candidate", "kind"]).aggregate(
        uses=members.use.cast("int64").sum(), unknown=unknown.cast("int64").sum()
    )
    found: dict[tuple[str, str], dict[int, tuple[int, int]]] = {}
    for row in _rows(table.filter(table.uses + table.unknown >= 1)):
        counts = found.setdefault((row["route"], row["candidate"]), {})
        counts[int(row["kind"])] = (int(row["uses"]), int(row["unknown"]))
    return found


def _is_unknown(members: "Table") -> "BooleanValue":
    result: BooleanValue = (members.use == 0) & (members.waste == 0) & (members.is_push == 1)
    return result


def _medians(members: "Table") -> dict[tuple[str, str], dict[str, Any]]:
    table = members.group_by(["route", "candidate"]).aggregate(
        seen=members.use.cast("int64").sum() + members.is_push.cast("int64").sum(),
        size=members["size"].cast("float64").median(),
        position=members.position.cast("float64").median(),
        since=members.since.median(),
    )
    return {(row["route"], row["candidate"]): row for row in _rows(table.filter(table.seen >= MIN_USES))}


def _make_candidate(
    path: str, counts: dict[int, tuple[int, int]], trials: dict[tuple[str, int], int], route: str, row: dict[str, Any]
) -> Candidate:
    by_class = {}
    for number, kind in enumerate(CLASSES):
        possible = trials.get((route, number), 0)
        if possible:
            uses, unknown = counts.get(number, (0, 0))
            tried = max(0, possible - unknown)
            by_class[kind] = Count(min(uses, tried), tried)
    total = Count(sum(one.uses for one in by_class.values()), sum(one.trials for one in by_class.values()))
    return Candidate(
        path=path,
        total=total,
        by_class=by_class,
        size=_number(row["size"]) or 0.0,
        position=_number(row["position"]) or 0.0,
        since_page_ms=_number(row["since"]) or 0.0,
    )


def _make_route(row: dict[str, Any], candidates: list[Candidate]) -> Route:
    needed = max(MIN_USES, MIN_SHARE * int(row["views"]))
    listed = [one for one in candidates if one.total.uses >= needed or one.total.trials < int(row["views"])]
    return Route(
        route=row["route"],
        views=int(row["views"]),
        page_bytes=_number(row["page_bytes"]) or 0.0,
        think_ms=_number(row["think_ms"]),
        rtt_ms=_number(row["rtt_ms"]),
        window=_number(row["window"]),
        candidates=tuple(sorted(listed, key=lambda one: (one.position, one.since_page_ms, one.path))),
    )


def _number(value: Any) -> float | None:
    return None if value is None or value != value else float(value)


def _rows(table: "Table") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pyarrow().to_pylist()
    return rows
