"""One turn of one side, in a process of its own: `python -m benchmarks.worker MODULE FUNCTION JOB RESULT`."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.model import Job
from benchmarks.offline import forbid_network


def main(module: str, function: str, job: str, result: str) -> None:
    """Call the function and write the samples; a function that the module does not have has nothing to do."""
    forbid_network()
    work = getattr(import_module(f"benchmarks.measurements.{module}"), function, None)
    samples = work(Job.from_json(job)) if work is not None else None
    Path(result).write_text(json.dumps(samples))


if __name__ == "__main__":
    main(*sys.argv[1:])
