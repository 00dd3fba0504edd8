"""Every command at 60, 80 and 120 columns: golden texts, and no number that is cut or that the JSON does not hold."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from foveal.app.main import app
from foveal.frontends.trace import trace as network
from support.paths import NETWORKS

NET = "input=3x64x64 conv3x64 conv3x64 pool2 conv3x256 conv3x512 pool2 [conv3x512 | id] gap fc1000"
COMMANDS = {
    "analyze": ["analyze", NET, "--all"],
    "stages": ["analyze", "gallery:resnet18"],
    "compare": ["compare", NET, NET.replace("conv3x256 ", "")],
    "classification": ["audit", "classification", NET],
    "segmentation": ["audit", "segmentation", "input=3x64x64 conv3x8 {pool2 conv3x16 up2 | id} conv3x4"],
    "streaming": ["audit", "streaming", "input=3x512 causal3x8 causal3x8,d2 causal3x112576,d4"],
    "detection": ["audit", "detection", "input=3x64x64 conv3x8,s2 conv3x8,s2 conv3x8", "--object-size", "8"],
    "registration": ["audit", "registration", "input=3x64x64 conv3x8,s2 pool2 conv3x8"],
    "field": ["field", NET, "--layer", "pool2"],
    "tile": ["tile", NET, "--layer", "pool2", "--size", "40000x30000", "--tile", "512"],
    "stream": ["stream", "input=3x4096 conv7x8,s5 causal3x8 causal3x8,d112576", "--rate", "44100", "--chunk", "1.5s"],
    "tokens": ["audit", "tokens", "input=3x512 causal3x8 causal3x8,d2 causal3x112576,d4"],
    "erf": [
        "erf",
        "small_factories:first",
        "--input",
        "1,3,48,48",
        "--layer",
        "tail",
        "--count",
        "3",
        "--threads",
        "1",
    ],
    "verify": ["verify", "small_factories:first", "--input", "1,3,48,48"],
    "explain": ["explain", NET, "--layer", "pool2"],
}
UNWRITTEN = ("explain", "stream", "erf")
"""Commands that print no JSON, or times and ratios that are worked out from it."""
WIDTHS = (60, 80, 120)
SCALES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "%": 0.01}
NUMBER = re.compile(r"(?<![\w.\u2026])\d[\d,]*(?:\.\d+)?(?:e[-+]\d+)?(?![\w.])(?: ?([kMGT%])(?!\w))?")
TELLS = (
    "left out",
    "not shown",
    "rows that",
    "layers that",
    "4.55 %",
    "90 %",
    "activations at once",
    "computed twice",
    "tiles  ",
)
"""Lines that say something about the table itself, or a fixed level."""


def run(arguments: list[str], width: int | None) -> str:
    columns = None if width is None else str(width)
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": columns}, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def numbers(text: str) -> Iterator[tuple[str, float, float]]:
    """Each number as it stands, its value, and half a unit of its last digit."""
    for found in NUMBER.finditer(text):
        digits = re.match(r"[\d.,e+-]+", found[0])
        assert digits is not None
        plain, scale = digits[0].rstrip(".,").replace(",", ""), SCALES[found[1] or ""]
        mantissa, _, power = plain.partition("e")
        step = 10.0 ** (-len(mantissa.partition(".")[2]) + int(power or 0))
        yield found[0], float(plain) * scale, 0.5 * step * scale * 1.001


def held(data: Any) -> Iterator[float]:
    """All numbers of JSON, those in its sentences too, and the lengths of lists."""
    if isinstance(data, dict):
        for value in data.values():
            yield from held(value)
    elif isinstance(data, list):
        yield len(data)
        for value in data:
            yield from held(value)
    elif isinstance(data, str):
        yield from (value for _, value, _ in numbers(data))
        yield from (int(a) / int(b) for a, b in re.findall(r"(\d+)/(\d+)", data))
    elif isinstance(data, int | float) and not isinstance(data, bool):
        yield float(data)


def kept(graphs: dict[str, Any], source: Any, *given: Any, **options: Any) -> Any:
    """The network, traced once for all widths."""
    if isinstance(source, str) and source not in graphs:
        graphs[source] = network(source, *given, **options)
    return graphs[source] if isinstance(source, str) else source


@pytest.mark.parametrize("name", COMMANDS)
def test_no_number_is_cut(
    name: str, golden: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    graphs: dict[str, Any] = {}
    if name != "erf":  # its modules keep what they import
        monkeypatch.setattr("foveal.frontends.trace.trace", partial(kept, graphs))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(NETWORKS))
    arguments = COMMANDS[name]
    wide = run(arguments, None)
    known = {token for token, _, _ in numbers(wide)}
    shown = []
    for width in WIDTHS:
        text = run(arguments, width)
        shown.append(f"--- {width} columns\n{text}")
        assert {token for token, _, _ in numbers(text)} <= known | {"left", "4.55"}, (
            width
        )  # its % may stand on the next line
        table = [line for line in text.splitlines() if "\u2500" in line]
        assert all(len(line) <= width for line in table)
    golden("\n".join(shown))
    if name in UNWRITTEN:
        return
    plain = sorted(set(held(json.loads(run([part for part in arguments if part != "--all"] + ["--json"], None)))))
    told = "\n".join(line for line in wide.splitlines() if not any(word in line for word in TELLS))
    unknown = [
        token
        for token, value, half in numbers(told)
        if not any(abs(abs(other) - value) <= half or abs(other - value) <= 1e-3 * value for other in plain)
    ]
    assert unknown == []
