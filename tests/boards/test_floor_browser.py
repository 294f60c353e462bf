"""The page of a bitstream in a browser: no error, accessible, a block can be seen alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from builders.floor_samples import kept_result

from kaniwa.boards.floor.page import floor_page
from kaniwa.boards.floor.placement import PLACEMENT

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Open the page of a family; what the browser complains of fails the test."""
    complaints: list[str] = []
    contexts = []

    def show(family: str, *, placed: bool = True, **options: Any) -> Any:
        built = kept_result(family, tmp_path / "kept")
        if not placed:
            (tmp_path / "kept" / PLACEMENT).unlink()
        file = tmp_path / "floor.html"
        file.write_text(floor_page(built))
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url)
                if not request.url.startswith(("file:", "data:")) else None)
        page.goto(file.as_uri())
        return page

    yield show
    for context in contexts:
        context.close()
    assert complaints == []


PHONE = {"width": 390, "height": 844}


@pytest.mark.parametrize("family, options", [
    ("ecp5", {}), ("ice40", {"color_scheme": "dark"}), ("gowin", {"viewport": PHONE}),
    ("ice40", {"placed": False})])
def test_the_page_is_accessible(family: str, options: dict[str, Any], opened: Open) -> None:
    page = opened(family, **options)
    page.locator("details").evaluate("details => details.open = true")
    found = axe.Axe().run(page).response["violations"]
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []


@pytest.mark.parametrize("family", ["ecp5", "ice40", "gowin"])
def test_the_page_is_no_wider_than_a_phone(family: str, opened: Open) -> None:
    page = opened(family, viewport=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_a_block_is_seen_alone_by_mouse(opened: Open) -> None:
    page = opened("ice40")
    button = page.locator("button[data-block]").nth(1)
    title = button.get_attribute("data-title")
    button.click()
    page.mouse.move(0, 0)
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator("#chosen").inner_text().startswith(f"Shown alone: {title}, ")
    assert page.locator("g.block.chosen").count() == 1
    seen = page.locator("g.block").evaluate_all(
        "groups => groups.map(group => getComputedStyle(group).opacity)")
    assert sorted(seen) == ["0.1"] * (len(seen) - 1) + ["1"]
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert page.locator("#chosen").inner_text() == "All blocks are shown."


def test_a_block_is_seen_alone_by_keyboard(opened: Open) -> None:
    page = opened("ice40")
    button = page.locator("button[data-block]").first
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator("tr.chosen").count() == 1
    page.keyboard.press("Escape")
    assert button.get_attribute("aria-pressed") == "false"
    assert page.locator(".chosen").count() == 0
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.block") == "2"


def test_a_block_is_seen_alone_by_a_click_on_the_floor(opened: Open) -> None:
    page = opened("ice40")
    group = page.locator("g.block[data-block='1']")
    group.dispatch_event("click")
    assert page.locator("button[data-block='1']").get_attribute("aria-pressed") == "true"
    page.locator("#all").click()
    assert page.locator("#plan.alone").count() == 0
    assert page.locator("#all").is_disabled()


def test_pointing_at_a_name_shows_the_block_for_that_long(opened: Open) -> None:
    page = opened("ecp5")
    page.locator("button[data-block='2']").hover()
    assert page.locator("g.block.chosen").get_attribute("data-block") == "2"
    page.mouse.move(0, 0)
    assert page.locator("g.block.chosen").count() == 0


def test_the_critical_path_can_be_hidden(opened: Open) -> None:
    page = opened("ecp5")
    line = page.locator("#plan polyline").first
    assert line.is_visible()
    page.locator("#route").click()
    assert not line.is_visible()
    assert page.locator("#route").get_attribute("aria-pressed") == "false"


def test_without_scripts_the_page_is_complete(opened: Open) -> None:
    page = opened("gowin", java_script_enabled=False)
    assert page.locator("#plan").is_visible()
    assert page.locator("#occupancy tbody tr").count() == page.locator(
        ".legend button[data-block]").count()


def test_in_print_the_page_is_light_and_has_no_buttons(opened: Open) -> None:
    page = opened("ice40", color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("#all").is_visible()
    assert page.locator(".legend li").first.is_visible()
