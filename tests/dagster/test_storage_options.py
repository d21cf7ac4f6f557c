"""Storage options of the resource: values from the environment, in every process of a run, and kept nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_shared.serdes import serialize_value

from lamart_core import errors
from lamart_dagster import LamartRegistry
from tests.dagster.conftest import a_lab
from tests.dagster.project import in_buckets
from tests.storage.s3_server import CREDENTIALS, serve_moto, serve_rclone

KEY, SECRET = "lab-key", "lab-secret-of-the-test"


@pytest.mark.slow
def test_a_run_with_credentials_and_endpoints_from_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*CREDENTIALS, "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "buckets" / "team").mkdir(parents=True)
    with (
        # This one checks who asks; the other one has nobody's name.
        serve_rclone(key=f"{KEY},{SECRET}", folder=tmp_path / "buckets") as team,
        serve_moto() as public,
        a_lab("sqlite", tmp_path, on_disk=True) as lab,
    ):
        public.client.create_bucket(Bucket="public-data")
        public.client.put_object(
            Bucket="public-data", Key="words.txt", Body=b"21 characters of text", ACL="public-read"
        )
        variables = {"LAB_ENDPOINT": team.endpoint_url, "PUBLIC_ENDPOINT": public.endpoint_url, "LAB_REGION": "x-1"}
        variables |= {"LAB_KEY": KEY, "LAB_SECRET": SECRET, "LAB_URL": lab.url, "LAB_STORAGE": "s3://team/lab"}
        for name, value in {**variables, "PUBLIC_FILE": "s3://public-data/words.txt"}.items():
            monkeypatch.setenv(name, value)
        with dg.execute_job(dg.reconstructable(in_buckets), instance=lab.instance) as done:
            assert done.success
        stored = [path for path in (tmp_path / "buckets").rglob("*.json") if ".lamart" in path.parts]
        assert sorted(path.read_text() for path in stored) == ["21\n", "42\n"]

        run = lab.instance.get_run_by_id(done.run_id)
        assert run is not None
        assert run.job_snapshot_id is not None
        kept = serialize_value(lab.instance.get_job_snapshot(run.job_snapshot_id))
        kept += "".join(map(serialize_value, lab.instance.all_logs(done.run_id)))
        assert "LAB_SECRET" in kept
        assert SECRET not in kept
        assert KEY not in kept

        # With another secret nothing is read: it was the variable that decided.
        monkeypatch.setenv("LAB_SECRET", "wrong")
        options: Any = {"s3": {name: dg.EnvVar(f"LAB_{name.upper()}") for name in ("key", "secret")}}
        options["s3"]["endpoint_url"] = dg.EnvVar("LAB_ENDPOINT")
        refused = LamartRegistry(url=lab.url, storage="s3://team/lab", storage_options=options)
        with pytest.raises(errors.AccessDenied):
            refused.connect().Artifact.get(key="doubled.json").load()


@pytest.mark.parametrize(
    "options",
    [
        {"s3": {"secret": "abc-plain"}},
        {"s3": {"key": "abc-plain", "secret": dg.EnvVar("LAB_SECRET")}},
        {"s3://bucket": {"client_kwargs": {"aws_session_token": "abc-plain"}}},
        {"az": {"account_key": "abc-plain"}},
        {"az": {"connection_string": "AccountName=x;AccountKey=abc-plain"}},
        {"gs": {"token": "abc-plain"}},
        {"http": {"headers": [{"Authorization": "abc-plain"}]}},
        # No dictionaries; what they are is not told either.
        {"s3": "EnvVar abc-plain"},
        {"s3": ["abc-plain"]},
    ],
)
def test_a_credential_in_plain_text_is_refused_and_not_shown(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"EnvVar|no dictionary") as told:
        LamartRegistry(storage_options=options)
    assert "abc-plain" not in str(told.value)


def test_what_is_no_credential_is_taken() -> None:
    options: dict[str, Any] = {
        "s3": {"anon": True, "key": None, "secret": "", "config_kwargs": {"signature_version": "s3v4"}},
        "gs://public": {"token": "anon"},
        "s3://key": {"endpoint_url": "http://127.0.0.1:9000"},
    }
    resource = LamartRegistry(storage_options=options)
    assert resource.storage_options == options
    # On the page of the resource all options are masked, whatever their names.
    assert LamartRegistry.to_fields_dict()["storage_options"].is_secret
    assert "127.0.0.1" not in repr(resource)


def test_what_the_environment_cannot_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_SECRET", raising=False)
    with pytest.raises(ValueError, match=r"'max_concurrency' is an EnvVar\.int"):
        LamartRegistry(storage_options={"s3": {"max_concurrency": dg.EnvVar.int("N")}})
    options: dict[str, Any] = {"s3": {"client_kwargs": {"secret": dg.EnvVar("LAB_SECRET")}}}
    resource = LamartRegistry(url=str(tmp_path / "lab.db"), storage=str(tmp_path), storage_options=options)
    with pytest.raises(errors.InvalidArgument, match=r"'client_kwargs' → 'secret'.*variable LAB_SECRET.*not set"):
        resource.connect()
    assert not (tmp_path / "lab.db").exists()
    monkeypatch.setenv("LAB_SECRET", "now there")
    assert resource.connect().storage_options["s3"] == {"client_kwargs": {"secret": "now there"}}
    assert "now there" not in repr(resource.connect())
    resource.connect().close()
