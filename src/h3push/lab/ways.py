"""The ways to deliver what goes with a page, and what each has a server do.

All of them use the delivery of `h3push serve`, with the plan that they name::

    none           nothing
    preload        Link fields with the page
    103            Link fields at once, before the page is made
    push planned   a promise for each resource of the plan, at once, first what is needed first
    push all       a promise for everything on the page, at once, in the order of the page

A way with pushes differs from the others in its client too: it takes them.
"""

from collections.abc import Sequence
from enum import Enum

from h3push.http.priority import Priority
from h3push.lab.site import Site, SiteResource
from h3push.plans.manifest import Manifest
from h3push.plans.plan import PlannedResource, PlanSource, PushPlan


class LabWay(Enum):
    """A way to deliver what goes with a page, the plainest first."""

    NONE = "none"
    """The client finds everything by itself."""
    PRELOAD = "preload"
    """Link fields of the page's response name everything (RFC 8288, `rel=preload`)."""
    EARLY_HINTS = "103"
    """A 103 response names everything as soon as the request is there (RFC 8297)."""
    PUSH_PLANNED = "push planned"
    """The resources of the plan are pushed, first what is needed first; the rest is left to the client."""
    PUSH_ALL = "push all"
    """Everything is pushed, in the order in which the page names it."""

    @property
    def pushes(self) -> bool:
        """True when the client takes pushes."""
        return self in {LabWay.PUSH_PLANNED, LabWay.PUSH_ALL}


ORDER = tuple(LabWay)
"""The plainest first: of ways that are equally fast, the first one is the best."""


def plan_of(site: Site, way: LabWay, manifest: Manifest | None) -> PushPlan:
    """Give what a way delivers with the page.

    The plan of `PUSH_PLANNED` is what `manifest` says of the page; without one, what `h3push serve` plans: all that the page
    needs, in the order of `Stage`.
    """
    resources: Sequence[PlannedResource]
    if way is LabWay.NONE:
        resources = ()
    elif way is LabWay.PUSH_ALL:
        resources = [_in_order(resource) for resource in site.resources]
    elif way is LabWay.PUSH_PLANNED:
        named = None if manifest is None else manifest.plan(site.path)
        resources = _by_need(site) if named is None else named.resources
    else:
        resources = _by_need(site)
    return PushPlan(site.path, PlanSource.MANIFEST, tuple(resources))


def _by_need(site: Site) -> list[PlannedResource]:
    return [resource.planned() for resource in sorted(site.resources, key=lambda resource: resource.stage)]


def _in_order(resource: SiteResource) -> PlannedResource:
    """A resource that is pushed in its turn, whatever it is for."""
    return PlannedResource(
        resource.path, resource.kind, resource.stage, resource.named_in[0], wanted_priority=Priority()
    )
