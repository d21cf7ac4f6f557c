"""A MuData with everything in it, and how two are compared."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import scipy.sparse as sp

from tests.formats.format_samples import assert_same

_MAPPINGS = ("obsm", "varm", "obsp", "varp", "obsmap", "varmap", "uns")


def matrix(cells: Sequence[str], genes: Sequence[str], *, sparse: bool = False) -> ad.AnnData:
    counts = np.arange(len(cells) * len(genes), dtype="float32").reshape(len(cells), len(genes))
    return ad.AnnData(
        sp.csr_matrix(counts) if sparse else counts,
        obs=pd.DataFrame(index=pd.Index(cells, dtype=object)),
        var=pd.DataFrame(index=pd.Index(genes, dtype=object)),
    )


def mudata(*, text: str = "object") -> md.MuData:
    """Writers store columns of text as categories: `text="category"` gives what comes back."""
    cells = ["c1", "c2", "c3", "c4"]
    rna = matrix(cells, ["g1", "g2", "g3"], sparse=True)
    rna.obs["label"] = pd.Series(list("abab"), cells, dtype=text)
    rna.var["symbol"] = ["A", "B", "C"]
    rna.layers["log"] = np.log1p(rna.X.toarray())
    rna.raw = rna.copy()
    rna.uns["nested"] = {"b": {"y": 1, "x": "text"}, "a": np.array(["red"])}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*will not pull obs/var columns", category=FutureWarning)
        result = md.MuData({"rna": rna, "größe 测": matrix(cells[1:], ["p1", "p2"])})
    result.obs["donor"] = pd.Series(list("xyxy"), cells, dtype=text)
    result.obsm["umap"] = np.ones((4, 2), dtype="float32")
    result.uns = {"params": {"b": 1, "a": "text"}, "colors": np.array(["red", "blue"])}
    return result


def assert_same_mudata(left: md.MuData, right: md.MuData) -> None:
    assert (left.axis, list(left.mod)) == (right.axis, list(right.mod))
    pd.testing.assert_frame_equal(left.obs, right.obs, check_like=True)
    pd.testing.assert_frame_equal(left.var, right.var, check_like=True)
    for slot in _MAPPINGS:
        assert_same(_plain(getattr(left, slot)), _plain(getattr(right, slot)))
    for name in right.mod:
        assert_same(left[name], right[name])


def _plain(slot: Any) -> dict[str, Any]:
    return {
        key: value.values if hasattr(value, "values") and not callable(value.values) else value
        for key, value in dict(slot).items()
    }
