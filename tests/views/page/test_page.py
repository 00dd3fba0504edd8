"""The report page's data and text: boxes as in receptive_field, both languages complete, names only ever as text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import foveal
from foveal.core.errors import FovealError, SourceError, UnknownLayerError
from foveal.ir.graph import Graph
from foveal.views.page.build import PageOptions, page_data, report_page
from foveal.views.page.fields import packed
from foveal.views.page.render import SCRIPTS, asset, embedded
from foveal.views.page.tables import TablePool, decoded
from support.hostile import HOSTILE, hostile_page

NETWORKS = {
    "plane": "conv3x4,s2 conv5x4 pool2 conv3x4,d2",
    "residual": "conv3x4 [conv3x4 conv3x4 | id] pool2 conv3x4",
    "context": "conv3x4 se conv3x4",
}


class Reader(HTMLParser):
    """What a browser takes from a page: tags with their attributes, and the text of each script by its id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.plain: list[str] = []
        self._open: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self._open = dict(attrs).get("id") or "code"

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self.scripts[self._open] = self.scripts.get(self._open, "") + data
        else:
            self.plain.append(data)


def entry(array: np.ndarray, first: int, unit: tuple[int, ...]) -> int:
    """The value of a unit where an axis of length 1 stands for all."""
    return int(array[(first, *(0 if n == 1 else i for i, n in zip(unit, array.shape[1:], strict=True)))])


def page_boxes(data: dict[str, Any]) -> Iterator[tuple[str, str, tuple[int, ...], bool, Any]]:
    """(layer, source, unit, clipped?, box) for every unit of every layer, as the page reads them."""
    arrays = decoded(data["tables"])
    for row in data["layers"]:
        tables = row["tables"]
        if tables is None:
            continue
        for unit in product(*map(range, row["grid"])):
            for clip in (True, False):
                which = 0 if clip else 1
                if entry(arrays[tables["nothing"]], which, unit):
                    yield row["name"], row["source"], unit, clip, tuple((0, 0) for _ in tables["first"])
                elif clip or all(tables["known"]):
                    sides = zip(tables["first"], tables["last"], strict=True)
                    box = tuple((entry(arrays[a], which, unit), entry(arrays[b], which, unit) + 1) for a, b in sides)
                    yield row["name"], row["source"], unit, clip, box


@pytest.fixture(scope="module")
def graphs() -> dict[str, Graph]:
    return {name: foveal.trace(text, (1, 3, 24, 20)) for name, text in NETWORKS.items()}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_boxes_of_all_units_are_those_of_the_receptive_field(graphs: dict[str, Graph], name: str) -> None:
    graph = graphs[name]
    seen = 0
    for layer, source, unit, clip, box in page_boxes(page_data(graph)):
        assert box == foveal.receptive_field(graph, layer, source=source).box(unit, clip=clip), (layer, unit, clip)
        seen += 1
    assert seen > 300


def test_a_box_by_hand() -> None:
    data = page_data(foveal.trace("conv3x4,s2 conv3x4", (1, 3, 16, 16)))
    last = data["layers"][-1]["name"]
    boxes = {(unit, clip): box for layer, _, unit, clip, box in page_boxes(data) if layer == last}
    assert boxes[(2, 3), False] == ((1, 8), (3, 10))  # 3-wide over stride 2: from 2(i - 1) - 1, 7 long
    assert boxes[(0, 0), False] == ((-3, 4), (-3, 4))
    assert boxes[(0, 0), True] == ((0, 4), (0, 4))


def test_local_receptive_fields_are_kept_where_they_differ(graphs: dict[str, Graph]) -> None:
    data = page_data(graphs["context"])
    row = data["layers"][-1]
    local = foveal.receptive_field(graphs["context"], row["name"]).local
    assert local is not None
    assert row["tables"]["local"] is not None
    arrays = decoded(data["tables"])
    found = [entry(arrays[k], 0, (7, 9)) for k in row["tables"]["local"]["first"]]
    assert found == [a for a, _ in local.box((7, 9), clip=True)] == [5, 7]


def test_tables_come_back_to_the_last_integer() -> None:
    pool = TablePool()
    arrays = [np.arange(7), np.array([[2**31 - 1, -(2**31)], [5, -5]]), np.zeros((2, 1, 3)), np.arange(7)]
    numbers = [pool.add(a) for a in arrays]
    assert numbers == [0, 1, 2, 0]
    for number, array in zip(numbers, arrays, strict=True):
        assert number is not None
        np.testing.assert_array_equal(decoded(pool.encoded())[number], array)


