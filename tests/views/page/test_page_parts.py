"""The report page in a browser, apart from the explorer: growth, network, table, findings, languages, saved figures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import foveal
from foveal.core.finding import Finding
from foveal.tasks.streaming.plan import unchecked
from foveal.views.page.build import PageOptions, report_page
from support.browser import chromium, watched

pytestmark = pytest.mark.xdist_group("page parts")  # its tests share their pages

HOSTILE = "<img src=x onerror=alert(1)>"
FINDINGS = (
    Finding("XX01", "info", "conv1", "a note"),
    Finding("XX02", "error", "layer2", f"an error {HOSTILE}"),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    graph = foveal.trace("gallery:resnet18")
    path = tmp_path_factory.mktemp("page") / "report.html"
    options = PageOptions(kinds=("energy",), findings=FINDINGS, command=f"foveal report {HOSTILE}")
    path.write_text(report_page(graph, options), encoding="utf-8")
    return path


@pytest.fixture
def page(browser: Any, report: Path) -> Iterator[Any]:
    with watched(browser) as found:
        open_report(found.page, report)
        yield found.page
        found.check("")


def open_report(page: Any, path: Path) -> None:
    page.goto(path.as_uri())
    page.wait_for_function("document.documentElement.dataset.ready === 'true'")


def chosen(page: Any) -> str:
    """The name of the layer that the table shows as chosen."""
    return page.locator("#layer-rows tr[aria-current] th").inner_text()


def test_the_summary_says_what_the_paper_says(page: Any) -> None:
    # ResNet-18: 435 at stride 32 (Araujo et al. 2019), 11.7 M parameters.
    assert page.locator("#tile-rf .value").inner_text() == "435"
    assert page.locator("#tile-stride .value").inner_text() == "32"
    assert page.locator("#tile-parameters .value").inner_text() == "11.7 M"
    assert "435 × 435" in page.locator("#lead").inner_text()


def test_growth_is_walked_with_keys_and_the_other_parts_follow(page: Any) -> None:
    chart = page.locator("#growth svg")
    chart.press("Home")
    assert page.locator("#growth svg").get_attribute("aria-valuetext") == "conv1: 7"
    assert chosen(page) == "conv1"
    assert page.locator("#network .node.chosen title").text_content() == (
        "conv1, conv, receptive field 7, output 1×64×112×112"
    )
    page.keyboard.press("ArrowRight")
    assert chosen(page) == "bn1"
    page.locator("#growth-tools [data-value=log]").click()
    ticks = page.locator("#growth text.tick").all_text_contents()
    assert [tick for tick in ticks if tick in ("1", "10", "100")] == ["1", "10", "100"]


def test_modules_open_and_close(page: Any) -> None:
    names = page.locator("#network .node .name")
    assert names.all_text_contents()[:7] == ["input", "conv1", "bn1", "relu1", "pool1", "layer1", "layer2"]
    module = page.get_by_role("treeitem", name=re.compile("^layer1,"))
    assert module.get_attribute("aria-expanded") == "false"
    module.locator(".toggle").click()
    assert module.get_attribute("aria-expanded") == "true"
    assert page.get_by_role("treeitem", name=re.compile(r"^layer1\.conv2,")).count() == 1
    module.press(" ")
    assert module.get_attribute("aria-expanded") == "false"
    module.press("Enter")
    assert chosen(page) == "layer1"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert chosen(page) == "layer2"


def test_a_residual_block_is_drawn_with_its_two_ways(page: Any) -> None:
    page.get_by_role("treeitem", name=re.compile("^layer1,")).locator(".toggle").click()
    page.get_by_role("treeitem", name=re.compile(r"^layer1\.add1,")).press("Enter")
    # Into the first sum come the convolutions and the identity; out of it goes one link.
    assert page.locator("#network path.link.on").count() == 3


def test_zoom_and_drag_move_the_view(page: Any) -> None:
    view = page.locator("#network-view")
    before = view.get_attribute("transform")
    page.locator("#network-tools").get_by_role("button", name="Zoom in").click()
    zoomed = view.get_attribute("transform")
    assert zoomed != before
    box = page.locator("#network").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 300, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 30, steps=4)
    page.mouse.up()
    assert view.get_attribute("transform") != zoomed
    page.locator("#network-tools").get_by_role("button", name="Fit").click()
    inside = page.evaluate(
        "() => { const a = document.querySelector('#network').getBoundingClientRect();"
        " const b = document.querySelector('#network-view').getBoundingClientRect();"
        " return b.left >= a.left && b.right <= a.right && b.top >= a.top && b.bottom <= a.bottom; }"
    )
    assert inside


def test_the_table_sorts_filters_and_keeps_few_rows_on_the_page(page: Any) -> None:
    rows = page.locator("#layer-rows tr[data-layer] th")
    total = len(foveal.analyze(foveal.trace("gallery:resnet18")).layers)
    assert rows.count() < total
    page.get_by_role("button", name="params", exact=True).click()
    assert page.locator("thead th[aria-sort=descending]").inner_text().startswith("params")
    # The last stage holds most of the parameters.
    assert rows.first.inner_text() == "layer4"
    page.locator("#filter").fill("layer2 conv")
    assert all(name.startswith("layer2.conv") for name in rows.all_inner_texts())
    assert page.locator("#layer-count").inner_text().startswith(f"{rows.count()} of {total}")
    page.locator("#filter").fill("no such layer")
    assert rows.count() == 0
    assert page.locator("#layer-count").inner_text() == "No layer matches."


def test_the_table_is_walked_with_keys_to_its_end(page: Any) -> None:
    page.locator("#layer-rows tr[tabindex='0']").press("End")
    assert chosen(page) == "fc1"
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.matches('#layer-rows tr[aria-current]')")
    page.keyboard.press("Home")
    assert chosen(page) == "conv1"


def test_findings_stand_gravest_first_as_text_and_lead_to_their_layer(page: Any) -> None:
    assert page.locator(".note-head strong").all_inner_texts() == ["error", "note"]
    assert page.locator("#findings").inner_text().count(HOSTILE) == 1
    assert page.locator("#provenance").inner_text().count(HOSTILE) == 1
    page.get_by_role("button", name="Show layer2").click()
    assert chosen(page) == "layer2"


def test_language_and_theme_change_everything_at_once(page: Any) -> None:
    page.locator("#language").select_option("zh-CN")
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    headings = page.locator("h2").all_inner_texts()
    assert headings == ["逐单元浏览", "增长", "网络", "各层", "发现", "来源"]
    # Nothing is left in English but names, kinds of layers and numbers.
    assert not re.search(r"\b(the|of|and|layers|receptive)\b", page.locator("main").inner_text().replace(HOSTILE, ""))
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    page.locator("#theme").click()
    assert page.evaluate(ground) != before


def test_figures_are_saved_as_pictures(page: Any) -> None:
    with page.expect_download() as saved:
        page.locator("#network-tools .exports button").first.click()
    text = Path(saved.value.path()).read_text(encoding="utf-8")
    assert text.startswith("<svg")
    # Colours are written out: the file stands alone.
    assert "class=" not in text
    assert 'stroke="rgb(' in text
    with page.expect_download() as saved:
        page.locator("#growth-tools .exports button").last.click()
    assert Path(saved.value.path()).read_bytes().startswith(b"\x89PNG")


def test_paper_gets_all_rows_and_a_light_ground(page: Any) -> None:
    page.locator("#theme").click()
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    total = len(foveal.analyze(foveal.trace("gallery:resnet18")).layers)
    assert page.locator("#layer-rows tr[data-layer]").count() == total
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_a_phone_has_no_sideways_scroll(browser: Any, report: Path) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    open_report(page, report)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.close()


APART = """() => {
  const places = (which) =>
    [...document.querySelectorAll(`#network ${which} .body`)].map((n) => n.getBoundingClientRect());
  const [boxes, frames] = [places('.node:not(.frame)'), places('.frame')];
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const within = (a, b) => a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom;
  const torn = boxes.filter((a, i) =>
    boxes.some((b, k) => k > i && meet(a, b)) || frames.some((f) => meet(a, f) && !within(a, f)));
  return [boxes.length, torn.length];
}"""


def test_boxes_of_the_network_never_overlap_and_lie_wholly_in_their_modules(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "inception.html"
    graph = foveal.trace("gallery:inception_v3")
    path.write_text(report_page(graph, PageOptions(layers=("Mixed_7c",), kinds=("support",))), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    open_report(page, path)
    before, torn = page.evaluate(APART)
    assert torn == 0
    page.get_by_role("button", name="Open one level").click()
    opened, torn = page.evaluate(APART)
    assert torn == 0
    # Every leaf has its box now, and the input one.
    assert before < opened == 1 + sum(row.leaf for row in foveal.analyze(graph).layers)
    page.close()


def test_a_thousand_layers_in_a_row_open_in_handfuls(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "long.html"
    graph = foveal.trace(" ".join(["conv3x2"] * 1000), (1, 1, 32))
    path.write_text(report_page(graph, PageOptions(layers=("conv9",), kinds=("support",))), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    open_report(page, path)
    assert page.locator("#tile-layers .value").inner_text().replace("\u202f", "") == "1000"
    assert page.locator("#network .node").count() == 21
    page.locator("#network .toggle").nth(3).click()
    # The fourth fifty, in the place of their group.
    assert page.locator("#network .node").count() == 71
    assert page.get_by_role("treeitem", name=re.compile("^conv200,")).count() == 1
    page.locator("#layer-rows tr[tabindex='0']").press("End")
    assert chosen(page) == "conv1000"
    page.close()


def test_a_signal_is_drawn_chunk_by_chunk(browser: Any, report: Path, tmp_path: Path) -> None:
    """A kernel of 5 with two samples ahead: chunks of 8, 2 before and 2 behind; an image has no such part."""
    path = tmp_path / "signal.html"
    graph = foveal.trace("conv5x4,p2", (1, 2, 64))
    options = PageOptions(kinds=("energy",), stream=unchecked(graph, 1000.0, 1))
    path.write_text(report_page(graph, options), encoding="utf-8")
    with watched(browser) as found:
        open_report(found.page, report)
        assert not found.page.locator("#s-stream, #to-stream").count()
        open_report(found.page, path)
        said = found.page.locator("#stream-about").inner_text()
        assert "8 samples = 8 ms: each is computed with 2 samples = 2 ms before it" in said
        bars = [found.page.locator(f"#stream rect.{kind}") for kind in ("in", "computed", "again", "kept")]
        assert [bar.count() for bar in bars] == [4, 4, 7, 4]
        sides = [bar.nth(1).evaluate("bar => bar.width.baseVal.value") for bar in bars]
        assert [round(side / sides[1], 3) for side in sides] == [1, 1, 0.25, 0.5]
        found.check("")
