"""`make ui`: the Dagster UI on what the demo made.

python -m example_project.ui [--port 3000] [--folder .demo]
"""

from __future__ import annotations

import argparse
import os
import sys

from example_project.home import PROJECT, home


def main(arguments: list[str]) -> int:
    """Replace this process by Dagster's development server; return only if there is nothing to show."""
    parser = argparse.ArgumentParser(description="The Dagster UI on what the demo made.")
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--folder", default=".demo")
    options = parser.parse_args(arguments)
    place = home(options.folder)
    if not place.exists:
        print(f"{place.folder} holds no demo yet: run `make demo` first", file=sys.stderr)
        return 1
    place.use()
    os.chdir(PROJECT)
    print(f"Dagster UI: http://127.0.0.1:{options.port}/assets (ends with Ctrl-C)", flush=True)
    command = ["dagster", "dev", "--workspace", "workspace.yaml", "--host", "127.0.0.1", "--port", str(options.port)]
    # Warnings of the command about itself are no matter of those who look at the demo.
    return os.execv(sys.executable, [sys.executable, "-W", "ignore", "-m", *command])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
