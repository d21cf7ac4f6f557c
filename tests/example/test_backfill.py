"""A backfill as users run one: asked for in the UI's own language, run by the daemon, a process per run and step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

import lamart_core as ln
from example_project.home import PROJECT, Home, home
from example_project.markers import CELL_TYPES
from tests.example.conftest import serve

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CHOSEN = CELL_TYPES[2:4]
QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
LAUNCH = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  }
}
"""
STATUS = """
query Status($id: String!) {
  partitionBackfillOrError(backfillId: $id) { __typename ... on PartitionBackfill { status error { message } } }
}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home where the cells are prepared and no markers are searched yet."""
    place = home(tmp_path_factory.mktemp("backfill") / "home")
    place.start_afresh()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in place.environment.items():
            patch.setenv(name, value)
        from example_project.definitions import defs

        with dg.DagsterInstance.get() as instance:
            job = defs.resolve_job_def("prepare_cells")
            assert job.execute_in_process(instance=instance, run_config=QUIET).success
    return place


@pytest.fixture(scope="module")
def server(place: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    logs = tmp_path_factory.mktemp("logs")
    with serve(place, logs / "webserver.txt") as address, (logs / "daemon.txt").open("wb") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "dagster._daemon", "run", "--workspace", "workspace.yaml"],
            cwd=PROJECT,
            env={**os.environ, **place.environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield address
        finally:
            daemon.terminate()
            daemon.wait(timeout=60)


def ask(address: str, query: str, **variables: Any) -> dict[str, Any]:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{address}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        (answer,) = json.load(response)["data"].values()
    return answer


def launch_and_wait(address: str) -> str:
    params = {"assetSelection": [{"path": ["marker_genes"]}], "partitionNames": list(CHOSEN)}
    launched = ask(address, LAUNCH, params=params)
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    while True:
        answer = ask(address, STATUS, id=launched["backfillId"])
        if answer["status"] not in ("REQUESTED", "CANCELING"):
            assert answer["status"] == "COMPLETED_SUCCESS", answer
            return launched["backfillId"]
        time.sleep(1)


@pytest.mark.req("R276", "R287")
def test_a_backfill_makes_one_artifact_per_partition(place: Home, server: str) -> None:
    first = launch_and_wait(server)
    environment = place.environment
    with ln.connect(environment["LAMART_DB_URL"], storage=environment["LAMART_STORAGE"], make_default=False):
        made = ln.Artifact.filter(key__startswith="marker_genes/").to_list()
        assert len(made) == len(CHOSEN)
        assert {artifact.version for artifact in made} == {"0000"}
        assert len({artifact.run.uid for artifact in made}) == len(CHOSEN)
        assert all(first in json.dumps(artifact.run.extra_data) for artifact in made)
        inputs = {tuple(artifact.run.input_artifacts.to_list("key")) for artifact in made}
        assert inputs == {("normalised_cells.h5ad",)}
