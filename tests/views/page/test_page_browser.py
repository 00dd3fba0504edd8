"""The report page in a real browser: what it draws is compared with ``receptive_field(...)`` of the same network."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import foveal
from foveal.fields.receptive_field import ReceptiveField
from foveal.ir.graph import Graph
from foveal.views.foveate import foveate
from foveal.views.page.build import PageOptions, report_page
from support.browser import Watched, chromium, watched
from support.hostile import hostile_page
from support.needs import needs

pytestmark = pytest.mark.xdist_group("page browser")  # its tests share their pages
NETWORKS = {
    "torchvision:resnet50": ("conv1", "layer3", "layer4", "avgpool"),
    "gallery:unet": ("*first", "*middle", "*last"),
    "torchvision:swin_t": ("features.1", "features.3.1", "features.5"),
    "gallery:tcn": ("*first", "*last"),
}
"""Networks, and the layers that are looked at."""
FIELDS = {
    "torchvision:swin_t": ("features.1",),
}
"""Layers with fields, where the usual dozen would take long."""
MATRIX = """(node) => {
  const matrix = node.getScreenCTM(), box = node.getBoundingClientRect();
  return [matrix.a, matrix.e - box.x, matrix.d, matrix.f - box.y];
}"""
"""How source positions lie on the stage: x is a * column + e, y is d * row + f, in CSS pixels of the picture."""
PICTURES = """() => [
  JSON.parse(document.getElementById("data").textContent).backdrops[0].uri, document.getElementById("x-eye").toDataURL()
]"""
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@cache
def traced(source: str) -> Graph:
    return foveal.trace(source)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The report of a network as a file, written once."""
    folder = tmp_path_factory.mktemp("reports")
    known: dict[str, Path] = {}

    def write(source: str) -> Path:
        if source not in known:
            known[source] = folder / f"{len(known)}.html"
            options = PageOptions(kinds=("energy", "paths"), layers=FIELDS.get(source, ()))
            known[source].write_text(report_page(traced(source), options), encoding="utf-8")
        return known[source]

    return write


def opened(found: Watched, path: Path) -> Any:
    """The page, ready."""
    found.page.goto(path.as_uri())
    found.page.wait_for_selector("html[data-ready=true]")
    return found.page


@pytest.fixture
def resnet(browser: Any, written: Callable[[str], Path]) -> Iterator[Any]:
    """The report of ResNet-50; at the end, nothing may have gone wrong and nobody been asked."""
    with watched(browser) as found:
        yield opened(found, written("torchvision:resnet50"))
        found.check("")


def until(page: Any, holds: str, given: Any = None) -> None:
    """Wait until an expression holds (asked from outside: the page's own policy forbids evaluating text)."""
    for _ in range(400):
        if page.evaluate(holds, given):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never became true: {holds}")


def still(page: Any, expression: str) -> Any:
    """The value of an expression once it no longer changes: what is drawn late is drawn."""
    before, now = None, page.evaluate(expression)
    while before != now:
        page.wait_for_timeout(600)
        before, now = now, page.evaluate(expression)
    return now


