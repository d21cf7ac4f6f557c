"""Small TileDB-SOMA stores, made by tiledbsoma; also as a program, to make one in another process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tiledbsoma

SCHEMA = pa.schema(
    [
        ("soma_joinid", pa.int64()),
        ("cell", pa.dictionary(pa.int8(), pa.large_string(), ordered=False)),
        ("größe", pa.large_string()),
        ("score", pa.float64()),
        ("ok", pa.bool_()),
        ("when", pa.timestamp("us")),
    ]
)


def table(**changed: Any) -> pa.Table:
    """Six observations with nulls of every kind; columns can be replaced."""
    columns: dict[str, Any] = {
        "soma_joinid": pa.array(range(6), pa.int64()),
        "cell": pa.DictionaryArray.from_arrays(
            pa.array([0, 1, None, 1, 0, 0], pa.int8()), pa.array(["T", "B"], pa.large_string())
        ),
        "größe": pa.array(["ä", "", None, "測", "x", "longer text"], pa.large_string()),
        "score": pa.array([1.5, None, float("nan"), -0.0, 0.0, 1e300]),
        "ok": pa.array([True, None, False, True, True, False]),
        "when": pa.array([1, None, 3, 4, 5, 6], pa.timestamp("us")),
    }
    return pa.table(columns | changed)


def write(
    path: Path,
    obs: Any = None,
    *,
    schema: Any = SCHEMA,
    pieces: int = 1,
    domain: int = 9,
    counts: tuple[tuple[int, int, float], ...] = ((0, 0, 1.0), (3, 2, 2.5), (5, 1, 0.0)),
    metadata: dict[str, Any] | None = None,
    measurement: str = "RNA",
    dense: Any = None,
    platform: Any = None,
) -> Path:
    """Write an experiment: ``pieces`` says in how many fragments, the last rows first."""
    obs = table() if obs is None else obs
    with tiledbsoma.Experiment.create(str(path)) as experiment:
        experiment.metadata.update(metadata or {})
        experiment.add_new_dataframe("obs", schema=schema, domain=[(0, domain)], platform_config=platform)
        made: Any = experiment.add_new_collection("ms").add_new_collection(measurement, tiledbsoma.Measurement)
        layers = made.add_new_collection("X")
        matrix = layers.add_new_sparse_ndarray("data", type=pa.float32(), shape=(10, 4), platform_config=platform)
        for cells in np.array_split(np.arange(len(counts)), pieces)[::-1]:
            if len(cells):
                rows, columns, values = zip(*(counts[i] for i in cells), strict=True)
                content = {"soma_dim_0": rows, "soma_dim_1": columns, "soma_data": pa.array(values, pa.float32())}
                matrix.write(pa.table(content))
        values = np.arange(12, dtype="int32").reshape(3, 4) if dense is None else dense
        array = layers.add_new_dense_ndarray("dense", type=pa.from_numpy_dtype(values.dtype), shape=values.shape)
        array.write(tuple(slice(0, n - 1) for n in values.shape), pa.Tensor.from_numpy(np.ascontiguousarray(values)))
    # Opened again: tiledbsoma loses the categories of a table that is written by the handle that created it.
    for rows in np.array_split(np.arange(len(obs)), pieces)[::-1]:
        with tiledbsoma.open(str(path / "obs"), "w") as frame:
            frame.write(obs.take(pa.array(rows[::-1])))
    return path


if __name__ == "__main__":
    write(Path(sys.argv[1]), pieces=2)
