"""Datasets of the shape that instruments and pipelines deliver, with made-up content."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upath import UPath

from lamart_core import errors
from lamart_core.formats.libraries import require
from lamart_core.records import Storage
from lamart_core.storage import check_key, writing
from lamart_core.types import AnyPathStr

if TYPE_CHECKING:
    import mudata as md

# How HDF5 files begin. Nothing reads the stand-ins further than that.
_HDF5 = b"\x89HDF\r\n\x1a\n"


def dir_scrnaseq_cellranger(sample: str, basedir: AnyPathStr | Storage = "./", output_only: bool = True) -> Any:
    """Write a folder as Cell Ranger leaves it for one sample of single-cell RNA sequencing.

    The files have the names of the real ones and a few bytes of made-up content; the same call gives the same bytes.

    Args:
        sample: Name of the sample, and of the folder.
        basedir: Folder or storage location that it is made in.
        output_only: Whether the reads that the pipeline started from (`fastq/`) are left out.

    Returns:
        The path of the folder: a `Path`, or a `UPath` in a remote location.

    Raises:
        InvalidArgument: The name of the sample is no name of a folder.
        StorageError: The folder cannot be written.

    Examples:
        >>> import lamart_core as ln
        >>> folder = ln.examples.datasets.dir_scrnaseq_cellranger("sample_001", ln.settings.storage)
        >>> artifacts = ln.Artifact.from_dir(folder).save()
        >>> artifacts.to_list("key")[0]
        'sample_001/analysis/analysis.csv'
    """
    if "/" in sample:
        raise errors.InvalidArgument(f"a sample is one name, without a slash: {sample!r}")
    check_key(sample)
    top = _base(basedir) / sample
    for name, content in _files(sample, output_only).items():
        path = top / name
        with writing(str(top)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return top


def mudata_papalexi21_subset() -> md.MuData:
    """Return multi-modal data of the shape of a CRISPR screen read out by ECCITE-seq, with made-up counts.

    As in the data of Papalexi et al. (2021) there are four modalities of the same cells: gene expression (`rna`),
    surface proteins (`adt`), hashtags (`hto`) and guides (`gdo`). The same call gives the same content.

    Returns:
        200 cells with 173 genes, 4 proteins, 12 hashtags and 111 guides.

    Raises:
        MissingExtra: mudata is not installed.

    Examples:
        >>> import lamart_core as ln
        >>> mdata = ln.examples.datasets.mudata_papalexi21_subset()
        >>> list(mdata.mod)
        ['rna', 'adt', 'hto', 'gdo']
    """
    require("mudata", extra="mudata", purpose="Making an example of a MuData")
    from lamart_core.examples.papalexi21 import make_mudata

    return make_mudata()


def _base(basedir: AnyPathStr | Storage) -> Path | UPath:
    if isinstance(basedir, Storage):
        return basedir.path
    if isinstance(basedir, UPath):
        return basedir
    return UPath(str(basedir)) if "://" in str(basedir) else Path(basedir).expanduser().absolute()


def _files(sample: str, output_only: bool) -> dict[str, bytes]:
    cells = [f"{sample}-{number:03}-1" for number in range(3)]
    genes = ["ENSG00000010610\tCD4\tGene Expression", "ENSG00000153563\tCD8A\tGene Expression"]
    # The number of cells by the number of genes, then one line for each count.
    counts = "%%MatrixMarket matrix coordinate integer general\n%\n2 3 3\n1 1 4\n2 2 1\n1 3 2\n"
    matrix = {
        "barcodes.tsv.gz": "\n".join(cells) + "\n",
        "features.tsv.gz": "\n".join(genes) + "\n",
        "matrix.mtx.gz": counts,
    }
    files = {
        "web_summary.html": f"<html><title>{sample}</title></html>\n".encode(),
        "metrics_summary.csv": b"Estimated Number of Cells,Mean Reads per Cell\n3,21000\n",
        "molecule_info.h5": _HDF5 + f"molecules of {sample}".encode(),
        "filtered_feature_bc_matrix.h5": _HDF5 + f"filtered counts of {sample}".encode(),
        "raw_feature_bc_matrix.h5": _HDF5 + f"raw counts of {sample}".encode(),
        "possorted_genome_bam.bam": b"BAM\x01" + sample.encode(),
        "possorted_genome_bam.bam.bai": b"BAI\x01" + sample.encode(),
        "cloupe.cloupe": json.dumps({"sample": sample, "cells": len(cells)}).encode(),
        "analysis/analysis.csv": b"Barcode,Cluster\n" + "".join(f"{cell},1\n" for cell in cells).encode(),
    }
    for kind in ("filtered", "raw"):
        for name, text in matrix.items():
            files[f"{kind}_feature_bc_matrix/{name}"] = _packed(text)
    if not output_only:
        for number in (1, 2):
            files[f"fastq/{sample}_R{number}_001.fastq.gz"] = _packed(f"@{sample}/{number}\nACGT\n+\nIIII\n")
    return files


def _packed(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)