def test_tables_that_are_too_large_stay_out() -> None:
    pool = TablePool(largest=10, budget=15)
    assert pool.add(np.arange(11)) is None
    assert pool.add(np.arange(10)) == 0
    assert pool.add(np.arange(100, 106)) is None
    assert pool.add(np.arange(100, 105)) == 1


def test_bytes_of_a_field_are_within_half_a_step(graphs: dict[str, Graph]) -> None:
    import base64
    import zlib

    field = foveal.field(graphs["plane"], graphs["plane"].layers[-1], kind="paths")
    found = packed(field)
    samples = np.frombuffer(zlib.decompress(base64.b64decode(found["data"])), np.uint8).reshape(found["shape"])
    assert found["step"] == [1, 1]
    assert tuple(found["origin"]) == field.origin
    shares = np.sqrt(field.values / field.values.max())
    assert np.abs(samples / 255 - shares)[field.values > 0].max() <= 1 / 255
    np.testing.assert_array_equal(samples > 0, field.values > 0)


def test_both_languages_have_the_same_keys_and_fill_ins() -> None:
    messages = json.loads(asset("page/messages.json"))
    assert set(messages) == {"en", "zh-CN"}
    assert set(messages["en"]) == set(messages["zh-CN"])
    for key, text in messages["en"].items():
        other = messages["zh-CN"][key]
        assert set(re.findall(r"\{(\w+)\}", text)) == set(re.findall(r"\{(\w+)\}", other)), key
        assert text.strip(), key
        assert other.strip(), key


def test_every_text_that_the_scripts_ask_for_is_there() -> None:
    messages = json.loads(asset("page/messages.json"))["en"]
    script = "\n".join(asset(name) for name in SCRIPTS) + asset("page/template.html")
    asked = set(re.findall(r'\bt\("(\w+)"', script)) | set(re.findall(r'data-(?:t|label)"?[=:] ?"(\w+)"', script))
    assert len(asked) > 60
    assert asked <= set(messages), sorted(asked - set(messages))


def test_scripts_set_text_only_as_text() -> None:
    script = "\n".join(asset(name) for name in SCRIPTS)
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "fetch("):
        assert way not in script, way


def test_no_two_parts_of_the_script_share_a_name() -> None:
    script = "\n".join(asset(name) for name in SCRIPTS)
    names = re.findall(r"^(?:async )?(?:function\*?|const|let|class) (\w+)", script, re.MULTILINE)
    assert sorted(names) == sorted(set(names))


def test_hostile_names_are_text(tmp_path: Path) -> None:
    reader = Reader(hostile_page(tmp_path))
    data = json.loads(reader.scripts["data"])
    assert data["name"] == HOSTILE
    assert any(HOSTILE in row["name"] for row in data["layers"])
    assert data["backdrops"][0]["name"] == '<img src=x onerror="hit=2">.png'
    assert not [tag for tag, _ in reader.tags if tag in ("img", "b", "iframe")]
    assert not [name for _, attributes in reader.tags for name in attributes if name.startswith("on")]
    assert any(HOSTILE in text for text in reader.plain)


def test_embedded_values_cannot_end_their_script() -> None:
    value = {"</script>": ["<!--", "a & b", "line\u2028paragraph\u2029", "雪"]}
    text = embedded(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value


def test_the_page_asks_for_nothing(graphs: dict[str, Graph]) -> None:
    reader = Reader(report_page(graphs["plane"]))
    policy = next(a["content"] for tag, a in reader.tags if tag == "meta" and "http-equiv" in a)
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy
    assert "unsafe" not in policy
    for tag, attributes in reader.tags:
        for name in ("src", "href", "action", "poster"):
            given = attributes.get(name)
            assert given is None or given.startswith(("data:", "#")), (tag, name, given)


def test_bad_options_get_one_line(graphs: dict[str, Graph], tmp_path: Path) -> None:
    with pytest.raises(FovealError, match="unknown kind of field 'heat'; known: energy, paths"):
        PageOptions(kinds=("heat",))
    with pytest.raises(FovealError, match="unknown language 'fr'; known: en, zh-CN"):
        PageOptions(language="fr")
    with pytest.raises(UnknownLayerError):
        page_data(graphs["plane"], PageOptions(layers=("nowhere*",)))
    broken = tmp_path / "photo.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(SourceError):
        page_data(graphs["plane"], PageOptions(image=str(broken)))
    line = foveal.trace("conv3x4", (1, 3, 32))
    with pytest.raises(FovealError, match="only a source with two can lie on an image"):
        page_data(line, PageOptions(image=str(broken)))
