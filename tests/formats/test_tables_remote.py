"""Tables in a bucket: opened and counted by a few small reads, through the file system of the storage."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pytest
from upath import UPath

from lamart_core.formats import all_formats, for_suffix
from lamart_core.formats.folder_format import FolderFormat
from lamart_core.formats.tables.base import TableFormat
from tests.formats.format_samples import write
from tests.storage.proxy import proxied
from tests.storage.s3_server import CREDENTIALS, S3Server, s3

__all__ = ["s3"]

NOISE = pd.DataFrame(np.random.default_rng(0).random((60_000, 4))).rename(columns=str)
KEYS = {"key": CREDENTIALS["AWS_ACCESS_KEY_ID"], "secret": CREDENTIALS["AWS_SECRET_ACCESS_KEY"]}


@pytest.mark.req("R111", "R239")
@pytest.mark.parametrize("suffix", [".parquet", ".orc"])
def test_little_is_read_to_open_and_to_count(s3: S3Server, tmp_path: Path, suffix: str) -> None:
    bucket = s3.new_bucket()
    found = for_suffix(suffix)
    assert found is not None
    content = write(NOISE, tmp_path / f"x{suffix}", suffix).read_bytes()
    for n in range(3):
        s3.client.put_object(Bucket=bucket, Key=f"t/h={n}/x{suffix}", Body=content)
    with proxied(s3.endpoint_url) as proxy:
        folder = UPath(f"s3://{bucket}/t", endpoint_url=proxy.endpoint_url, **KEYS)
        assert found.count_observations(folder / "h=0" / f"x{suffix}", suffix=suffix) == len(NOISE)
        assert FolderFormat().count_observations(folder, suffix="") == 3 * len(NOISE)
        dataset = FolderFormat().open(folder, suffix="")
        assert dataset.schema.names[-1] == "h"
        assert proxy.sent < len(content) * 3 * 0.08  # eight ends of files and some listings


@pytest.mark.req("R239", "R244")
def test_every_table_format_opens_in_a_bucket(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.new_bucket()
    df = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    for found in (f for f in all_formats() if isinstance(f, TableFormat)):
        for suffix in found.suffixes:
            key = f"x{suffix}"
            s3.client.put_object(Bucket=bucket, Key=key, Body=write(df, tmp_path / key, suffix).read_bytes())
            path = UPath(f"s3://{bucket}/{key}", endpoint_url=s3.endpoint_url, **KEYS)
            assert found.open(path, suffix=suffix).to_table(filter=ds.field("a") > 1)["b"].to_pylist() == ["y", "z"]
            with found.open(path, suffix=suffix, engine="polars") as lazy:
                assert lazy.filter(pl.col("a") > 1).collect()["b"].to_list() == ["y", "z"]


def test_a_process_ends_after_the_head_of_a_remote_table() -> None:
    """pyarrow reads ahead in its threads; without the guard most such processes crash or hang when they end."""
    program = """
import numpy as np, pandas as pd
from upath import UPath
from lamart_core.formats.folder_format import FolderFormat
folder = UPath("memory://t")
noise = pd.DataFrame(np.random.default_rng(0).random((30_000, 8))).rename(columns=str)
for number in range(8):
    (folder / f"{number}.parquet").write_bytes(noise.to_parquet(row_group_size=1000))
print(FolderFormat().open(folder, suffix="").head(5).num_rows)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "5"), done.stderr
