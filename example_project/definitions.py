"""The code location: assets, jobs, a schedule, and the registry that keeps what the assets return.

`LamartRegistry()` takes `LAMART_DB_URL` and `LAMART_STORAGE`, else a registry in `./.lamart/`.
"""

from __future__ import annotations

import dagster as dg

from example_project import cells, markers, report
from lamart_dagster import LamartIOManager, LamartRegistry

prepare_cells = dg.define_asset_job(
    "prepare_cells",
    selection=dg.AssetSelection.groups("cells"),
    description="Counts, quality control and normalisation.",
)
find_markers = dg.define_asset_job(
    "find_markers",
    selection=dg.AssetSelection.assets(markers.marker_genes),
    description="Marker genes of one type of cell; run it for all types as a backfill.",
)
write_report = dg.define_asset_job(
    "write_report",
    selection=dg.AssetSelection.groups("report"),
    description="The figures and the page.",
)

nightly = dg.ScheduleDefinition(
    name="nightly",
    job=prepare_cells,
    cron_schedule="0 2 * * *",
    execution_timezone="UTC",
    description="New counts arrive during the day.",
)

defs = dg.Definitions(
    assets=dg.load_assets_from_modules([cells, markers, report]),
    jobs=[prepare_cells, find_markers, write_report],
    schedules=[nightly],
    resources={
        "io_manager": LamartIOManager(registry=LamartRegistry()),
        "scratch": report.ScratchFolder(),
    },
)
