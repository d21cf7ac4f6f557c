"""Whether many objects of a version store are there with their sizes, for fewer requests than one for each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from functools import partial
from itertools import islice

from lamart_core.errors import AccessDenied, PathNotFound
from lamart_core.storage.failures import reading
from lamart_core.storage.names.keys import RESERVED
from lamart_core.storage.objectstore.client import THREADS, Client
from lamart_core.storage.objectstore.uploads import head
from lamart_core.storage.threads import run_all
from lamart_core.uids import STEM_LENGTH

# A page of a listing takes the time of some single requests and costs the money of a dozen. So it is asked for where
# it spares this many on average, and never for the sake of a few.
_SPARED = 50
_FEW = 8


def mismatched(client: Client, sizes: Mapping[str, int]) -> dict[str, int | None]:
    """Return those of many objects of a version store that are missing or have another size.

    The names of what belongs to one family begin with the same stem, so a listing of that beginning tells of up to
    1,000 of them by one request. What is spread over many families is looked for in a listing of all, if the store
    lists in pages. The number of pages is bounded by the number of objects that are asked for; whatever the
    listings did not show as it should be is asked for by itself, several at a time. So no word of a listing is taken
    for a loss, and the requests are never more than one for each object and one for each eight of them.

    Args:
        client: How the store is asked.
        sizes: Sizes in bytes that the objects should have, by path in the version store.

    Returns:
        The sizes that they have instead, by path; None for what is missing.

    Raises:
        StorageError: The storage failed or refused.
    """
    shown = _listed(client, sizes)
    wrong: dict[str, int | None] = {}

    def look(path: str, size: int) -> None:
        try:
            found = head(client, path).size
        except PathNotFound:
            found = None
        if found != size:
            wrong[path] = found

    run_all([partial(look, path, size) for path, size in sizes.items() if shown.get(path) != size], THREADS)
    return wrong


def _listed(client: Client, wanted: Collection[str]) -> dict[str, int]:
    """Return the sizes of those objects that a bounded number of listings shows."""
    families: defaultdict[str, set[str]] = defaultdict(set)
    for path in wanted:
        families[path.removeprefix(f"{RESERVED}/")[:STEM_LENGTH]].add(path)
    shown: dict[str, int] = {}
    calls = [
        partial(_list, client, stem, paths, -(-len(paths) // _SPARED), shown)
        for stem, paths in families.items()
        if len(paths) >= _FEW
    ]
    try:
        run_all(calls, THREADS)
        rest = {path for paths in families.values() if len(paths) < _FEW for path in paths}
        if client.lists_in_pages:  # elsewhere a listing of all has no bound
            _list(client, "", rest, len(rest) // _SPARED, shown)
    except AccessDenied:  # there are credentials that may read objects and not list them
        pass
    return shown


def _list(client: Client, beginning: str, wanted: Collection[str], most: int, shown: dict[str, int]) -> None:
    """Note the sizes of objects until all of them were seen, or as many pages as are allowed."""
    left = set(wanted)
    with reading(client.remote.root, RESERVED):
        for page in islice(client.pages(RESERVED, deep=False, beginning=beginning), most):
            paths = {f"{RESERVED}/{listed.path}": listed.size for listed in page if listed.path}
            found = {path: size for path, size in paths.items() if path in left and size is not None}
            shown.update(found)
            left -= found.keys()
            if not left:
                return
