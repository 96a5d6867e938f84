"""Settings of the whole suite."""

import signal

from hypothesis import settings

# The same examples in every run, and none of them judged by the clock of a machine that may be busy.
settings.register_profile("h3push", deadline=None, derandomize=True)
settings.load_profile("h3push")

# A shell that starts the tests in the background has them ignore Ctrl-C, and every program that they start would too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
