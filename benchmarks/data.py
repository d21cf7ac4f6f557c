"""Data to save: the same for every side, made from a fixed seed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

MIB = 1024 * 1024


def write_file(path: Path, mib: int) -> None:
    """Write a file of random bytes, which no file system compresses."""
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(MIB))


def table(rows: int) -> Any:
    """Return a pandas table of ten columns: four floats, three integers, a flag, a category and a text."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(7)
    columns: dict[str, Any] = {f"float_{number}": random.normal(size=rows) for number in range(4)}
    columns |= {f"int_{number}": random.integers(0, 100_000, size=rows) for number in range(3)}
    columns["flag"] = random.random(rows) < 0.5
    columns["cell_type"] = pd.Categorical.from_codes(random.integers(0, 20, rows), [f"type {n}" for n in range(20)])
    columns["barcode"] = np.char.add("cell-", random.integers(0, rows, rows).astype(str)).astype(object)
    return pd.DataFrame(columns)


def matrix(cells: int, genes: int, *, is_sparse: bool) -> Any:
    """Return an AnnData: normal floats, or counts of which nine tenths are zero."""
    import anndata as ad
    import numpy as np
    import pandas as pd
    from scipy import sparse

    random = np.random.default_rng(7)
    values: Any
    if is_sparse:
        per_cell = genes // 10
        starts = random.integers(0, 10, size=(cells, 1))
        columns = (starts + np.arange(per_cell) * 10).astype(np.int32).ravel()
        counts = random.poisson(2, size=columns.size).astype(np.float32) + 1
        values = sparse.csr_matrix((counts, columns, np.arange(cells + 1) * per_cell), shape=(cells, genes))
    else:
        values = random.normal(size=(cells, genes)).astype(np.float32)
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical.from_codes(random.integers(0, 20, cells), [f"type {n}" for n in range(20)]),
            "n_counts": random.integers(0, 10_000, cells),
        },
        index=pd.Index([f"cell-{number}" for number in range(cells)]),
    )
    var = pd.DataFrame(index=pd.Index([f"gene-{number}" for number in range(genes)]))
    return ad.AnnData(X=values, obs=obs, var=var)
