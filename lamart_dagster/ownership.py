"""Whose key it is: a key belongs to one asset, and to one partition of it.

The owner is recorded with each version, because templates and prefixes can give two assets, or two partitions, one key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from lamart_core.storage import normal_form
from lamart_dagster.errors import SharedKey
from lamart_dagster.keys import AssetPartition, asset_name
from lamart_dagster.partitions import dimension_name

OWNER = "dagster"


def owner_data(owner: AssetPartition) -> dict[str, Any]:
    """Return what is recorded with a version of an asset or partition.

    Example:
        >>> owner_data(AssetPartition.of(["lab", "cells"], {"date": "2024-01-01"}))
        {'dagster': {'asset': 'lab/cells', 'partition': {'date': '2024-01-01'}}}
    """
    return {OWNER: {"asset": "/".join(owner.asset), "partition": dict(owner.partition)}}


def check_owner(
    owner: AssetPartition, recorded: Mapping[str, Any] | None, *, key: str | None, former: Iterable[str] = ()
) -> None:
    """Check that a version belongs to an asset or partition; what nobody owns belongs to whoever asks.

    Args:
        owner: The asset or partition.
        recorded: `extra_data` of the version.
        key: Key of the version, for the message.
        former: Names that the asset had before.

    Raises:
        SharedKey: It belongs to another one; the message names both.
    """
    found: Any = (recorded or {}).get(OWNER)
    if not isinstance(found, Mapping) or "asset" not in found:
        return
    asset, partition = str(found["asset"]), dict(found.get("partition") or {})
    is_same = asset == "/".join(owner.asset) or asset in set(former)
    if is_same and partition == dict(owner.partition):
        return
    mine, other = owner.label, AssetPartition.of(asset.split("/"), partition).label
    if normal_form(mine) == normal_form(other):  # they look the same
        mine, other = ascii(mine), ascii(other)
    raise SharedKey(
        f"the key {key!r} belongs to {other}, and {mine} has the same: give one of them another key, by the "
        "metadata lamart/key or the key_prefix of its IO manager. An asset that was renamed keeps its history with the "
        f"metadata lamart/former_name: {asset!r}"
    )


def check_definitions(defs: dg.Definitions) -> dg.Definitions:
    """Check that no two assets of a code location have one key, before anything runs.

    Args:
        defs: The definitions.

    Returns:
        The same definitions.

    Raises:
        SharedKey: Two assets have one key; the message names both.
        InvalidArgument: The key template of an asset cannot be right.

    Example:
        >>> @dg.asset(metadata={"lamart/key": "tables/{name}.csv"})
        ... def counts() -> str: ...
        >>> defs = check_definitions(dg.Definitions(assets=[counts]))
    """
    from lamart_dagster.io_manager import LamartIOManager

    resources: Mapping[str, Any] = defs.resources or {}
    owners: dict[tuple[str, str | None], AssetPartition] = {}
    for assets in defs.assets or ():
        if not isinstance(assets, dg.AssetsDefinition):
            continue
        for asset in assets.keys:
            manager = resources.get(assets.get_io_manager_key_for_asset_key(asset))
            if manager is not None and not isinstance(manager, LamartIOManager):
                continue
            owner = AssetPartition.of(asset.path, _placeholders(assets.specs_by_key[asset].partitions_def))
            template: Any = assets.specs_by_key[asset].metadata.get("lamart/key")
            prefix = manager.key_prefix if manager is not None else ""
            name = asset_name(owner, prefix=prefix, template=getattr(template, "value", template))
            other = owners.setdefault((name.stem, name.suffix), owner)
            if other.asset != owner.asset:
                both = f"{'/'.join(other.asset)} and {'/'.join(owner.asset)}"
                raise SharedKey(
                    f"the assets {both} have one key, {name.key or name.stem!r}: give one of them another, by "
                    "the metadata lamart/key or the key_prefix of its IO manager"
                )
    return defs


def _placeholders(definition: dg.PartitionsDefinition | None) -> dict[str, str]:
    if definition is None:
        return {}
    if isinstance(definition, dg.MultiPartitionsDefinition):
        return {each.name: "*" for each in definition.partitions_defs}
    return {dimension_name(definition): "*"}
