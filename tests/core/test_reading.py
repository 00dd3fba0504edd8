"""Texts that others wrote: encodings, YAML that grows, results given back that are none."""

from __future__ import annotations

import codecs
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import foveal
from foveal.core.errors import FovealError
from foveal.core.reading import decoded, read_yaml
from foveal.designs.network import from_yaml
from foveal.designs.spaces.space import space_from_yaml

SPEC = "input: 1x8x8\nlayers:\n  - conv3x2\n"
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi")
)


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_bytes(codecs.BOM_UTF8 + SPEC.replace("\n", "\r\n").encode())
    assert foveal.receptive_field(foveal.trace(str(path)), "conv1").size == (3, 3)
    report = foveal.analyze(foveal.trace("\ufeffconv3x2", (1, 1, 8, 8)))
    assert type(report).from_json("\ufeff" + report.to_json()) == report


@pytest.mark.parametrize("name", ["utf-16", "utf-16-be", "utf-32", "latin-1"])
def test_other_encodings_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / "net.yaml"
    mark = codecs.BOM_UTF16_BE if name == "utf-16-be" else b""
    path.write_bytes(mark + ("name: caf\xe9\n" + SPEC).encode(name))
    other = name.upper().removesuffix("-BE") if name != "latin-1" else ""
    words = (
        f"not text in UTF-8 but in {other}; save it as UTF-8" if other else "not text in UTF-8: byte 0xe9 at position 9"
    )
    with pytest.raises(ValueError, match=words):
        decoded(path.read_bytes())
    with pytest.raises(FovealError, match=words):
        foveal.trace(str(path))


@pytest.mark.parametrize(
    "text",
    [LAUGHS, "&a [*a]", "a: &a {b: *a}", "[" * 5000, "a: 2001-99-99", "a: " + "9" * 6000, "a: !!x 1",
     "? [a]\n: b", "<<: [1]"],
)  # fmt: skip
def test_yaml_that_grows_or_breaks_is_a_line(text: str) -> None:
    for read in (lambda: read_yaml(text, "here"), lambda: space_from_yaml(text), lambda: from_yaml(text)):
        with pytest.raises(FovealError) as caught:
            read()
        assert len(str(caught.value).splitlines()) == 1


WRONG = (1, None, "x", [], {}, True, -1, 10**30, "1/0", "9" * 5000 + "/1", "\u00b2/1", [None], [[1]], "1e5", {"a": 1})


def test_results_given_back_are_checked() -> None:
    graph = foveal.trace("conv3x4 pool2", (1, 3, 8, 8))
    for made in (foveal.analyze(graph), foveal.tile(graph), foveal.audit(graph, "registration")):
        data = json.loads(made.to_json())
        for path in places(data):
            for wrong in WRONG:
                # Another value of the same kind is no error; whatever is read can be shown.
                with suppress(FovealError):
                    str(type(made).from_json(json.dumps(put(data, path, wrong))))


def places(value: Any, path: tuple[Any, ...] = ()) -> Any:
    """Every place in plain values, the first of each list."""
    yield path
    below = value if isinstance(value, dict) else range(min(len(value), 1)) if isinstance(value, list) else ()
    for key in below:
        yield from places(value[key], (*path, key))


def put(value: Any, path: tuple[Any, ...], wrong: Any) -> Any:
    if not path:
        return wrong
    copy = value.copy()
    copy[path[0]] = put(value[path[0]], path[1:], wrong)
    return copy
