"""The command line, for the tests of the judgement."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from h3push.cli import main


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., SimpleNamespace]:
    """Run the command line in this process: exit code, stdout and stderr."""

    def run(*arguments: object) -> SimpleNamespace:
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        output = capfdbinary.readouterr()
        return SimpleNamespace(code=exit_.value.code, out=output.out, err=output.err.decode())

    return run
