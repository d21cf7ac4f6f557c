"""What comes after a crash: each other verb, on the family that the killed one worked on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import lamart_core as ln
from lamart_core.care import check_registry, collect_garbage
from tests.faults.scenarios import Lab

# What a verb may say of a state that is not for it: of the trash, or of an outdated version.
REFUSED = (ln.errors.InvalidArgument, ln.errors.ProtectedError)

FOLLOWERS: dict[str, Callable[[Lab, ln.Artifact], Any]] = {}


def follower(name: str) -> Callable[[Callable[[Lab, ln.Artifact], Any]], None]:
    """Register a verb under a name."""

    def register(verb: Callable[[Lab, ln.Artifact], Any]) -> None:
        FOLLOWERS[name] = verb

    return register


def follow(lab: Lab, name: str) -> None:
    """Run a verb on what a crash has left; nothing where it has left no artifact."""
    artifact = ln.Artifact.filter(branch=None).order_by("-id").first()
    if artifact is not None:
        try:
            FOLLOWERS[name](lab, artifact)
        except REFUSED as error:
            print(f"{name}: {error}", file=sys.stderr, flush=True)  # standard output is for the one who asked


def save_next(lab: Lab, artifact: ln.Artifact, content: str = "the next one") -> ln.Artifact:
    """Save the next version of an artifact's family, of other content, as its versions were saved."""
    name = artifact.key or f"next{artifact.suffix}"
    source = lab.file(f"next/{content}/{name}" + ("/a.txt" if artifact.n_files is not None else ""), content)
    fields: dict[str, Any] = {
        "key_is_virtual": artifact.key_is_virtual,
        "overwrite_versions": artifact.overwrite_versions,
    }
    return ln.Artifact(
        source.parent if artifact.n_files is not None else source,
        key=name,
        run=False,
        storage=artifact.storage,
        **fields,
    ).save()


@follower("save the next version")
def _(lab: Lab, artifact: ln.Artifact) -> None:
    save_next(lab, artifact)


@follower("save its content again")
def _(lab: Lab, artifact: ln.Artifact) -> None:
    ln.Artifact(artifact.cache(), key=artifact.key, run=False, skip_hash_lookup=True).save()


@follower("replace")
def _(lab: Lab, artifact: ln.Artifact) -> None:
    source = lab.file(f"replacement/{artifact.uid}{artifact.suffix}", "replaced after a crash")
    artifact.replace(source if artifact.n_files is None else source.parent)
    artifact.save()


@follower("rename")
def _(lab: Lab, artifact: ln.Artifact) -> None:
    artifact.key = f"renamed/x{artifact.suffix}"
    artifact.save()


@follower("move")
def _(lab: Lab, artifact: ln.Artifact) -> None:
    third = lab.second.replace("/lab?", "/third?") if "://" in lab.second else f"{lab.second}-third"
    artifact.storage = ln.Storage(root=third).save()
    artifact.save()


@follower("trash")
def _(lab: Lab, artifact: ln.Artifact) -> None:
    artifact.delete(permanent=False)


@follower("restore")
def _(lab: Lab, artifact: ln.Artifact) -> None:
    artifact.delete(permanent=False)
    artifact.restore()


@follower("archive")
def _(lab: Lab, artifact: ln.Artifact) -> None:
    artifact.archive()


@follower("delete")
def _(lab: Lab, artifact: ln.Artifact) -> None:
    artifact.delete(permanent=True, storage=artifact.storage.is_managed)


@follower("merge")
def _(lab: Lab, artifact: ln.Artifact) -> None:
    branch = ln.Branch(name="after a crash").save()
    artifact.branch_id = branch.id
    artifact.save()
    branch.merge()


@follower("collect")
def _(lab: Lab, artifact: ln.Artifact) -> None:
    collect_garbage(lab.registry, grace=timedelta(0), dry_run=False)


@follower("repair")
def _(lab: Lab, artifact: ln.Artifact) -> None:
    check_registry(lab.registry, repair=True, verify=True, grace=timedelta(0))
