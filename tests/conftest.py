"""Settings of the whole suite."""

from hypothesis import settings

# The same examples in every run, and none of them judged by the clock of a machine that may be busy.
settings.register_profile("h3push", deadline=None, derandomize=True)
settings.load_profile("h3push")
