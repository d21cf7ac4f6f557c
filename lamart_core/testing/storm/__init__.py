"""The storm: processes that save, change and delete the same things, are killed, and what must hold afterwards.

`make storm` runs it on each database and each storage of the tests; on databases and storages of your own:

    python -m lamart_core.testing.storm sqlite:////tmp/storm/lamart.db /tmp/storm/storage /tmp/storm/second

They must be empty. What every call returned is in a log; at the end, each version that was returned, and that no verb
of the log deleted, has its own bytes, every family one latest version, and no real key is blocked.
"""

from lamart_core.testing.storm.storm import Outcome, Storm

__all__ = ["Outcome", "Storm"]
