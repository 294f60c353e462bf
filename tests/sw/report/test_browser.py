"""The page in headless Chromium: it draws, zooms, filters, sorts and compares, and harms nobody."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from kaniwa.report.document import document

Show = Callable[..., Any]

EVIL = "</script><img src=x onerror=\"document.title='broken'\"><b>'\"&amp;`${1}`"


def rows(page: Any, selector: str) -> int:
    return int(page.locator(selector).count())


def shown_cycles(page: Any) -> tuple[int, int]:
    """The range that the timeline says it shows."""
    label = page.locator("#timeline svg.chart").first.get_attribute("aria-label")
    low, _, high, *_ = label.replace(",", "").split("cycles ")[1].split(" ")
    return int(low), int(high)


def settled(page: Any) -> None:
    """What is drawn at the next frame is there."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => "
                  "requestAnimationFrame(done)))")


def redrawn(page: Any, before: str) -> None:
    """The timeline's label is no longer the one of before: wheel events come when they come."""
    page.wait_for_function(
        "before => document.querySelector('#timeline svg.chart').getAttribute('aria-label') "
        "!== before", arg=before)


def test_every_part_is_drawn(show: Show, resnet8: dict[str, Any]) -> None:
    page = show(document([resnet8]))
    assert rows(page, "#layers tbody tr") == len(resnet8["layers"])
    for part in ("cycles", "timeline", "roofline", "memory", "graph", "bits"):
        assert page.locator(f"#{part}").is_visible()
        assert rows(page, f"#{part} svg") > 0
    assert page.locator("#compare").is_hidden() and page.locator("#accuracy").is_hidden()
    cycles = f"{resnet8['totals']['cycles']:,}"
    assert cycles in page.locator("#summary").inner_text()


def test_the_table_sorts_by_button(show: Show, resnet8: dict[str, Any]) -> None:
    page = show(document([resnet8]))
    page.get_by_role("button", name="Cycles", exact=True).click()
    heading = page.locator("#layers th[aria-sort]")
    assert heading.count() == 1 and heading.get_attribute("aria-sort") == "descending"
    numbers = page.locator("#layers tbody tr td:first-child").all_inner_texts()
    longest = max(resnet8["layers"], key=lambda layer: layer["cycles"])
    assert int(numbers[0]) == longest["number"]
    page.get_by_role("button", name="Cycles", exact=True).click()
    assert heading.get_attribute("aria-sort") == "ascending"


def test_search_and_filters_narrow_the_table(show: Show, resnet8: dict[str, Any]) -> None:
    page = show(document([resnet8]))
    page.get_by_label("Search").fill("conv2d_7")
    named = [layer for layer in resnet8["layers"] if "conv2d_7" in f"{layer['name']}"]
    assert rows(page, "#layers tbody tr") == len(named)
    assert page.locator("#live").inner_text() == f"{len(named)} of {len(resnet8['layers'])} layers"
    page.get_by_label("Search").fill("")
    page.get_by_label("Runs on").select_option("host")
    hosts = [layer for layer in resnet8["layers"] if layer["where"] == "host"]
    assert rows(page, "#layers tbody tr") == len(hosts) > 0


def test_a_layer_opens_with_its_figures_and_leads_to_the_timeline(
        show: Show, resnet8: dict[str, Any]) -> None:
    page = show(document([resnet8]))
    button = page.locator("#layers tbody tr button").nth(2)
    button.press("Enter")
    detail = page.locator("tr.detail")
    assert resnet8["layers"][2]["name"] in detail.inner_text()
    page.get_by_role("button", name="Show in the timeline").click()
    settled(page)
    layer = resnet8["layers"][2]
    low, high = shown_cycles(page)
    assert low <= layer["first"] and layer["first"] + layer["cycles"] <= high
    assert high - low < 2 * layer["cycles"]


def test_the_timeline_zooms_by_key_button_and_wheel(show: Show, resnet8: dict[str, Any]) -> None:
    page = show(document([resnet8]))
    whole = resnet8["totals"]["cycles"]
    assert shown_cycles(page) == (0, whole)
    stage = page.get_by_role("application")
    stage.focus()
    stage.press("+")
    settled(page)
    low, high = shown_cycles(page)
    assert 0 < high - low < whole
    stage.press("ArrowRight")
    settled(page)
    assert shown_cycles(page)[0] > low
    stage.hover()  # in view and at rest first
    before = page.locator("#timeline svg.chart").first.get_attribute("aria-label")
    page.mouse.wheel(0, -300)
    redrawn(page, before)
    assert shown_cycles(page)[1] - shown_cycles(page)[0] < high - low
    stage.press("Home")
    settled(page)
    assert shown_cycles(page) == (0, whole)
    page.get_by_role("button", name="Zoom in").click()
    settled(page)
    assert shown_cycles(page) != (0, whole)


def test_the_timeline_zooms_to_single_cycles(show: Show, resnet8: dict[str, Any]) -> None:
    page = show(document([resnet8]))
    stage = page.get_by_role("application")
    stage.focus()
    for _ in range(20):
        stage.press("+")
    settled(page)
    low, high = shown_cycles(page)
    assert high - low <= 13
    assert "array: works" in page.locator("#timeline .readout").inner_text()


def test_figures_of_the_timeline_are_those_of_the_counters(
        show: Show, resnet8: dict[str, Any]) -> None:
    page = show(document([resnet8]))
    page.locator("#timeline summary").click()
    table = page.locator("#timeline tbody")
    table.locator("tr").first.wait_for()  # the browser says later that the part is open
    found = {state: int(cycles.replace(",", "")) for unit, state, cycles, _ in (
        row.locator("th, td").all_inner_texts() for row in table.locator("tr").all())
        if unit == "array"}
    assert found["works"] == resnet8["cycles_by_cause"]["issued"]
    assert found["waits for weights"] == resnet8["cycles_by_cause"]["weights"]


