"""What a measurement is, and what its functions are given. Standard library only: the peer's environment reads it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Samples = dict[str, list[float]]
SIDES = ("ours", "floor", "peer")


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        file_mib: Size of the large file in MiB.
        artifacts: Artifacts in the registry that is queried.
        frame_rows: Rows of the data frame of artifacts.
        rows: Rows of the table.
        cells: Observations of the annotated matrix.
        genes: Variables of the annotated matrix.
        writers: Processes that save at the same time.
        saves: Saves of each of these processes.
        steps: Dagster steps in one run.
        folder_files: Files of the folder that is saved in many versions.
        folder_changes: Files of it that change from version to version.
        folder_versions: Versions of it.
        folder_peer_versions: Versions of it that the peer saves at most; it copies every file each time.
    """

    file_mib: int = 2048
    artifacts: int = 100_000
    frame_rows: int = 1_000
    rows: int = 1_000_000
    cells: int = 20_000
    genes: int = 2_000
    writers: int = 8
    saves: int = 25
    steps: int = 20
    folder_files: int = 10_000
    folder_changes: int = 10
    folder_versions: int = 1_000
    folder_peer_versions: int = 100

    def scaled_down(self) -> Sizes:
        """Return sizes for a try of the command itself; the ratios at these sizes say little."""
        return Sizes(
            file_mib=64,
            artifacts=5_000,
            frame_rows=1_000,
            rows=50_000,
            cells=1_000,
            genes=500,
            saves=5,
            steps=5,
            folder_files=200,
            folder_versions=10,
        )


@dataclass(frozen=True)
class Job:
    """What a function of a measurement is given.

    Attributes:
        root: Folder of the measurement; `root / "ours"` is the folder of one side.
        folder: Folder of this side; it is the working directory, and kept from round to round.
        sizes: How much to measure.
        samples: How often to repeat within this process.
        database_url: Database of this side, where the measurement has a server; else None.
    """

    root: Path
    folder: Path
    sizes: Sizes
    samples: int
    database_url: str | None = None

    def to_json(self) -> str:
        """Return the job as the argument of a worker."""
        return json.dumps({**asdict(self), "root": str(self.root), "folder": str(self.folder)})

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Read the argument of a worker."""
        fields: dict[str, Any] = json.loads(text)
        return cls(
            root=Path(fields["root"]),
            folder=Path(fields["folder"]),
            sizes=Sizes(**fields["sizes"]),
            samples=fields["samples"],
            database_url=fields["database_url"],
        )


@dataclass(frozen=True)
class Metric:
    """One row of the table.

    Attributes:
        name: Name in the samples.
        title: Title of the row; `{rows}` and the like are replaced by the sizes.
        unit: `"s"`, `"MB"`, `"statements"` or `"1/s"`; of the last one more is better.
        as_difference: Whether to state what ours takes above the floor, and not how many times the floor.
    """

    name: str
    title: str
    unit: str = "s"
    as_difference: bool = False


@dataclass(frozen=True)
class Measurement:
    """One measurement: a module of `benchmarks.measurements`, and how to run it.

    Attributes:
        name: Name on the command line.
        module: Module with the functions.
        metrics: Rows of the table.
        sides: Which sides take part.
        rounds: How often the sides take their turns.
        samples: Repetitions of one side in one turn.
        needs_postgres: Whether each side is given a database on a Postgres server.
    """

    name: str
    module: str
    metrics: tuple[Metric, ...]
    sides: tuple[str, ...] = SIDES
    rounds: int = 3
    samples: int = 10
    needs_postgres: bool = False


@dataclass
class Result:
    """Samples of one measurement by side and metric, and what went wrong."""

    measurement: Measurement
    samples: dict[str, Samples] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, side: str, samples: Samples) -> None:
        """Take in what one turn of a side measured."""
        of_side = self.samples.setdefault(side, {})
        for name, values in samples.items():
            of_side.setdefault(name, []).extend(values)
