"""The Dagster UI shows what the registry knows: looked at in a headless browser.

The screenshots go to build/screenshots; those of the documents were copied from there.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

import lamart_core as ln
from example_project.home import PROJECT
from lamart_core.db import Registry
from tests.tools import require_tool

pytestmark = pytest.mark.slow

SCREENSHOTS = PROJECT / "build" / "screenshots"
SECONDS = 1000
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    chromium = require_tool("chromium", "chromium-browser", "google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1900, "height": 1450})
        page.set_default_timeout(60 * SECONDS)
        yield page
        browser.close()


def keep(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(SECONDS)  # a dialog fades in
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def test_asset_graph(page: Page, webserver: str) -> None:
    page.goto(f"{webserver}/asset-groups")
    expect(page.get_by_text("markers").first).to_be_visible()
    page.keyboard.press("Alt+E")  # expands the groups
    for asset in ("raw_counts", "filtered_cells", "normalised_cells", "cell_table", "marker_genes", "report"):
        expect(page.get_by_text(asset, exact=True).first).to_be_visible()
    keep(page, "asset-graph")


def metadata(page: Page, key: str) -> Locator:
    """Return the row of the metadata table with this key."""
    return page.get_by_role("row").filter(has=page.get_by_text(key, exact=True)).first


def test_asset_page_of_a_partitioned_table(page: Page, webserver: str, registry: Registry) -> None:
    latest = ln.Artifact.get(key__contains="Dendritic", is_latest=True)
    page.goto(f"{webserver}/assets/marker_genes")
    for column in ("gene", "log2_fold_change", "adjusted_p_value"):
        expect(page.get_by_text(column, exact=True).first).to_be_visible()
    expect(metadata(page, "dagster/partition_row_count")).to_contain_text(str(latest.n_observations))
    expect(metadata(page, "lamart/uid")).to_contain_text(latest.uid)
    expect(metadata(page, "lamart/version")).to_contain_text(latest.version)
    expect(metadata(page, "lamart/hash")).to_contain_text(latest.hash)
    inputs = metadata(page, "lamart/inputs")
    expect(inputs).to_contain_text("normalised_cells")
    expect(inputs).to_contain_text(ln.Artifact.get(key="normalised_cells.h5ad").uid)
    keep(page, "asset-page")
    metadata(page, "lamart/preview").get_by_text("Show Markdown").click()
    expect(page.get_by_role("dialog")).to_contain_text("CST3")
    keep(page, "preview")


def test_asset_page_of_an_annotated_matrix(page: Page, webserver: str) -> None:
    page.goto(f"{webserver}/assets/normalised_cells")
    expect(page.get_by_text("Row count").first).to_be_visible()
    expect(metadata(page, "lamart/shape")).to_contain_text("659 × 765")
    expect(metadata(page, "lamart/inputs")).to_contain_text("filtered_cells")
    metadata(page, "lamart/preview").get_by_text("Show Markdown").click()
    expect(page.get_by_role("dialog")).to_contain_text("X_pca")
    keep(page, "annotated-matrix")


def test_events_say_what_was_made_again(page: Page, webserver: str) -> None:
    page.goto(f"{webserver}/assets/raw_counts?view=events")
    expect(page.get_by_text("re-created").first).to_be_visible()
    keep(page, "re-created")
