"""Sites that the laboratory's tests measure."""

from h3push.lab.site import Site, SiteResource
from h3push.plans.plan import ResourceKind, Stage


def resource(path, named_in, size=2_000, kind=ResourceKind.FETCH, stage=Stage.DEFERRED, **more):
    return SiteResource(path=path, kind=kind, stage=stage, size=size, named_in=(named_in,), **more)


CHAIN = Site(
    name="chain",
    path="/orders",
    size=2_000,
    thinking=0.03,
    resources=(
        resource("/orders/1", "/orders"),
        resource("/customers/7", "/orders/1"),
        resource("/addresses/3", "/customers/7"),
    ),
)
"""An API chain of depth 3, four documents of 2 kB."""

PAGE = Site(
    name="page",
    path="/",
    size=8_000,
    resources=(
        resource("/base.css", "/", 6_000, ResourceKind.STYLE, Stage.BLOCKING, position=200),
        resource("/theme.css", "/", 6_000, ResourceKind.STYLE, Stage.BLOCKING, position=250),
        resource("/app.js", "/", 30_000, ResourceKind.SCRIPT, position=300),
        resource("/hero.png", "/", 12_000, ResourceKind.IMAGE, Stage.IMAGE, position=2_000),
        resource("/text.woff2", "/theme.css", 12_000, ResourceKind.FONT, Stage.FONT),
    ),
)
"""A page of 74 kB in two levels."""
