"""Measure the judgement: what `--push learned` pushes, uses and wastes beside four other ways, and whether its goals are met.

Everything runs on the real client, server and QUIC in virtual time, and the same seed gives the same figures on every machine;
but for the time of a decision, which is this machine's; by the clock it includes what others do on the machine.
Each way serves the same page views of the same crowd: links of 20, 100
and 300 ms and of 5 and 50 Mbit/s, half of the connections by clients that were there before, one to four pages on a connection,
caches that live as long as the client. The clients are those of the laboratory and know nothing of how the server decides.

* **no push**: the client finds everything by itself. Clients heed hints and take pushes in all other ways.
* **103**: a static list for each page, of what at least half of its views need, in a 103 response.
* **push everything**: all that a page may need.
* **static manifest**: the same list as for 103, pushed.
* **Jetty's referer learning**: what was asked for within four seconds of a page is pushed with the page from then on, sixteen
  resources at most and not for conditional requests, as Jetty's PushCacheFilter does.
* **learned**: the controller, with 3 % of the connections held out, that begins with the names of the static
  list, and knows nothing of their use.

Pushes used are those of all promises, refused ones included. Bytes wasted are those of unused pushes that the server had handed
to QUIC, of all bytes that clients needed and of these. Figures of traffic are those of its second half.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from random import Random

import numpy as np
from judgement_sites import Pages, bundled, chain, documentation, shop
from judgement_traffic import LINKS, WAYS, Client, Origin, Seen, session, traffic
from report import markdown_table, text_table, write_section

from h3push.control.controller import Controller
from h3push.control.effect import MIN_ARM, Effect
from h3push.control.kinds import Arm
from h3push.control.model import Model, ViewSeen
from h3push.control.page import Page
from h3push.control.snapshot import model_of_text, model_to_text
from h3push.judge.bounds import difference

WAIT = 200
"""Page views after a deployment within which the budget has to be kept again."""
EXPERIMENTS = 1_000
"""Repetitions of an experiment, for how often its interval holds the truth."""
ARM = 60
"""Views in each arm of such an experiment."""


@dataclass(frozen=True)
class Traffic:
    """What one way made of the traffic of one site."""

    seen: list[Seen]
    model: str = ""
    """What was learned."""
    seconds: tuple[float, ...] = ()
    """Times of decisions, by the clock."""
    cpu_seconds: tuple[float, ...] = ()
    """Their processor time."""
    views: tuple[ViewSeen, ...] = ()
    """What the controller saw."""

    def part(self, begin: int, end: int | None = None) -> "Share":
        chosen = self.seen[begin:end]
        wasted = sum(one.wasted for one in chosen)
        return Share(
            sum(one.promised for one in chosen),
            sum(one.used for one in chosen),
            wasted,
            wasted + sum(one.content for one in chosen),
            statistics.fmean(one.complete for one in chosen),
        )


@dataclass(frozen=True)
class Share:
    """Figures of some page views."""

    promised: int
    used: int
    wasted: int
    total: int
    mean: float

    @property
    def use(self) -> float:
        return self.used / self.promised if self.promised else 1.0

    @property
    def waste(self) -> float:
        return self.wasted / self.total if self.total else 0.0


class Frozen(Controller):
    """Decides by what it knows, and learns nothing more."""

    def _learn(self, page: Page) -> None:
        pass


def run_traffic(pages: Pages, way: str, count: int, seed: int, hold_out: float, deploy_at: int | None) -> Traffic:
    """The traffic of a site in one way."""
    controller = Controller(Model()) if way == "learned" else None
    views: list[ViewSeen] = []
    if controller is not None:
        controller.measure, controller.on_view = True, views.append
    origin = Origin(pages, way, controller)
    seen = traffic(origin, count, seed=seed, hold_out=hold_out if controller else 0.0, deploy_at=deploy_at)
    if controller is None:
        return Traffic(seen)
    return Traffic(
        seen,
        model_to_text(controller.model),
        tuple(controller.counters.seconds),
        tuple(controller.counters.cpu_seconds),
        tuple(views),
    )


Cell = tuple[str, float, int, bool, dict[str, float]]


def run_cells(pages: Pages, model: str, link: tuple[float, int]) -> list[Cell]:
    """Each page over one link, cold and warm, without a cache: seconds by way, all for the same view."""
    found: list[Cell] = []
    frozen = Frozen(model_of_text(model, 0.02))
    for number, page in enumerate(pages.pages):
        for warm in (False, True):
            view = pages.view(page, Random(f"cell {number}"))
            times = {}
            for way in ("no push", "103", "learned"):
                origin = Origin(pages, way, frozen if way == "learned" else None)
                client = Client(*link, takes_pushes=way == "learned")
                times[way] = session(origin, client, [view], seed=number, warm=warm)[0].complete
            found.append((page.path, *link, warm, times))
    return found


def coverage(views: Sequence[ViewSeen]) -> tuple[float, float]:
    """How often the intervals hold the truth: Welch's of reports, and the sequence's of the controller at all of its moments.

    The arms of a long experiment are taken for the whole population, so the truth is known; experiments are drawn from it.
    """
    arms = {arm: np.array([v.complete_ms for v in views if v.arm is arm and v.complete_ms is not None]) for arm in Arm}
    hint, push = arms[Arm.HINT], arms[Arm.PUSH]
    truth = float(hint.mean() - push.mean())
    random = np.random.default_rng(11)
    held = always = 0
    for _ in range(EXPERIMENTS):
        interval = difference(random.choice(hint, ARM).tolist(), random.choice(push, ARM).tolist())
        held += interval.low <= truth <= interval.high
    repeats = EXPERIMENTS // 10
    for _ in range(repeats):
        effect, ever = Effect(), False
        for _ in range(600):
            arm = Arm(random.choice(["hint", "push", "none"], p=[0.25, 0.5, 0.25]))
            effect.add(arm, float(random.choice(arms[arm])), 0.5, "")
            if min(effect.views["hint"], effect.views["push"]) >= MIN_ARM:
                ever |= not effect.saved.low <= truth <= effect.saved.high
        always += not ever
    return held / EXPERIMENTS, always / repeats


@dataclass(frozen=True)
class Goal:
    """One line of the table of goals."""

    name: str
    measured: str
    goal: str
    is_met: bool


def percent(share: float, digits: int = 1) -> str:
    return f"{share * 100:.{digits}f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--views", type=int, default=1_000, help="page views of each site in each way (1000)")
    parser.add_argument("--seed", type=int, default=1, help="another seed is another crowd (1)")
    parser.add_argument("--no-write", action="store_true", help="leave docs/reference/benchmarks.md as it is")
    parser.add_argument(
        "--without-documentation", action="store_true", help="leave out the site that has to be fetched"
    )
    arguments = parser.parse_args()
    count, seed = arguments.views, arguments.seed
    if count < 3 * WAIT:
        parser.error(f"--views: {3 * WAIT} at least")
    sites, notes = [bundled(), chain(), shop()], []
    found = "it was left out" if arguments.without_documentation else documentation()
    if isinstance(found, Pages):
        sites.insert(1, found)
    else:
        notes.append(f"No documentation site: {found}.")
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        runs = {
            (site.name, way): pool.submit(run_traffic, site, way, count, seed, 0.03, None)
            for site in sites
            for way in WAYS
        }
        deployed = {
            site.name: pool.submit(run_traffic, site, "learned", count, seed + 1, 0.03, count // 2)
            for site in sites
            if site.is_cached
        }
        experiment = pool.submit(run_traffic, chain(), "learned", 600, seed + 2, 0.5, None)
        results = {key: one.result() for key, one in runs.items()}
        learned = {site.name: results[site.name, "learned"] for site in sites}
        cells_of = {
            site.name: [pool.submit(run_cells, site, learned[site.name].model, link) for link in LINKS]
            for site in sites
        }
        after = {name: one.result() for name, one in deployed.items()}
        cells = {name: [cell for one in parts for cell in one.result()] for name, parts in cells_of.items()}
        held, always = coverage(experiment.result().views)
    ways = way_table(sites, results, count)
    goals = goal_table(sites, learned, after, cells, held, always, count)
    report(ways, goals, cell_table(cells), notes, write=not arguments.no_write)
    sys.exit(0 if all(goal.is_met for goal in goals) else 1)


def way_table(sites: Sequence[Pages], results: dict[tuple[str, str], Traffic], count: int) -> list[list[str]]:
    rows = []
    for site in sites:
        plain = results[site.name, "no push"].part(count // 2).mean
        for way in WAYS:
            part = results[site.name, way].part(count // 2)
            use = percent(part.use) if part.promised else "-"
            row = [
                site.name,
                way,
                f"{part.mean * 1000:.1f}",
                f"{(part.mean / plain - 1) * 100:+.1f} %",
                f"{part.promised:,}",
            ]
            rows.append([*row, use, percent(part.waste)])
    return rows


def goal_table(
    sites: Sequence[Pages],
    learned: dict[str, Traffic],
    after: dict[str, Traffic],
    cells: dict[str, list[Cell]],
    held: float,
    always: float,
    count: int,
) -> list[Goal]:
    parts = [learned[site.name].part(count // 2) for site in sites]
    back = [one.part(count // 2 + WAIT) for one in after.values()]
    everything = [cell for found in cells.values() for cell in found]
    slower = [cell for cell in everything if cell[4]["learned"] > 1.01 * cell[4]["no push"]]
    behind = [cell for cell in everything if cell[4]["learned"] > 1.01 * cell[4]["103"]]
    chains = [1 - c[4]["learned"] / c[4]["no push"] for c in cells["API chain"] if c[1] >= 0.1]
    seconds = [second for one in learned.values() for second in one.seconds]
    cpu = sorted(second for one in learned.values() for second in one.cpu_seconds)
    promised, used = sum(p.promised for p in parts), sum(p.used for p in parts)
    waste, later = max(p.waste for p in parts), max(p.waste for p in back)
    reuse = sum(p.used for p in back) / max(1, sum(p.promised for p in back))
    late = sorted(seconds)[int(len(seconds) * 0.99)] * 1e3
    busy = cpu[int(len(cpu) * 0.99)] * 1e3
    median = statistics.median(seconds) * 1e3
    total = len(everything)
    return [
        Goal("pushes used", percent(used / promised), ">= 90 %", used / promised >= 0.9),
        Goal("bytes wasted, at the site with the most", percent(waste, 2), "<= 2 %", waste <= 0.02),
        Goal(f"the same, from {WAIT} views after a deployment on", percent(later, 2), "<= 2 %", later <= 0.02),
        Goal("pushes used then", percent(reuse), ">= 90 %", reuse >= 0.9),
        Goal("cells more than 1 % slower than no push", f"{len(slower)} of {total}", "0", not slower),
        Goal("cells more than 1 % slower than 103", f"{len(behind)} of {total}", "<= 1 %", len(behind) <= total / 100),
        Goal("API chain, 100 ms and more: faster than no push by", percent(min(chains)), ">= 50 %", min(chains) >= 0.5),
        Goal("90 % intervals of reports that hold the truth", percent(held), "85 to 95 %", 0.85 <= held <= 0.95),
        Goal("90 % sequences that hold it at every moment", percent(always), ">= 90 %", always >= 0.9),
        Goal("a decision, median", f"{median:.3f} ms", "<= 0.1 ms", median <= 0.1),
        Goal(
            "a decision, 99 of 100: processor time (by the clock)",
            f"{busy:.3f} ms ({late:.3f} ms)",
            "<= 1 ms",
            busy <= 1.0,
        ),
    ]


def cell_table(cells: dict[str, list[Cell]]) -> list[list[str]]:
    rows = []
    for name, found in cells.items():
        for trip, rate in LINKS:
            for warm in (False, True):
                times = [cell[4] for cell in found if cell[1:4] == (trip, rate, warm)]
                plain, hint, push = (
                    statistics.fmean(one[way] for one in times) for way in ("no push", "103", "learned")
                )
                link = f"{trip * 1000:.0f} ms, {rate / 1e6:.0f} Mbit/s, {'warm' if warm else 'cold'}"
                figures = [f"{seconds * 1000:.1f}" for seconds in (plain, hint, push)]
                rows.append(
                    [name, link, *figures, f"{(push / plain - 1) * 100:+.1f} %", f"{(push / hint - 1) * 100:+.1f} %"]
                )
    return rows


def report(
    ways: list[list[str]], goals: Sequence[Goal], cells: list[list[str]], notes: Sequence[str], *, write: bool
) -> None:
    tables = [
        ("The goals", ["", "measured", "goal", ""],
         [[goal.name, goal.measured, goal.goal, "pass" if goal.is_met else "SHORT"] for goal in goals]),
        ("Beside the other ways", ["site", "way", "mean ms", "to no push", "promises", "used", "bytes wasted"], ways),
        ("By link, without a cache, mean of the site's pages, ms",
         ["site", "link", "no push", "103", "learned", "to no push", "to 103"], cells),
    ]  # fmt: skip
    page = [(__doc__ or "").partition("\n\n")[2].strip(), *notes]
    for heading, header, rows in tables:
        print(f"\n{heading}\n\n{text_table(header, rows)}\n")
        page += [f"### {heading}", markdown_table(header, rows)]
    print("\n".join(notes))
    if write:
        write_section("judgement", "\n\n".join(page))


if __name__ == "__main__":
    main()
