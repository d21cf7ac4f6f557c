"""What the tests of a format do in processes of their own: ``python -m lamart_core.testing.process TASK …``.

Results are printed as one line of JSON, the last one of the output.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lamart_core.errors import LamartError, MissingExtra, NoLoader
from lamart_core.formats import Format
from lamart_core.formats.dispatch import all_formats

if TYPE_CHECKING:
    from lamart_core.testing.contract import FormatContract

_FEW_BYTES = 10


def write_samples(contract: type[FormatContract], folder: Path) -> dict[str, dict[str, Any]]:
    """Write all samples: first as usual, then while no file may have more than a few bytes.

    Returns:
        By sample, the ``identity`` of what was written; of the second time the ``error``, and whether something
        ``is_left``.
    """
    import resource
    import signal

    from lamart_core.testing.samples import identity

    samples = contract.samples()
    found: dict[str, dict[str, Any]] = {}
    for number, sample in enumerate(samples):
        written, path = contract.format_of(sample), folder / f"another-name-{number}{sample.suffix}"
        written.write(sample.obj, path, suffix=sample.suffix)
        found[sample.name] = {"identity": identity(written, path)}
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FEW_BYTES, _FEW_BYTES))
    for number, sample in enumerate(samples):
        path, error = folder / str(number), ""
        try:
            contract.format_of(sample).write(sample.obj, path, suffix=sample.suffix)
        except Exception as caught:  # the tests judge it
            error = type(caught).__name__ if isinstance(caught, LamartError) else repr(caught)
        found[sample.name] |= {"error": error, "is_left": path.exists()}
    return found


def look_without_libraries(request: dict[str, Any]) -> dict[str, Any]:
    """Import formats and ask them what needs no library; the modules that were imported by that."""
    formats = [_format(name) for name in request["formats"]]
    all_formats()
    for each in formats:
        each.handles(object())
        each.check_options(each.suffixes[0] if each.suffixes else "", {})
        each.recognises(Path("/nowhere"), ".zarr")
    return {"imported": [name for name in request["libraries"] if name in sys.modules]}


def use_without_libraries(request: dict[str, Any]) -> dict[str, Any]:
    """Use written samples with all optional libraries hidden: the extra that each error names, "" without an error."""
    for name in request["libraries"]:
        cast("dict[str, Any]", sys.modules)[name] = None
    found: dict[str, dict[str, str]] = {}
    for case in request["cases"]:
        each, path, suffix = _format(case["format"]), Path(case["path"]), case["suffix"]
        uses: dict[str, Any] = {
            "load": lambda each=each, path=path, suffix=suffix: each.load(path, suffix=suffix),
            "preview": lambda each=each, path=path, suffix=suffix: each.preview(path, suffix=suffix),
            "count": lambda each=each, path=path, suffix=suffix: each.count_observations(path, suffix=suffix),
        }
        if each.modes:
            uses["open"] = lambda each=each, path=path, suffix=suffix: each.open(path, suffix=suffix)
        found[case["name"]] = {name: _extra(use) for name, use in uses.items()}
    return found


def _extra(use: Any) -> str:
    try:
        use()
    except MissingExtra as error:
        return error.extra
    except NoLoader:  # it is opened, and nothing else
        return ""
    except Exception as error:  # the tests judge it
        return repr(error)
    return ""


def _format(name: str) -> Format:
    module, _, qualname = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return cast("Format", found())


def _contract(module: str, file: str, qualname: str) -> type[FormatContract]:
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError:  # test files that pytest imported by their path
        spec = importlib.util.spec_from_file_location(module, file)
        assert spec is not None
        assert spec.loader is not None
        found = importlib.util.module_from_spec(spec)
        sys.modules[module] = found
        spec.loader.exec_module(found)
    for part in qualname.split("."):
        found = getattr(found, part)
    return cast("type[FormatContract]", found)


def main() -> None:
    """Do what the arguments say."""
    task, request = sys.argv[1], json.loads(sys.argv[2])
    tasks: dict[str, Any] = {"look": look_without_libraries, "use": use_without_libraries}
    if task in tasks:
        result = tasks[task](request)
    else:
        contract = _contract(request["module"], request["file"], request["class"])
        result = write_samples(contract, Path(request["folder"]))
    sys.stdout.write("\n" + json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
