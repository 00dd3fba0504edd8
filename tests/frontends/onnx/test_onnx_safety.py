"""Damaged and hostile ONNX files: one clear line each, nothing outside the model's folder opened, nothing run."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
import onnx
from onnx import ModelProto, helper
from typer.testing import CliRunner

import foveal
from foveal.app.main import app
from foveal.core.errors import SourceError, TraceError
from fuzz.fuzz_onnx import attempt
from support.onnx_cases import onnx_models as models
from support.onnx_cases.onnx_mutations import MUTATIONS, mutants, originals, place


def saved(folder: Path, data: bytes | ModelProto, name: str = "net.onnx") -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an ONNX model"),
        (b"PK\x03\x04 this is a zip file", "not an ONNX model"),
        (models.cnn().SerializeToString()[:100], "not an ONNX model"),
    ],
)
def test_files_that_are_no_model(tmp_path: Path, data: bytes, message: str) -> None:
    path = saved(tmp_path, data)
    with pytest.raises(SourceError, match=message):
        foveal.trace(path)
    done = CliRunner().invoke(app, ["analyze", str(path)])
    assert done.exit_code == 2


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone\.onnx: No such file"):
        foveal.trace(tmp_path / "gone.onnx")


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "a/../../weights.bin", "", "..", "link.bin"])
def test_external_data_outside_the_folder_is_not_opened(tmp_path: Path, location: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    secret = tmp_path / "weights.bin"
    secret.write_bytes(bytes(4 * 3 * 9 * 4))
    (inside / "link.bin").symlink_to(secret)
    model = models.cnn()
    place(model.graph.initializer[0], location)
    with pytest.raises(SourceError, match=r"'w0' keeps its data in .*(outside the model's folder|not there)"):
        foveal.trace(saved(inside, model))


def test_external_data_that_is_too_short(tmp_path: Path) -> None:
    model = models.cnn()
    (tmp_path / "weights.bin").write_bytes(bytes(10))
    place(model.graph.initializer[0], "weights.bin")
    with pytest.raises(SourceError, match=r"'w0' needs 432 bytes of 'weights.bin' from byte 0: not there"):
        foveal.trace(saved(tmp_path, model))


def test_a_model_in_memory_has_no_folder() -> None:
    model = models.cnn()
    place(model.graph.initializer[0], "weights.bin")
    with pytest.raises(SourceError, match="the model was not read from a folder"):
        foveal.trace(model)


def test_a_cycle_and_a_name_that_nothing_makes() -> None:
    model = models.cnn()
    model.graph.node[0].input[0] = "c"
    with pytest.raises(SourceError, match=r"node 'conv0' \(Conv\) uses 'c' before it is made \(a cycle"):
        foveal.trace(model)
    model.graph.node[0].input[0] = "nobody"
    with pytest.raises(SourceError, match="uses 'nobody' but nothing makes it"):
        foveal.trace(model)


def test_functions_without_end() -> None:
    with pytest.raises(SourceError, match="the local function Block calls itself"):
        foveal.trace(models.functions(itself=True))
    bomb = ModelProto()
    bomb.ParseFromString(MUTATIONS["functions"](random.Random(1), originals()[0]))
    kinds = set()
    for seed in range(6):
        bomb.ParseFromString(MUTATIONS["functions"](random.Random(seed), originals()[0]))
        with pytest.raises(SourceError) as caught:
            foveal.trace(bomb)
        kinds.add("itself" if "itself" in str(caught.value) else "more than")
        assert "itself" in str(caught.value) or "more than 200000 nodes" in str(caught.value)
    assert kinds == {"itself", "more than"}


@pytest.mark.parametrize("length", [2**31, 2**40, 2**62])
def test_dimensions_beyond_all_measure(length: int) -> None:
    model = models.cnn(size=length)
    with pytest.raises(SourceError, match=r"dimensions beyond all measure|lengths must be from 1 to"):
        foveal.trace(model)
    stored = models.cnn()
    stored.graph.initializer[0].dims[0] = length
    with pytest.raises(SourceError, match=r"'w0' .*(beyond all measure|bytes where)"):
        foveal.trace(stored)


def test_a_small_file_does_not_become_a_large_tensor() -> None:
    """ConstantOfShape of 4 TiB: known, but never filled; as a layer's operand it does not fit and is refused."""
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["big"], name="big"),
        helper.make_node("Add", ["x", "big"], ["y"], name="add"),
    ]
    arrays = {"shape": np.asarray([2**20, 2**20])}
    body = models.graph(nodes, [models.info("x", [1, 4])], [models.info("y", None)], arrays)
    with pytest.raises((SourceError, TraceError)):
        foveal.trace(models.model(body))


def test_a_kernel_without_elements_is_refused() -> None:
    model = models.cnn()
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.zeros((4, 3, 0, 1), np.float32), "w0"))
    del model.graph.node[0].attribute[:]
    model.graph.node[0].attribute.append(helper.make_attribute("kernel_shape", [1, 1]))
    with pytest.raises((SourceError, TraceError), match=r"kernel_shape is \[1, 1\], the kernel \[0, 1\]"):
        foveal.analyze(foveal.trace(model))


def test_stored_numbers_that_do_not_fill_their_shape() -> None:
    model = models.cnn()
    model.graph.initializer[1].raw_data = b"1234"
    with pytest.raises(SourceError, match=r"'w1' of shape \[2, 4, 3, 3\] has 4 bytes where 288 are needed"):
        foveal.trace(model)


@pytest.mark.slow
def test_damaged_files_get_one_line(tmp_path: Path) -> None:
    """A small share of ``fuzz_onnx.py``, in this process."""
    wrong = []
    for number, (what, data) in enumerate(mutants(200, seed=1)):
        outcome = attempt(saved(tmp_path, data))
        if outcome not in ("answered", "refused"):
            wrong.append(f"{number} ({what}): {outcome}")
    assert wrong == []


def test_undamaged_files_are_answered(tmp_path: Path) -> None:
    """The fuzz says something only where the originals pass: all but the one whose data lies elsewhere."""
    outcomes = [attempt(saved(tmp_path, data)) for data in originals()]
    assert outcomes.count("refused") == 1
    assert set(outcomes) == {"answered", "refused"}
    assert onnx.__version__
