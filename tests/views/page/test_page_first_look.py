"""What a first reader meets on the pages of six networks, in both languages, light and dark, and on a phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import foveal
from foveal.ir.graph import Graph
from foveal.tasks.detection.heads import heads
from foveal.views.page.build import PageOptions, page_data
from foveal.views.page.render import render
from support.browser import axe_faults, chromium, watched
from support.needs import needs

pytestmark = pytest.mark.xdist_group("first look")  # its tests share their pages
FIELD = "(name) => JSON.parse(document.getElementById('data').textContent).fields[name]?.energy ?? null"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
KINDS = ("energy",)


def resnet() -> Graph:
    return foveal.trace(needs("torchvision").models.resnet50(weights=None), (1, 3, 64, 64))


def unet() -> Graph:
    return foveal.trace("gallery:unet", (1, 3, 64, 64))


def vit() -> Graph:
    made = needs("torchvision").models.VisionTransformer(
        image_size=64, patch_size=16, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=32
    )
    return foveal.trace(made.eval(), (1, 3, 64, 64))


def swin() -> Graph:
    made = needs("torchvision").models.SwinTransformer(
        patch_size=[4, 4], embed_dim=8, depths=[2, 2], num_heads=[1, 2], window_size=[4, 4]
    )
    return foveal.trace(made.eval(), (1, 3, 64, 64))


def retinanet() -> Graph:
    made = needs("torchvision").models.detection.retinanet_resnet50_fpn(
        weights=None, weights_backbone=None, min_size=64, max_size=64
    )
    return foveal.trace(made.eval(), (1, 3, 64, 64))


def wavenet() -> Graph:
    return foveal.trace("gallery:wavenet", (1, 32, 4096))


NETWORKS: dict[str, Callable[[], Graph]] = {
    made.__name__: made for made in (resnet, unet, vit, swin, retinanet, wavenet)
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The page of a network, made once."""
    folder = tmp_path_factory.mktemp("first")

    def write(name: str) -> Path:
        path = folder / f"{name}.html"
        if not path.exists():
            graph = NETWORKS[name]()
            options = PageOptions(kinds=KINDS, heads=heads(graph), check=False)
            path.write_text(render(page_data(graph, options)), encoding="utf-8")
        return path

    return write


def opened(found: Any, path: Path) -> Any:
    found.page.goto(path.as_uri())
    found.page.wait_for_selector("html[data-ready=true]")
    return found.page


@pytest.mark.parametrize("name", NETWORKS)
def test_every_page_in_both_languages_and_looks(browser: Any, written: Callable[[str], Path], name: str) -> None:
    place = list(NETWORKS).index(name)
    for turn, locale in enumerate(("en", "zh-CN")):
        # Over the networks each language is seen light and dark, on a wide screen and on a phone.
        scheme, phone = ("light", "dark")[(turn + place // 2) % 2], PHONE if (turn + place) % 2 else {}
        with watched(browser, locale=locale, color_scheme=scheme, bypass_csp=turn == place % 2, **phone) as found:
            page = opened(found, written(name))
            assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
            text = page.locator("body").inner_text()
            assert [word for word in ("1 layers", "undefined", "NaN") if word in text] == []
            assert ("感受野" in text) == (locale == "zh-CN")
            if turn == place % 2:
                assert axe_faults(page) == []
            found.check("")


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("resnet", ("layer1", "layer2", "layer3", "layer4")),
        ("unet", ("down1", "up3", "up2", "up1")),
        ("vit", ("encoder.layers.encoder_layer_0", "encoder.layers.encoder_layer_1")),
        ("swin", ("features.1", "features.3")),
        ("retinanet", ("backbone.fpn.layer_blocks.0", "backbone.fpn.p6", "head.classification_head.cls_logits#3")),
    ],
)
def test_fields_where_people_click(
    browser: Any, written: Callable[[str], Path], name: str, layers: tuple[str, ...]
) -> None:
    with watched(browser) as found:
        page = opened(found, written(name))
        for layer in layers:
            option = page.locator("#x-layer option", has_text=f"{layer} · ").first
            assert "●" in (option.text_content() or ""), layer
        found.check("")


