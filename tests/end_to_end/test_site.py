"""The documentation's site: built without a warning, searched and read in Chromium."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]
PATIENCE_MS = 180_000     # a machine that does much else takes a minute for a page
# One of each kind: pictures, wide tables, code, the reference, search.
LOOKED_AT = ["docs/index", "docs/how_it_works", "docs/comparison", "docs/first_inference",
             "docs/performance", "docs/api", "search"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site; ``-W`` as in the Makefile."""
    makefile = (root / "Makefile").read_text()
    assert "-m sphinx -q -W --keep-going -c docs/site -d build/site-pages . build/site" in makefile
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs/site",
         "-d", str(folder / "pages"), ".", str(folder / "html")],
        cwd=root, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a network."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Page]:
    """A page whose console says nothing, and that asks for nothing but files."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: complaints.append(r.url)
            if not r.url.startswith(("file:", "data:", "blob:")) else None)
    yield page
    context.close()
    assert not complaints


def test_every_page_of_docs_is_in_the_site_and_in_its_index(root: Path, site: Path) -> None:
    index = (site / "docs" / "index.html").read_text()
    for source in (root / "docs").rglob("*.md"):
        name = source.relative_to(root).with_suffix(".html")
        assert (site / name).exists()
        if source.parent == root / "docs":
            assert f'href="{source.stem}.html"' in index or source.stem == "index", name


def test_the_start_leads_to_the_index(site: Path, page: Page) -> None:
    page.goto((site / "index.html").as_uri())
    page.wait_for_url("**/docs/index.html")
    assert page.title() == "kaniwa"


@pytest.mark.parametrize(("word", "found"), [
    ("requantisation", "docs/numerics.html"),
    ("watermark", "docs/architecture.html"),
    ("MemoryTooSmallError", "docs/api.html")])
def test_search_finds_a_page_without_a_network(
        word: str, found: str, site: Path, page: Page) -> None:
    page.goto((site / "docs" / "index.html").as_uri())
    page.locator(".sidebar-search").first.fill(word)
    page.locator(".sidebar-search").first.press("Enter")
    # Sphinx lists the pages one by one, and says when it has listed them all.
    page.wait_for_selector("#search-results .search-summary:has-text('Search finished')")
    links = page.locator("#search-results ul.search li a")
    targets = [links.nth(i).get_attribute("href") or "" for i in range(links.count())]
    match = next(i for i, target in enumerate(targets) if found in target)
    links.nth(match).click()
    page.wait_for_url(f"**/{found}*")
    assert word.lower() in page.locator("article").inner_text().lower()


@pytest.mark.parametrize("name", LOOKED_AT)
def test_a_page_loads_and_nothing_is_wider_than_a_phone(
        name: str, site: Path, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto((site / f"{name}.html").as_uri())
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390
    broken = page.evaluate("[...document.images].filter(i => !i.naturalWidth).map(i => i.src)")
    assert not broken


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", LOOKED_AT)
def test_a_page_has_no_violations_that_axe_finds(
        name: str, scheme: Any, site: Path, page: Page) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto((site / f"{name}.html").as_uri())
    violations = Axe().run(page, options={"preload": False}).response["violations"]
    assert not violations, "\n".join(
        f"{v['id']}: {node['html'][:160]}" for v in violations for node in v["nodes"][:3])


def test_addresses_of_other_places_are_listed(site: Path) -> None:
    listed = (site / "links.txt").read_text().splitlines()
    assert len(listed) >= 10
    assert all(re.fullmatch(r"https://\S+ docs/[\w/-]+|https://\S+ [\w/-]+", line)
               for line in listed)
