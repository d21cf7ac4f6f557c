"""Made-up data of the shape of a CRISPR screen with several modalities; imports the libraries that it is made with."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import scipy.sparse as sp

_CELLS = 200
_TARGETS = ("IFNGR1", "IFNGR2", "JAK2", "STAT1", "IRF1", "CUL3", "BRD4", "CAV1", "SMAD4", "NFKBIA")


@dataclass(frozen=True)
class _Modality:
    """What one modality measures: the names of its variables, and the mean of their counts."""

    names: list[str]
    mean: float


_MODALITIES = {
    "rna": _Modality([*_TARGETS, *(f"GENE{number:03}" for number in range(163))], 0.4),
    "adt": _Modality(["CD86", "PDL1", "PDL2", "CD366"], 40.0),
    "hto": _Modality([f"rep{number // 4 + 1}-{'tx' if number % 2 else 'ctrl'}-{number}" for number in range(12)], 5.0),
    "gdo": _Modality(
        [f"{_TARGETS[number % 10]}g{number // 10 + 1}" for number in range(101)] + [f"NTg{n}" for n in range(1, 11)],
        0.2,
    ),
}


def make_mudata() -> md.MuData:
    """Return the data; see `datasets.mudata_papalexi21_subset`."""
    random = np.random.default_rng(21)
    cells = pd.Index(["l1_" + "".join(letters) for letters in random.choice(list("ACGT"), (_CELLS, 16))])
    modalities: dict[str, ad.AnnData] = {}
    for name, modality in _MODALITIES.items():
        counts = random.poisson(modality.mean, (_CELLS, len(modality.names))).astype("float32")
        obs = pd.DataFrame(
            {f"nCount_{name.upper()}": counts.sum(axis=1), f"nFeature_{name.upper()}": (counts > 0).sum(axis=1)},
            index=cells,
        )
        var = pd.DataFrame({"name": modality.names}, index=pd.Index(modality.names))
        modalities[name] = ad.AnnData(sp.csr_matrix(counts), obs=obs, var=var)
    rna = modalities["rna"].obs
    rna["percent.mito"] = random.uniform(0, 10, _CELLS)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*will not pull obs/var columns", category=FutureWarning)
        mdata = md.MuData(modalities)
    guides = random.integers(0, len(_MODALITIES["gdo"].names), _CELLS)
    guide_names = np.array(_MODALITIES["gdo"].names)[guides]
    targets = np.array([name.partition("g")[0] for name in guide_names])
    mdata.obs = mdata.obs.assign(
        **{
            "orig.ident": pd.Categorical(["Lane1"] * _CELLS),
            "replicate": pd.Categorical(random.choice(["rep1", "rep2", "rep3"], _CELLS)),
            "Phase": pd.Categorical(random.choice(["G1", "G2M", "S"], _CELLS)),
            "guide_ID": pd.Categorical(guide_names),
            "gene_target": pd.Categorical(targets),
            "perturbation": pd.Categorical(np.where(targets == "NT", "NT", "Perturbed")),
        }
    )
    return mdata
