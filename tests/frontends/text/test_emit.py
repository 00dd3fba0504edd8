"""PyTorch code of a text network: what becomes a class, what a parameter, what an output; and the command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from foveal.app.main import app
from foveal.frontends.text import gallery
from foveal.frontends.text.emit import pytorch_code
from foveal.frontends.text.trace import parse_spec, read_spec


def emitted(text: str, lengths: tuple[int, ...] | None = None) -> str:
    return pytorch_code(read_spec(text), lengths)


def run(source: str) -> Any:
    torch = pytest.importorskip("torch")
    names: dict[str, Any] = {"__name__": "net"}
    exec(source, names)
    shape = re.search(r"torch\.zeros\((.*?)\)", source)
    assert shape is not None
    return names["Net"]().eval()(torch.zeros(*map(int, shape[1].split(", "))))


def test_blocks_that_differ_in_numbers_are_one_class() -> None:
    source = emitted("gallery:resnet18")
    assert re.findall(r"class (\w+)", source) == ["Residual", "Residual2", "Net"]
    assert "self.layer3 = nn.Sequential(Residual2(128, 256), Residual(256))" in source
    assert "nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)" in source


def test_a_number_with_a_default_is_named_where_it_differs() -> None:
    source = emitted("2*(conv3,dw,bn,relu conv1x8,bn) 1*(conv3,dw,s2,bn,relu conv1x16,bn)", (8, 8, 8))
    assert "def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:" in source
    assert "self.block2 = Block(8, 16, stride=2)" in source
    assert "groups=inputs" in source


def test_repeats_are_a_loop() -> None:
    assert "nn.Sequential(*(Residual(8) for _ in range(5)))" in emitted("5*[conv3,bn | id]", (8, 8, 8))


def test_a_block_is_handed_what_it_reads_from_outside() -> None:
    source = emitted("conv3x4 save=a pool2 neck:(up2 cat=a conv3x6,bn)", (3, 8, 8))
    assert "def forward(self, x: Tensor, kept: Tensor) -> Tensor:" in source
    assert "self.neck(x, a)" in source
    assert run(source).shape == (1, 6, 8, 8)


def test_a_scope_whose_inside_is_read_later_is_no_class() -> None:
    source = emitted("down:(conv3x4,bn save=a conv3x4,s2,bn) up2 add=a", (3, 8, 8))
    assert re.findall(r"class (\w+)", source) == ["Net"]
    assert "self.down_conv1 = " in source
    assert run(source).shape == (1, 4, 8, 8)


def test_what_is_saved_and_left_unread_is_an_output() -> None:
    source = emitted("conv3x4 save=a conv1x2 save=fine from=a pool2 conv1x3", (3, 8, 8))
    assert "return [fine, y]" in source
    assert [tuple(part.shape) for part in run(source)] == [(1, 2, 8, 8), (1, 3, 4, 4)]


def test_paths_keep_their_values() -> None:
    """A path that saves and one that is the identity read the same map, whatever the other does to its variable."""
    source = emitted("conv3x4 [conv3,bn save=a conv3 add=a | id | relu] save=a conv1 add=a", (3, 8, 8))
    assert run(source).shape == (1, 4, 8, 8)


@pytest.mark.parametrize("words", ["conv3x4,name=x conv3,name=y", "torch:(conv3x4,bn) nn:(conv3,bn) none:(conv1,bn)"])
def test_names_of_the_text_do_not_collide_with_those_of_the_code(words: str) -> None:
    source = emitted(f"{words} save=x conv1 save=y save=torch add=x add=y add=torch", (3, 8, 8))
    assert run(source).shape == (1, 4, 8, 8)


@pytest.mark.needs("ruff")
def test_code_of_the_gallery_passes_ruff(tmp_path: Path) -> None:
    for name in gallery.names():
        (tmp_path / f"{name}.py").write_text(emitted(f"gallery:{name}"), encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["check", "--isolated", "--no-cache"], ["format", "--check", "--isolated", "--no-cache"]):
        done = subprocess.run([*ruff, *command, str(tmp_path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_command_prints_or_writes_it(tmp_path: Path) -> None:
    net, path = "conv3x4,bn,relu gap fc3", tmp_path / "net.py"
    expected = pytorch_code(parse_spec(net), (1, 8, 8))
    shown = CliRunner().invoke(app, ["code", net, "--input", "1,1,8,8"], catch_exceptions=False)
    CliRunner().invoke(app, ["code", net, "--input", "1,1,8,8", "-o", str(path)], catch_exceptions=False)
    assert shown.output == path.read_text(encoding="utf-8") == expected


def test_the_command_needs_an_input() -> None:
    result = CliRunner().invoke(app, ["code", "conv3x4"])
    assert result.exit_code != 0
    assert "no input shape" in result.stderr
