"""The names that h3push gives its users."""

import h3push
from h3push import errors


def test_every_name_is_there_and_named_once() -> None:
    assert len(h3push.__all__) == len(set(h3push.__all__))
    for name in h3push.__all__:
        assert getattr(h3push, name) is not None


def test_every_public_class_says_what_it_is() -> None:
    for name in h3push.__all__:
        thing = getattr(h3push, name)
        if isinstance(thing, type):
            assert thing.__doc__, name


def test_every_error_is_given() -> None:
    raised = {name for name, thing in vars(errors).items() if isinstance(thing, type) and issubclass(thing, Exception)}
    assert raised - {"Exception"} <= set(h3push.__all__)


def test_the_version_is_a_version() -> None:
    assert h3push.__version__[0].isdigit()
