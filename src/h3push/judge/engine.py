"""The engine that counts: DuckDB in this process, or Spark, behind the same Ibis expressions; and its tables of evidence.

What is read is kept in tables of the engine, one for a group of files, so that counting twice does not mean reading twice, and an
interruption keeps what was read until then. DuckDB's tables lie in a file of a temporary directory: memory stays bounded.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from h3push.errors import H3PushError
from h3push.judge.evidence import COLUMNS

if TYPE_CHECKING:
    import ibis
    from ibis.expr.types import Table

MEMORY = "1200MB"
"""The memory that DuckDB may hold; beyond it, it goes to disk."""
_SQL_TYPES = {
    "string": "VARCHAR",
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "boolean": "BOOLEAN",
    "array<int64>": "BIGINT[]",
}
_SPARK_TYPES = _SQL_TYPES | {"string": "STRING", "array<int64>": "ARRAY<BIGINT>"}


class EngineMissing(H3PushError):
    """A library that the engine needs is not installed; the sentence says how to install it."""


class Engine(Enum):
    """The engine that counts."""

    DUCKDB = "duckdb"
    """In this process; enough for some hundred million rows."""
    SPARK = "spark"
    """A Spark session: the one that `spark-submit` or `SPARK_REMOTE` names, else one on this machine."""


def require(engine: Engine) -> None:
    """Raise `EngineMissing` unless what the engine needs is installed."""
    modules = {Engine.DUCKDB: ("ibis", "duckdb", "scipy"), Engine.SPARK: ("ibis", "pyspark", "scipy")}[engine]
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        extra = "learn" if engine is Engine.DUCKDB else "spark"
        raise EngineMissing(f"{', '.join(missing)} is not installed: pip install 'h3push[{extra}]'")


def is_interruption(error: Exception) -> bool:
    """True for what an engine raises in place of `KeyboardInterrupt`: DuckDB has a plain RuntimeError for it."""
    return "interrupt" in type(error).__name__.lower() or "query interrupted" in str(error).lower()


class Store:
    """The tables of one reading.

    Args:
        engine: who counts.
        directory: an empty directory for what does not fit into memory; the caller removes it.
    """

    def __init__(self, engine: Engine, directory: Path) -> None:
        require(engine)
        self._engine = engine
        self._kept = 0
        self.directory = directory
        """Holds the tables."""
        self.connection: ibis.BaseBackend = _duckdb(directory) if engine is Engine.DUCKDB else _spark()
        """Ibis's."""

    def json_lines(self, paths: Sequence[Path], compression: str | None) -> "Table":
        """Our own JSON lines: the columns of `COLUMNS`; a line that is none has null everywhere."""
        names = [str(path) for path in paths]
        connection: Any = self.connection
        if self._engine is Engine.SPARK:
            schema = ", ".join(f"`{name}` {_SPARK_TYPES[kind]}" for name, kind in COLUMNS.items())
            return self._typed(connection.read_json(names, schema=schema))
        return self._typed(
            connection.read_json(
                names,
                columns={name: _SQL_TYPES[kind] for name, kind in COLUMNS.items()},
                format="newline_delimited",
                compression=compression or "uncompressed",
                ignore_errors=True,
            )
        )

    def parquet(self, paths: Sequence[Path]) -> "Table":
        """Rows that were written by `rows.write`."""
        connection: Any = self.connection
        names = [str(path) for path in paths]
        if self._engine is Engine.SPARK:
            return self._typed(connection.read_parquet(names[0] if len(names) == 1 else str(paths[0].parent)))
        return self._typed(connection.read_parquet(names))

    def table(self, columns: Mapping[str, Sequence[str]]) -> "Table":
        """A small table of strings."""
        import ibis

        if self._engine is Engine.DUCKDB:
            return ibis.memtable(dict(columns), schema=dict.fromkeys(columns, "string"))
        from pyspark.sql import SparkSession

        self._kept += 1
        name = f"kept_{self._kept}"
        session = SparkSession.active()
        schema = ", ".join(f"`{column}` STRING" for column in columns)
        session.createDataFrame(list(zip(*columns.values(), strict=True)), schema).createOrReplaceTempView(name)
        return self.connection.table(name)

    def keep(self, table: "Table") -> "Table":
        """Compute a table now, and keep it."""
        self._kept += 1
        if self._engine is Engine.SPARK:
            return table.cache()
        return self.connection.create_table(f"kept_{self._kept}", table)

    def close(self) -> None:
        """Give back what the engine holds."""
        self.connection.disconnect()

    @staticmethod
    def _typed(table: "Table") -> "Table":
        return table.select(**{name: table[name].cast(kind) for name, kind in COLUMNS.items()})


def _duckdb(directory: Path) -> "ibis.BaseBackend":
    import ibis

    return ibis.duckdb.connect(
        directory / "evidence.duckdb",
        memory_limit=MEMORY,
        temp_directory=str(directory),
        preserve_insertion_order=False,
    )


def _spark() -> "ibis.BaseBackend":
    import os

    import ibis
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("h3push learn").config("spark.sql.session.timeZone", "UTC")
    if not SparkConf().get("spark.master", None) and "SPARK_REMOTE" not in os.environ:
        builder = builder.master("local[*]").config("spark.ui.enabled", "false")
        builder = builder.config("spark.sql.shuffle.partitions", "8")
    return ibis.pyspark.connect(builder.getOrCreate())