def test_a_layer_without_a_field_says_so_and_shows_nothing_else(browser: Any, written: Callable[[str], Path]) -> None:
    with watched(browser) as found:
        page = opened(found, written("resnet"))
        bare = page.locator("#x-layer option").filter(has_not_text="●").first
        page.select_option("#x-layer", bare.get_attribute("value"))
        page.wait_for_timeout(300)
        assert "no field for this layer" in page.locator(".x-note").inner_text()
        assert not page.locator("#x-eye").is_visible()
        assert not page.locator("#x-surface").is_visible()
        assert page.locator(".x-heat.x-none").count() == 1
        assert page.locator("[data-value=energy]").count() == 0
        found.check("")


def test_tokens(browser: Any, written: Callable[[str], Path]) -> None:
    """64 / 16 = 4 x 4 patches and a class token before them: token 0 apart, patch (2, 2) is token 1 + 2 * 4 + 2."""
    with watched(browser) as found:
        page = opened(found, written("vit"))
        assert page.locator(".x-number-unit strong").inner_text() == "(11), patch 2, 2"
        assert page.evaluate(FIELD, "encoder.layers.encoder_layer_0@input")["unit"] == [11]
        assert "90 % side" in page.locator("#tile-erf").inner_text()
        canvas = page.locator("#x-grid canvas")
        assert [canvas.get_attribute(f"data-{side}") for side in ("rows", "columns")] == ["6", "4"]
        page.locator("#x-grid").press("ArrowRight")
        assert page.locator(".x-number-unit strong").inner_text() == "(12), patch 2, 3"
        # The field is token 11's: for another token, which sees the same box, it is not drawn.
        assert page.locator(".x-heat.x-none").count() == 1
        assert "of unit (11), patch 2, 2 only" in page.locator(".x-note").inner_text()
        page.locator("#x-grid").press("Home")
        assert "stands for no patch" in page.locator(".x-number-unit strong").inner_text()
        found.check("")


def test_units_that_differ_show_their_range(browser: Any, written: Callable[[str], Path]) -> None:
    """The phases of an upsampled map read fields of different sizes: both are in the tile."""
    rf = foveal.receptive_field(unet(), "up1")
    low, high = rf.sizes[0] or (0, 0)
    assert low < high
    with watched(browser) as found:
        page = opened(found, written("unet"))
        page.select_option("#x-layer", label=page.locator("#x-layer option", has_text="up1 · ").first.inner_text())
        assert f"{low}\u00a0–\u00a0{high}" in page.locator("#tile-rf").inner_text()
        found.check("")


def test_a_detector_begins_with_its_levels(browser: Any, written: Callable[[str], Path]) -> None:
    with watched(browser) as found:
        page = opened(found, written("retinanet"))
        rows = page.locator("#levels tbody tr")
        strides = [row.split("\t")[1] for row in rows.all_inner_texts()]
        assert strides == ["8", "16", "32", "64", "128"]  # P3 to P7 (Lin et al. 2017)
        assert page.locator("#behind").is_visible()
        assert not page.locator("#behind").is_checked()
        listed = page.locator("#layer-count").inner_text()
        page.locator("#behind").check()
        assert page.locator("#layer-count").inner_text() != listed
        codes = page.locator("#findings code").all_inner_texts()
        assert len(codes) == len(set(codes))
        assert not page.locator("#findings details[open]").count()
        rows.nth(3).locator("button").click()
        assert "cls_logits#4" in page.locator("#x-layer option:checked").inner_text()
        found.check("")


def test_growth_answers_the_pointer(browser: Any, written: Callable[[str], Path]) -> None:
    with watched(browser) as found:
        page = opened(found, written("wavenet"))
        assert "size (samples)" in (page.locator("#growth svg").text_content() or "")
        page.locator("#growth svg").hover()
        page.wait_for_selector("#growth .over .head", state="attached")
        assert "receptive field" in (page.locator("#growth .over").text_content() or "")
        # 30 gated layers of nine operations each: equal blocks are one part, so that the drawing stays readable.
        assert page.locator("#network .node").count() < 30
        assert "×\u200929" in page.locator("#network").inner_text()
        found.check("")
