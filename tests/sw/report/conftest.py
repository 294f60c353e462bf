"""Documents of small models, and a Chromium that shows their pages."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kaniwa.compiler.pipeline import compile
from kaniwa.report.document import document
from kaniwa.report.page import to_html
from kaniwa.report.run import Clock, Parts, fitting_run

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync")
CLOCK = Clock(100.0, "a clock of the tests")


@pytest.fixture(scope="session")
def resnet8(models: Path) -> dict[str, Any]:
    """A run of ResNet-8 on base."""
    return fitting_run(compile(models / "mlperf_ic_resnet8.tflite"), CLOCK, Parts())


@pytest.fixture(scope="session")
def transformer(models: Path) -> dict[str, Any]:
    """A run of a transformer on base_vector."""
    return fitting_run(compile(models / "digits_transformer.tflite", "base_vector"), CLOCK, Parts())


@pytest.fixture(scope="session")
def two_runs(resnet8: dict[str, Any], models: Path) -> dict[str, Any]:
    """ResNet-8 on base and on large."""
    large = fitting_run(compile(models / "mlperf_ic_resnet8.tflite", "large"), CLOCK, Parts())
    return document([resnet8, large])


@pytest.fixture(scope="session")
def many_layers(resnet8: dict[str, Any]) -> dict[str, Any]:
    """A document of 10,000 layers."""
    run = copy.deepcopy(resnet8) | {"events": None}
    layers, first = [], 0
    for number in range(1, 10_001):
        name, layer = f"layer_{number}", resnet8["layers"][number % 10]
        layers.append(layer | {"number": number, "label": name, "name": name, "first": first})
        first += layer["cycles"]
    run["layers"] = layers
    run["edges"] = [[-1, 0]] + [[i, i + 1] for i in range(9_999)] + [
        [i, i + 3] for i in range(0, 9_990, 3)]
    run["totals"] = run["totals"] | {"cycles": sum(layer["cycles"] for layer in layers)}
    run["memory"] = [run["memory"][0] | {"kind": "intermediate", "name": f"t{i}", "first": i,
                                         "last": i + 1} for i in range(9_999)]
    return document([run])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The distribution's Chromium, driven by playwright, whose event loop runs in this thread until
    the module ends: no test of another module could run a loop of its own."""
    if not CHROMIUM.exists():
        pytest.skip(f"Chromium is not installed at {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """A function that opens the page of a document; no page may have errors or use the network."""
    troubles: list[str] = []
    contexts = []

    def opened(made: dict[str, Any], *, phone: bool = False, scheme: str = "light") -> Any:
        path = tmp_path / f"page{len(contexts)}.html"
        path.write_text(to_html(made), encoding="utf-8")
        size = {"width": 360, "height": 800} if phone else {"width": 1400, "height": 900}
        context = browser.new_context(viewport=size, color_scheme=scheme)
        contexts.append(context)
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.on("console", lambda message: troubles.append(message.text)
                if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: troubles.append(request.url)
                if not request.url.startswith("file://") else None)
        page.goto(path.as_uri())
        page.wait_for_selector("#layers tbody tr", state="attached")
        page.wait_for_selector("#timeline svg path", state="attached")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not troubles
