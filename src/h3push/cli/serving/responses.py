"""Header fields that responses get, over every version of HTTP."""

from dataclasses import dataclass

import rich_click as click

from h3push.cli.serving.flag import Subject, flag


@dataclass(frozen=True, slots=True, kw_only=True)
class Responses(Subject):
    """Fields of responses."""

    heading = "Responses"

    header: tuple[str, ...] = flag(
        "--header NAME:VALUE", "Add it where a response has none of that name.", multiple=True
    )
    date_header: bool = flag("--date-header/--no-date-header", "Add Date to responses.", default=True)

    @property
    def header_fields(self) -> list[tuple[str, str]]:
        """Name and value of each `--header`."""
        return [(name.strip(), value.strip()) for name, _, value in (one.partition(":") for one in self.header)]

    def check(self) -> None:
        """Refuse fields that no response can have."""
        from h3push.http.default_fields import DefaultFields

        for one in self.header:
            if ":" not in one:
                raise click.UsageError(f"--header takes NAME:VALUE, not {one!r}.")
        try:
            DefaultFields(self.header_fields)
        except ValueError as error:
            raise click.UsageError(f"--header: {error}.") from None
