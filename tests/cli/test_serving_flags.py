"""The flags of `h3push serve`: declared once, as fields of the subject that carries their values."""

from dataclasses import dataclass, fields

import rich_click as click
from click.testing import CliRunner

from h3push.cli.serve import serve
from h3push.cli.serving.flag import Subject, add_flags, flag
from h3push.cli.serving.options import SUBJECTS, ServeOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather(Subject):
    heading = "Weather"
    wind: float = flag("--wind --breeze SPEED", "How fast.", default=1.5, type=float)
    rain: bool = flag("--rain", "It rains.")
    place: tuple[str, ...] = flag("--place NAME", "Where.", multiple=True)


def given(*arguments):
    taken = []

    @click.command()
    @add_flags([Weather])
    def command(**given):
        taken.append(Weather.taken_from(given))
        assert not given

    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    return taken[0] if taken else result.output


def test_a_flag_is_declared_by_the_field_that_has_its_value():
    """Every spelling sets it, and a subject made without a command line has the same defaults."""
    assert given() == Weather() == Weather(wind=1.5, rain=False, place=())
    assert given("--breeze", "2", "--rain", "--place", "a", "--place", "b") == Weather(
        wind=2, rain=True, place=("a", "b")
    )


def test_the_help_has_a_panel_for_each_subject():
    """With a flag in each line."""
    shown = given("--help")
    assert "─ Weather ─" in shown
    assert "How fast." in shown


def test_every_subject_is_a_field_of_the_options():
    """A subject that is listed is parsed, and one that is a field is listed: none of its flags is lost on the way."""
    assert {one.name: one.type for one in fields(ServeOptions) if one.name != "target"} == dict(SUBJECTS)
    names = {one.name for subject in SUBJECTS.values() for one in fields(subject)}
    assert {one.name for one in serve.params} - {"target"} == names
