"""Lazy access to a stored MuData: nothing is read before it is asked for, and of matrices no more than that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lamart_core.formats.anndata.accessor import AnnDataAccessor
from lamart_core.formats.arrays.open_store import OpenStore
from lamart_core.formats.containers.accessor import AnnotatedAccessor, close_nothing, quiet, require_members
from lamart_core.formats.guards import reading

if TYPE_CHECKING:
    import mudata as md

_MAPPINGS = ("obsm", "varm", "obsp", "varp", "obsmap", "varmap")


class MuDataAccessor(AnnotatedAccessor):
    """An open MuData store, used similarly to a ``MuData`` object.

    ``obs`` and ``var`` are the tables of all modalities together, as they are stored: without the columns that mudata
    pulls from the modalities. They are read when they are first used, as are ``uns``, ``obsm`` and the like. A
    modality is opened when it is first asked for, and its matrices stay where they are.
    Close it, or use it as a context manager.

    Example:
        .. code-block:: python

            with artifact.open() as store:
                rna = store["rna"]
                t_cells = rna[rna.obs["cell_type"] == "T cell"].to_memory()
    """

    def __init__(self, store: OpenStore) -> None:
        super().__init__(store.group, store.close, check_root)
        self._mod = _Modalities(self)

    def __getitem__(self, modality: str) -> AnnDataAccessor:
        """One modality; see ``mod``."""
        return self._mod[modality]

    @property
    def mod(self) -> Mapping[str, AnnDataAccessor]:
        """The modalities in their order, each an accessor whose matrices stay on disk."""
        return self._mod

    @property
    def axis(self) -> int:
        """What the modalities share: 0 for observations, 1 for variables, -1 for both."""
        return axis_of(self._open_group())

    @property
    def obsmap(self) -> Mapping[str, Any]:
        """By modality, where each observation is in it: its row counted from 1, or 0."""
        return self._slot("obsmap")

    @property
    def varmap(self) -> Mapping[str, Any]:
        """By modality, where each variable is in it: its column counted from 1, or 0."""
        return self._slot("varmap")

    @property
    def uns(self) -> Mapping[str, Any]:
        """Unstructured annotation."""
        return self._slot("uns")

    def to_memory(self) -> md.MuData:
        """Read everything."""
        group = self._open_group()
        with reading("a store", "MuData"):
            return read_mudata(group)

    def _state(self) -> str:
        return f"modalities {', '.join(self._mod)}"

    def _slot(self, name: str) -> Mapping[str, Any]:
        return self._read(name)

    def _read(self, name: str) -> Any:
        with reading(name, "MuData"):
            return _read(self._open_group(), name)


class _Modalities(Mapping[str, AnnDataAccessor]):
    """The modalities of an open store, opened on first use."""

    def __init__(self, store: MuDataAccessor) -> None:
        self._store = store
        self._names = modality_names(store._open_group())
        self._opened: dict[str, AnnDataAccessor] = {}

    def __getitem__(self, name: str) -> AnnDataAccessor:
        group = self._store._open_group()
        if name not in self._names:
            raise KeyError(f"There is no modality {name!r}; there are {', '.join(map(repr, self._names))}")
        if name not in self._opened:
            with reading(name, "a modality"):
                self._opened[name] = AnnDataAccessor(group["mod"][name], close_nothing, mode="r")
        return self._opened[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def check_root(group: Any) -> None:
    """Raise ValueError for a store that is no MuData or lacks its annotations, which readers would make up."""
    if str(dict(group.attrs).get("encoding-type", "")).lower() != "mudata":
        raise ValueError("the root is not marked as a MuData (attribute encoding-type)")
    needed = ["mod", "obs", "var"]
    if "mod" in group:
        needed += [f"mod/{name}/{slot}" for name in group["mod"] for slot in ("obs", "var")]
    require_members(group, needed)


def modality_names(group: Any) -> list[str]:
    """The names of the modalities of an open store, in their order."""
    stored = [str(name) for name in group["mod"]]
    order = [str(name) for name in dict(group["mod"].attrs).get("mod-order", [])]
    return order if set(order) == set(stored) else stored


def axis_of(group: Any) -> int:
    """What the modalities of an open store share; 0 where it does not say."""
    return int(dict(group.attrs).get("axis", 0))


def read_mudata(group: Any) -> md.MuData:
    """The MuData in an open h5py or zarr group, in memory."""
    import mudata as md

    check_root(group)
    modalities = {
        name: AnnDataAccessor(group["mod"][name], close_nothing, mode="r").to_memory() for name in modality_names(group)
    }
    parts = {name: _read(group, name) for name in ("obs", "var", *_MAPPINGS, "uns")}
    with quiet():
        return md.MuData(modalities, axis=axis_of(group), **parts)


def _read(group: Any, slot: str) -> Any:
    from anndata.io import read_elem

    return read_elem(group[slot]) if slot in group else {}
