from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional, Union  # noqa: UP035  # what Dagster makes of annotations

import anndata as ad
import pandas as pd
import pyarrow as pa
import pytest
from upath import UPath

import lamart_core as ln
from lamart_dagster.errors import SeveralPartitions
from lamart_dagster.loading import LoadRequest, Shape, item_request_of, request_of
from lamart_dagster.reading import is_collection


@pytest.mark.parametrize("annotation", [None, Any, object])
def test_without_annotation_the_format_decides(annotation: Any) -> None:
    request = request_of(annotation)
    assert (request.shape, request.as_type, request.values) == (Shape.OBJECT, None, None)


@pytest.mark.parametrize("annotation", [pd.DataFrame, pa.Table, ad.AnnData, dict, list[int], str, bytes])
def test_types_of_objects_are_left_to_the_format(annotation: Any) -> None:
    request = request_of(annotation)
    assert (request.shape, request.as_type) == (Shape.OBJECT, annotation)


def test_paths_and_records_are_no_objects() -> None:
    assert request_of(Path).shape is Shape.PATH
    assert request_of(UPath).shape is Shape.PATH
    assert request_of(ln.Artifact).shape is Shape.RECORD


@pytest.mark.parametrize("annotation", [Optional[Path], Path | None, Union[None, Path], Annotated[Path | None, "x"]])  # noqa: UP007, UP045
def test_none_is_an_option_beside_a_type(annotation: Any) -> None:
    request = request_of(annotation)
    assert request.is_optional
    assert request.shape is Shape.PATH
    assert not request_of(Path).is_optional


@pytest.mark.parametrize("annotation", [dict[str, Path], Dict[str, Path], Optional[Dict[str, Path]]])  # noqa: UP006, UP045
def test_a_mapping_tells_what_is_wanted_of_each_partition(annotation: Any) -> None:
    values = request_of(annotation).values
    assert values is not None
    assert values.shape is Shape.PATH
    assert request_of(dict).values is None


def test_a_list_tells_what_is_wanted_of_each_step() -> None:
    assert item_request_of(List[pd.DataFrame]).as_type is pd.DataFrame  # noqa: UP006
    assert item_request_of(Optional[list[Path]]).shape is Shape.PATH  # noqa: UP045
    assert item_request_of(list).as_type is None
    assert item_request_of(Any).as_type is None
    assert request_of(list[int]).as_type == list[int]


@pytest.mark.req("D1")
@pytest.mark.parametrize(
    ("annotation", "n_targets", "can_be_several", "expected"),
    [
        (dict[str, pd.DataFrame], 1, False, True),
        (dict[str, Path], 1, False, True),
        (dict[str, int], 1, False, False),  # a JSON object
        (dict[str, int], 1, True, True),
        (dict[str, int], 3, True, True),
        (pd.DataFrame, 1, True, False),
        (pd.DataFrame, 0, True, False),
        (None, 1, True, True),
        (None, 1, False, False),
        (None, 3, True, True),
        (None, 0, True, True),
        (dict[str, int], 0, True, True),
        (dict[str, int] | None, 0, False, False),  # the first day has no day before
        (dict, 1, True, True),
        (Mapping, 2, False, True),
        (dict, 1, False, False),
    ],
)
def test_a_dict_of_partitions_is_told_from_a_json_object(
    annotation: Any, n_targets: int, can_be_several: bool, expected: bool
) -> None:
    assert is_collection(request_of(annotation), n_targets, can_be_several=lambda: can_be_several) is expected


def test_one_object_cannot_be_made_of_several_partitions() -> None:
    with pytest.raises(SeveralPartitions, match=r"3 partitions.*dict\[str"):
        is_collection(request_of(pd.DataFrame), 3, can_be_several=lambda: True)


def test_requests_are_values() -> None:
    assert request_of(Path) == LoadRequest(Shape.PATH, Path, annotation=Path)
