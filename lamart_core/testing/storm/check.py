"""What must hold after the storm, whatever was killed in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import lamart_core as ln
from lamart_core.care import check_registry, collect_garbage
from lamart_core.db import Registry
from lamart_core.testing.storm.log import Call, fingerprint, fingerprint_of
from lamart_core.testing.storm.worker import REAL_FILES, REAL_FOLDERS

_AT_ONCE = timedelta(0)


def check(registry: Registry, calls: Sequence[Call], folder: Path) -> Iterator[str]:
    """Go through what does not hold after the storm.

    Args:
        registry: The registry, which nobody uses any more.
        calls: What was done.
        folder: Where files may be written.
    """
    # Before anything is repaired: what was returned is there whoever died.
    yield from _check_returned(calls)
    check_registry(registry, repair=True, grace=_AT_ONCE)
    collect_garbage(registry, grace=_AT_ONCE, dry_run=False)
    yield from _check_returned(calls)
    for found in check_registry(registry, verify=True, grace=_AT_ONCE).findings:
        yield f"fsck: {found.kind}: {found.detail}"
    yield from _check_keys(folder)
    # What was the newest before, a newer database might have known.
    collect_garbage(registry, grace=_AT_ONCE, dry_run=False)
    for found in check_registry(registry, grace=_AT_ONCE).findings:
        yield f"fsck after all keys were saved to: {found.kind}: {found.detail}"


def _check_returned(calls: Sequence[Call]) -> Iterator[str]:
    """Each version that was returned, and that nobody may have deleted, has its own bytes."""
    deleted = {uid for call in calls for uid in call.plan.get("deletes", ())}
    found = {item.uid: item for item in ln.Artifact.filter(branch=None)}
    expected = _expected(calls)
    for uid, contents in expected.items():
        item = found.get(uid)
        if item is None:
            if uid not in deleted:
                yield f"{uid} was returned, nobody deleted it, and it is not there"
            continue
        try:
            content = fingerprint_of(item.cache())
        except ln.errors.OutdatedVersion:
            if not item.overwrite_versions or item.is_latest:
                yield f"{uid} is said to be overwritten"
        except (ln.errors.LamartError, OSError) as error:
            yield f"{uid} cannot be read: {type(error).__name__}: {error}"
        else:
            if content not in contents:
                yield f"{uid} ({item.key}) has other bytes than those that were saved"
    for uid, item in found.items():
        if uid not in expected and not (item.overwrite_versions and not item.is_latest):
            # Its save was killed after the commit.
            try:
                item.verify()
            except ln.errors.LamartError as error:
                yield f"{uid}, whose save was killed, is not whole: {type(error).__name__}: {error}"


def _expected(calls: Sequence[Call]) -> dict[str, set[str]]:
    """Return which contents each version may have: one, unless it was replaced by several at the same time."""
    expected: dict[str, set[str]] = {}
    for call in calls:
        for item in call.told:
            if item["content"] is not None:
                expected.setdefault(item["uid"], set()).add(item["content"])
    replaced: defaultdict[str, list[Call]] = defaultdict(list)
    for call in calls:
        if "replaces" in call.plan:
            replaced[call.plan["replaces"]].append(call)
    for uid, several in replaced.items():
        done = [call for call in several if call.end is not None and not call.error]
        begun = max((call.begin for call in done), default=0.0)
        # Killed, or failed in doubt: it may have been the last one.
        last = [call for call in several if call not in done or (call.end or 0.0) >= begun]
        before = expected.get(uid, set()) if not done else _found_later(calls, uid, begun)
        if uid in expected or done:
            expected[uid] = before | {call.plan["content"] for call in last}
    return expected


def _found_later(calls: Sequence[Call], uid: str, begun: float) -> set[str]:
    """Return the contents of saves that found a version after its last replacement had begun."""
    return {
        item["content"]
        for call in calls
        if call.end is not None and call.end >= begun
        for item in call.told
        if item["uid"] == uid and item["content"] is not None
    }


def _check_keys(folder: Path) -> Iterator[str]:
    """Each real key can be saved to, and then holds what was saved."""
    for number, key in enumerate((*REAL_FILES, *REAL_FOLDERS)):
        source = folder / f"last-{number}"
        if "." in key:
            source = source.with_suffix(".txt")
            source.write_text(f"the last one of {key}")
        else:
            source.mkdir()
            (source / "a.txt").write_text(f"the last one of {key}")
        try:
            saved = ln.Artifact(source, key=key, key_is_virtual=False, run=False).save()
            saved.verify()
        except ln.errors.LamartError as error:
            yield f"the key {key!r} is blocked: {type(error).__name__}: {error}"
            continue
        lying = _at_key(saved, key)
        if lying != fingerprint_of(source):
            yield f"{key!r} does not hold the version that was saved last"


def _at_key(artifact: ln.Artifact, key: str) -> str:
    path = artifact.storage.backend.path(key)
    if path.is_file():
        return fingerprint({"": path.read_bytes()})
    top = len(str(path)) + 1
    files = (found for found in path.rglob("*") if found.is_file())
    return fingerprint({str(found)[top:]: found.read_bytes() for found in files})
