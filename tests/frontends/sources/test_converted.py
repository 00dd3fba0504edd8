"""Files that another program converts: TensorFlow Lite by tf2onnx, whose place a small program takes here."""

from __future__ import annotations

from pathlib import Path

import pytest

import foveal
from foveal.core.errors import SourceError
from foveal.fields.receptive_field import receptive_field
from foveal.frontends.sources import tensorflow
from support.needs import needs

CONVERTER = """
import sys
import onnx
from onnx import TensorProto, helper
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if open(words["--tflite"], "rb").read() != b"TFL3":
    raise ValueError("no flatbuffer")
x, w, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s)
           for n, s in (("x", (1, 3, 16, 16)), ("w", (4, 3, 3, 3)), ("y", (1, 4, 14, 14))))
kernel = helper.make_tensor("w", TensorProto.FLOAT, (4, 3, 3, 3), [1.0] * 108)
graph = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["y"])], "net", [x], [y], [kernel])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), words["--output"])
"""


def test_a_tflite_file_is_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("onnx")
    net, broken = tmp_path / "网络 1.tflite", tmp_path / "broken.tflite"
    net.write_bytes(b"TFL3")
    broken.write_bytes(b"TFL")
    monkeypatch.setattr(tensorflow, "find_spec", lambda name: None)
    with pytest.raises(SourceError, match=r"convert it: python -m tf2onnx.*: pip install tf2onnx"):
        foveal.trace(net)
    monkeypatch.setattr(tensorflow, "find_spec", lambda name: name)
    (tmp_path / "tf2onnx").mkdir()
    (tmp_path / "tf2onnx" / "convert.py").write_text(CONVERTER, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    graph = foveal.trace(str(net))
    assert (graph.name, receptive_field(graph, graph.main).size) == ("网络 1", (3, 3))
    for path, why in ((broken, "no flatbuffer"), (tmp_path / "none.tflite", "no such file")):
        with pytest.raises(SourceError, match=why) as error:
            foveal.trace(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("ending", "why"),
    [("caffemodel", "caffe2onnx"), ("weights", "load them in PyTorch"), ("xml", "OpenVINO.*as ONNX"),
     ("mlmodel", "Core ML.*as ONNX"), ("pdiparams", "paddle2onnx"), ("plan", "TensorRT"), ("rknn", "one chip"),
     ("gguf", "hf:FOLDER")],
)  # fmt: skip
def test_files_of_other_programs_are_told_what_to_give(ending: str, why: str, tmp_path: Path) -> None:
    net = tmp_path / f"我的 网络.{ending}"
    net.write_bytes(b"\x00")
    with pytest.raises(SourceError, match=why) as error:
        foveal.trace(str(net))
    assert "\n" not in str(error.value)


def test_folders_of_other_programs_are_told_what_to_write(tmp_path: Path) -> None:
    for name, why in (("config.json", r"write hf:"), ("saved_model.pb", r"SavedModel.*tf2onnx.convert --saved-model")):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).write_text("{}", encoding="utf-8")
        with pytest.raises(SourceError, match=why):
            foveal.trace(f"{folder}")