def test_the_memory_map_shows_tensors_alone(show: Show, resnet8: dict[str, Any]) -> None:
    page = show(document([resnet8]))
    assert rows(page, "#memory svg.chart g") == len(resnet8["memory"])
    page.get_by_role("button", name="Tensors only").click()
    constants = [item for item in resnet8["memory"] if item["kind"] in ("constants", "commands")]
    assert rows(page, "#memory svg.chart g") == len(resnet8["memory"]) - len(constants) > 0


def test_runs_are_compared(show: Show, two_runs: dict[str, Any]) -> None:
    page = show(two_runs)
    text = page.locator("#compare").inner_text()
    for run in two_runs["runs"]:
        assert run["label"] in text and f"{run['totals']['cycles']:,}" in text
    assert "better" in text
    other = two_runs["runs"][1]
    page.locator("#chooser").get_by_role("button", name=other["label"]).click()
    assert page.locator("article.verdict:visible h3").inner_text() == other["label"]
    settled(page)
    assert shown_cycles(page)[1] == other["totals"]["cycles"]


def test_before_and_after_are_compared(show: Show, resnet8: dict[str, Any]) -> None:
    after = copy.deepcopy(resnet8)
    after["layers"][1]["cycles"] -= 1000
    page = show(document([after], [resnet8 | {"verdict": document([resnet8])["runs"][0]["verdict"]}]
                         ))
    first = page.locator("#compare table").nth(1).locator("tbody tr").first.inner_text()
    assert "18,436" in first and "17,436" in first and "better" in first


def test_a_run_that_does_not_fit_stands_beside_one_that_does(
        show: Show, resnet8: dict[str, Any]) -> None:
    from kaniwa.config import PRESETS
    from kaniwa.report.run import Clock, unfit_run

    unfit = unfit_run("big", PRESETS["small"], Clock(50.0, "x"), "needs 900 KiB of 64 KiB", 921_600)
    page = show(document([unfit, resnet8]))
    assert "does not fit" in page.locator("#compare").inner_text()
    page.locator("#chooser button").first.click()
    assert page.locator("#layers").is_hidden()


def test_html_in_names_is_text(show: Show, resnet8: dict[str, Any]) -> None:
    run = copy.deepcopy(resnet8) | {"model": EVIL}
    for layer in run["layers"]:
        layer["name"] = layer["label"] = EVIL
    for item in run["memory"]:
        item["name"] = EVIL
    page = show(document([run, run]))
    page.locator("#layers tbody tr button").first.click()
    page.locator("#graph svg g").first.hover()
    assert page.locator("tr.detail dd").first.inner_text() == EVIL
    assert rows(page, "img") == 0 and page.title().startswith(EVIL)


def test_ten_thousand_layers_stay_usable(show: Show, many_layers: dict[str, Any]) -> None:
    page = show(many_layers)
    assert rows(page, "#layers tbody tr") == 200
    assert rows(page, "#graph svg g") < 60
    page.get_by_label("Search").fill("layer_9999")
    assert rows(page, "#layers tbody tr") == 1
    page.locator("#layers tbody tr button").first.click()
    page.get_by_role("button", name="Show in the graph").click()
    settled(page)
    assert page.locator("#graph [data-node='9998']").count() == 1
    assert page.evaluate("document.querySelectorAll('*').length") < 20_000


def test_without_events_the_layers_shares_are_shown(
        show: Show, transformer: dict[str, Any]) -> None:
    page = show(document([transformer | {"events": None}]))
    assert "no record of events" in page.locator("#timeline").inner_text()


def test_accuracy_is_shown(show: Show, resnet8: dict[str, Any]) -> None:
    found = {"device": "emulator", "data": "x.npz", "inferences": 4, "correct": 3,
             "accuracy": 0.75, "classes": [[2, 1], [0, 1]]}
    page = show(document([resnet8 | {"accuracy": found}]))
    assert "75.0 %" in page.locator("#accuracy").inner_text()
    assert page.locator("#accuracy tbody tr").count() == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_axe_finds_no_violation(show: Show, two_runs: dict[str, Any], phone: bool,
                                scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = show(two_runs, phone=phone, scheme=scheme)
    page.locator("#layers tbody tr button").first.click()
    page.locator("#timeline summary").click()
    settled(page)
    found = Axe().run(page)
    assert not found.response["violations"], found.generate_report()


def test_a_phone_scrolls_down_only(show: Show, two_runs: dict[str, Any]) -> None:
    page = show(two_runs, phone=True)
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_paper_has_all_rows_and_folds(show: Show, resnet8: dict[str, Any]) -> None:
    page = show(document([resnet8]))
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator("details:not([open])").count() == 0
    assert page.locator("nav").is_hidden()
    table = page.locator("#layers .scroll")
    assert table.evaluate("e => e.scrollHeight <= e.clientHeight + 2")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


def test_the_page_has_the_document(show: Show, resnet8: dict[str, Any]) -> None:
    made = document([resnet8])
    page = show(made)
    assert json.loads(page.locator("#data").text_content()) == json.loads(json.dumps(made))


def test_headings_and_landmarks_are_in_order(show: Show, resnet8: dict[str, Any]) -> None:
    page = show(document([resnet8]))
    levels = [int(tag[1]) for tag in page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4')].map(e => e.tagName)")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
