"""The names that h3push gives its users."""

import ast
from pathlib import Path

import h3push
from h3push import errors

SOURCE = Path(__file__).parents[1] / "src"


def test_every_name_is_there_and_named_once() -> None:
    assert len(h3push.__all__) == len(set(h3push.__all__))
    for name in h3push.__all__:
        assert getattr(h3push, name) is not None


def test_every_public_class_says_what_it_is() -> None:
    """In the source, from which the documentation is made: mypyc keeps no docstring of a class."""
    for name in h3push.__all__:
        thing = getattr(h3push, name)
        if isinstance(thing, type) and thing.__module__ == "h3push._quic":
            assert thing.__doc__, name
        elif isinstance(thing, type):
            module = SOURCE.joinpath(*thing.__module__.split(".")).with_suffix(".py")
            classes = [
                node for node in ast.walk(ast.parse(module.read_text("utf-8"))) if isinstance(node, ast.ClassDef)
            ]
            (found,) = [node for node in classes if node.name == thing.__name__]
            assert ast.get_docstring(found), name


def test_every_error_is_given() -> None:
    raised = {name for name, thing in vars(errors).items() if isinstance(thing, type) and issubclass(thing, Exception)}
    assert raised - {"Exception"} <= set(h3push.__all__)


def test_the_version_is_a_version() -> None:
    assert h3push.__version__[0].isdigit()