def chosen_layers(page: Any, wanted: tuple[str, ...]) -> dict[str, str]:
    """Name -> number of the layers to look at; "*first" and the like: of those with more than one unit."""
    rows = page.evaluate("JSON.parse(document.getElementById('data').textContent).layers.filter((r) => r.tables)")
    many = [row for row in rows if int(np.prod(row["grid"])) > 1]
    places = {"*first": many[0], "*middle": many[len(many) // 2], "*last": many[-1]}
    picked = [places[name] if name in places else next(r for r in rows if r["name"] == name) for name in wanted]
    return {row["name"]: str(row["id"]) for row in picked}


def drawn(page: Any, which: str) -> tuple[tuple[int, int], ...] | None:
    """The box on the stage in source positions, ends exclusive; None where none is drawn. What is drawn must agree."""
    node = page.locator(f"#x-{which}")
    text = node.get_attribute("data-box")
    if text is None:
        return None
    box = tuple((a, b) for a, b in json.loads(text))
    x, width = (float(node.get_attribute(name) or "nan") for name in ("x", "width"))
    assert (x, x + width) == box[-1]
    if len(box) > 1:
        y, height = (float(node.get_attribute(name) or "nan") for name in ("y", "height"))
        assert (y, y + height) == box[-2]
    return box


def hover(page: Any, unit: tuple[int, ...]) -> None:
    """Move the mouse onto the cell of a unit of the feature map."""
    canvas = page.locator("#x-grid canvas")
    rows, columns = (int(canvas.get_attribute(f"data-{name}") or 0) for name in ("rows", "columns"))
    place = (0, 0) if not unit else divmod(unit[0], columns) if len(unit) == 1 else unit[-2:]
    box = canvas.evaluate("(n) => { const b = n.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; }")
    x, y = box[0] + (place[1] + 0.5) * box[2] / columns, box[1] + (place[0] + 0.5) * box[3] / rows
    page.mouse.move(x, y)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def looked_at(rf: ReceptiveField) -> set[tuple[int, ...]]:
    """Corners, middle and one more unit."""
    ends = {tuple(0 for _ in rf.grid), tuple(n - 1 for n in rf.grid), tuple(n // 2 for n in rf.grid)}
    return ends | {tuple(n // 3 if i % 2 else n - 1 for i, n in enumerate(rf.grid))}


@pytest.mark.parametrize("source", NETWORKS)
def test_the_drawn_boxes_are_those_of_the_receptive_field(
    browser: Any, written: Callable[[str], Path], source: str
) -> None:
    with watched(browser) as found:
        page = opened(found, written(source))
        for layer, number in chosen_layers(page, NETWORKS[source]).items():
            page.select_option("#x-layer", number)
            page.locator("#x-grid canvas").scroll_into_view_if_needed()
            rf = foveal.receptive_field(traced(source), layer)
            for unit in looked_at(rf):
                hover(page, unit)
                clipped, whole = rf.box(unit, clip=True), rf.box(unit) if all(rf.known) else None
                assert drawn(page, "clipped") == clipped, (layer, unit)
                assert drawn(page, "unclipped") == (None if whole == clipped else whole), (layer, unit)
                if rf.local is not None:
                    assert drawn(page, "local") == rf.local.box(unit, clip=True), (layer, unit)
                centre = json.loads(page.locator("#x-centre").get_attribute("data-center") or "null")
                assert centre == [float(c) for c in rf.center(unit) if c is not None], (layer, unit)
        found.check("")


def test_a_pressed_pixel_tells_how_many_units_see_it(resnet: Any) -> None:
    graph = traced("torchvision:resnet50")
    stage = resnet.locator("#x-stage svg")
    for layer, number in chosen_layers(resnet, ("layer1", "layer3")).items():
        resnet.select_option("#x-layer", number)
        a, e, d, f = stage.evaluate(MATRIX)
        row, column = 3, 100
        stage.click(position={"x": e + (column + 0.5) * a, "y": f + (row + 0.5) * d})
        count = len(foveal.receptive_field(graph, layer).units_of((row, column)))
        said = resnet.locator("#x-pixel").inner_text().replace("\u202f", "")
        assert f"({row}, {column}) is inside the box of {count} of" in said
    resnet.locator("#x-stage").press("Escape")
    assert "Press on the picture" in resnet.locator("#x-pixel").inner_text()


def test_layer_field_and_language_are_switched(resnet: Any) -> None:
    heat = resnet.locator(".x-heat")
    until(resnet, "document.querySelector('.x-heat').hasAttribute('href')")
    before = heat.get_attribute("href")
    resnet.locator("[data-value=paths]").click()
    until(resnet, "(old) => document.querySelector('.x-heat').getAttribute('href') !== old", before)
    assert "number of paths" in resnet.locator("#explorer").inner_text()
    resnet.locator("#explorer [data-value='']").click()
    until(resnet, "document.querySelector('.x-heat').classList.contains('x-none')")
    number = chosen_layers(resnet, ("layer2",))["layer2"]
    resnet.select_option("#x-layer", number)
    assert "28 × 28" in (resnet.locator("#x-grid").get_attribute("aria-label") or "")
    resnet.select_option("#language", "zh-CN")
    assert resnet.locator("html").get_attribute("lang") == "zh-CN"
    assert "特征图" in resnet.locator("#explorer").inner_text()
    assert "路径" in resnet.locator("#explorer").inner_text()
    resnet.select_option("#language", "en")
    assert "Feature map" in resnet.locator("#explorer").inner_text()


def test_a_chinese_browser_gets_chinese_and_no_text_is_missing(browser: Any, written: Callable[[str], Path]) -> None:
    with watched(browser, locale="zh-CN") as found:
        page = opened(found, written("gallery:unet"))
        assert page.locator("html").get_attribute("lang") == "zh-CN"
        raw = page.evaluate(
            "[...document.querySelectorAll('[data-t]')].filter((n) => n.textContent === n.dataset.t).length"
        )
        assert raw == 0
        found.check("")


def tab_to(page: Any, selector: str, most: int = 60) -> None:
    """Press Tab until the element has the focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("(s) => document.activeElement.matches(s)", selector):
            return
    raise AssertionError(f"{selector} cannot be reached by Tab")


def test_keyboard_only(resnet: Any) -> None:
    tab_to(resnet, "#x-layer")
    for _ in range(400):  # typing its name would depend on how fast the machine is
        if resnet.evaluate("document.getElementById('x-layer').selectedOptions[0].text.startsWith('layer3 ')"):
            break
        resnet.keyboard.press("ArrowUp")
    until(resnet, "document.getElementById('x-grid').getAttribute('aria-label').includes('14 × 14')")
    tab_to(resnet, "#explorer [data-value=paths]")
    resnet.keyboard.press("Enter")
    until(resnet, "document.querySelector('#explorer [data-value=paths]').ariaPressed === 'true'")
    tab_to(resnet, "#x-grid")
    resnet.keyboard.press("Home")
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        resnet.keyboard.press(key)
    layer = resnet.evaluate("document.getElementById('x-layer').selectedOptions[0].text.split(' · ')[0]")
    rf = foveal.receptive_field(traced("torchvision:resnet50"), layer)
    assert drawn(resnet, "clipped") == rf.box((2, 1), clip=True)
    until(resnet, "document.getElementById('x-live').textContent.includes('(2, 1)')")
    for _ in range(8):
        resnet.keyboard.press("Shift+Tab")
        if resnet.evaluate("document.activeElement.id === 'x-stage'"):
            break
    resnet.keyboard.press("ArrowRight")
    assert "is inside the box of" in resnet.locator("#x-pixel").inner_text()


def test_the_stage_zooms_moves_and_fits(resnet: Any) -> None:
    stage = resnet.locator("#x-stage")

    def view() -> list[float]:
        return [float(n) for n in (resnet.locator("#x-stage svg").get_attribute("viewBox") or "").split()]

    start = view()
    stage.press("+")
    assert view()[2] < start[2]
    stage.press("Shift+ArrowRight")
    assert view()[0] > start[0]
    stage.press("0")
    assert view() == start
    resnet.locator("[data-value=outside]").click()
    x, y, width, height = view()
    box = foveal.receptive_field(traced("torchvision:resnet50"), "layer4").box((0, 0))
    assert (y, x) < (box[0][0], box[1][0])
    assert x + width > 224
    assert y + height > 224


def test_the_surface_turns(resnet: Any) -> None:
    surface = resnet.locator("#x-surface")
    picture = "(n) => n.firstElementChild.toDataURL()"
    before = surface.evaluate(picture)
    surface.press("ArrowRight")
    until(resnet, "(was) => document.getElementById('x-surface').firstElementChild.toDataURL() !== was", before)


def test_the_foveated_view_is_that_of_the_program(browser: Any, tmp_path: Path) -> None:
    graph = foveal.trace(
        "conv7x4 conv7x4 conv7x4 conv7x4 conv7x4 conv7x4 conv7x4 conv7x4 conv7x4 conv7x4", (1, 3, 96, 96)
    )
    layer = graph.layers[-1]
    path = tmp_path / "report.html"
    path.write_text(report_page(graph, PageOptions(kinds=("energy",), layers=(layer,))), encoding="utf-8")
    with watched(browser) as found:
        page = opened(found, path)
        page.wait_for_selector("#x-eye[data-unit='[48,48]']")
        until(page, "document.querySelector('.x-note').textContent.includes('very unit')")
        photo, eye = still(page, PICTURES)
        found.check("")
    image, shown = (
        np.asarray(Image.open(BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGB")) / 255
        for uri in (photo, eye)
    )
    wanted = foveate(image, foveal.field(graph, layer, kind="energy"))
    assert np.abs(shown - wanted).mean() < 1.5 / 255
    assert np.abs(shown - wanted).max() < 6 / 255
    assert np.abs(shown - image).mean() > 6 / 255


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("source", ["torchvision:resnet50", "gallery:tcn"])
def test_axe_finds_no_serious_fault(browser: Any, written: Callable[[str], Path], source: str, scheme: str) -> None:
    script = needs("axe").read_text(encoding="utf-8")
    with watched(browser, color_scheme=scheme) as found:
        page = opened(found, written(source))
        page.evaluate(script)
        result = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        faults = [
            (v["id"], v["impact"], v["nodes"][0]["html"][:200]) for v in result["violations"] if v["impact"] in SERIOUS
        ]
        assert faults == []
        found.check("")


def test_hostile_names_are_shown_as_text(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(hostile_page(tmp_path), encoding="utf-8")
    with watched(browser) as found:
        page = opened(found, path)
        page.wait_for_timeout(300)
        assert page.evaluate("window.hit === undefined")
        assert page.locator("img, [onerror], iframe").count() == 0
        assert "<b>{{7*7}}</b>" in page.locator("h1").inner_text()
        assert "<b>{{7*7}}</b>" in page.locator("#x-layer").inner_text()
        found.check("")


@pytest.mark.parametrize("source", ["torchvision:resnet50", "gallery:tcn"])
def test_a_phone_needs_no_sideways_scrolling(browser: Any, written: Callable[[str], Path], source: str) -> None:
    with watched(browser, viewport={"width": 390, "height": 844}, has_touch=True) as found:
        page = opened(found, written(source))
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        canvas = page.locator("#x-grid canvas")
        canvas.scroll_into_view_if_needed()
        canvas.tap(position={"x": 0.5, "y": 2})
        rf = foveal.receptive_field(
            traced(source), page.evaluate("document.getElementById('x-layer').selectedOptions[0].text.split(' · ')[0]")
        )
        assert drawn(page, "clipped") == rf.box(tuple(0 for _ in rf.grid), clip=True)
        found.check("")


def test_the_stage_is_saved_as_a_file(resnet: Any, tmp_path: Path) -> None:
    number = chosen_layers(resnet, ("layer1",))["layer1"]
    resnet.select_option("#x-layer", number)
    buttons = resnet.locator("#explorer .exports button")
    for place, name in ((0, "explorer-layer1.svg"), (1, "explorer-layer1.png")):
        with resnet.expect_download() as waiting:
            buttons.nth(place).click()
        assert waiting.value.suggested_filename == name
        waiting.value.save_as(tmp_path / name)
    text = (tmp_path / "explorer-layer1.svg").read_text(encoding="utf-8")
    (a, b), (c, d) = foveal.receptive_field(traced("torchvision:resnet50"), "layer1").box((28, 28), clip=True)
    assert f'x="{c}" y="{a}" width="{d - c}" height="{b - a}"' in text
    assert "class=" not in text
    with Image.open(tmp_path / "explorer-layer1.png") as picture:
        assert picture.width > 400
        assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 1000


def test_a_volume_is_shown_slice_by_slice(browser: Any, tmp_path: Path) -> None:
    graph = foveal.trace("conv3x4 conv3x4", (1, 1, 12, 20, 16))
    path = tmp_path / "report.html"
    path.write_text(report_page(graph, PageOptions(kinds=("paths",), layers=("*",))), encoding="utf-8")
    with watched(browser) as found:
        page = opened(found, path)
        hover(page, (6, 0, 7))
        assert drawn(page, "clipped") == ((4, 9), (0, 3), (5, 10))  # 5 wide in all, 2 to each side
        assert drawn(page, "unclipped") == ((4, 9), (-2, 3), (5, 10))
        off = "document.querySelector('.x-picture').classList.contains('x-off')"
        assert not page.evaluate(off)
        page.locator("#x-slice").fill("9")
        assert page.evaluate(off)
        page.locator("#x-stage").press("[")
        assert page.locator("#x-slice").input_value() == "8"
        assert not page.evaluate(off)
        page.locator("#x-grid + .x-leads input").fill("0")
        assert drawn(page, "clipped") == ((0, 3), (0, 3), (5, 10))
        found.check("")


def test_a_pressed_unit_is_held_until_it_is_pressed_again(resnet: Any) -> None:
    resnet.locator("#x-grid canvas").scroll_into_view_if_needed()
    unit = resnet.locator(".x-number-unit strong")
    hover(resnet, (1, 2))
    resnet.mouse.down()
    resnet.mouse.up()
    hover(resnet, (5, 5))
    assert unit.inner_text() == "(1, 2)"
    hover(resnet, (1, 2))
    resnet.mouse.down()
    resnet.mouse.up()
    hover(resnet, (5, 5))
    assert unit.inner_text() == "(5, 5)"
