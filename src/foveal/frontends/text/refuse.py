"""What is meant where somebody gives something that is no specification: one line that says what to write instead."""

from __future__ import annotations

import re
from os.path import exists, isdir, isfile, join
from pathlib import Path

from foveal.core.errors import SourceError
from foveal.frontends.sources.listing import OWN, names, shelves
from foveal.frontends.text.kinds import KINDS
from foveal.frontends.text.limits import shown

PICTURE = "a picture, not a network; give the network as SOURCE and the picture with --image"
CHIP = "a network compiled for one chip; give the ONNX file or the model that it was made from"
FILES = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff"), PICTURE),
    ".pb": "a TensorFlow graph; convert it: python -m tf2onnx.convert --saved-model FOLDER --output net.onnx",
    ".cfg": "a Darknet configuration; load it in PyTorch (ultralytics has YOLO's) and give package.module:factory",
    ".weights": "Darknet weights; load them in PyTorch and give package.module:factory",
    ".prototxt": "a Caffe network; convert it to ONNX (caffe2onnx) and give net.onnx",
    ".caffemodel": "Caffe weights; convert the network to ONNX (caffe2onnx) and give net.onnx",
    ".safetensors": "weights, not a network: give a factory (package.module:factory); --weights FILE goes beside it",
    ".ckpt": "a checkpoint of weights, not a network: give a factory (package.module:factory)",
    ".bin": "weights, not a network: give a factory (package.module:factory)",
    ".npz": "arrays, not a network: give a factory (package.module:factory)",
    ".npy": "an array, not a network: give a factory (package.module:factory)",
    ".mlmodel": "a Core ML model; export the original as ONNX",
    ".mlpackage": "a Core ML model; export the original as ONNX",
    ".pbtxt": "a TensorFlow graph; export the original as ONNX",
    ".param": "an ncnn network; give the ONNX file or the model that it was made from",
    ".mnn": "an MNN network; give the ONNX file or the model that it was made from",
    ".pdmodel": "a Paddle network; convert it to ONNX (paddle2onnx) and give net.onnx",
    ".xml": "an OpenVINO model; export the original as ONNX",
    ".pdiparams": "Paddle weights; convert the network to ONNX (paddle2onnx) and give net.onnx",
    **dict.fromkeys((".engine", ".trt", ".plan"), "a TensorRT engine; give the ONNX file that it was made from"),
    **dict.fromkeys((".rknn", ".om", ".dlc", ".hef"), CHIP),
    ".pte": "an ExecuTorch program; give the .pt2 file that it was made from",
    ".gguf": "weights in llama.cpp's form; give the model's own configuration: hf:FOLDER with its config.json",
    ".hdf5": "a Keras file of the old form; load it in Keras and save it as net.keras",
    ".py": "Python code; give the function that makes the network behind it: net.py:factory",
    ".ipynb": "a notebook; call foveal.analyze(model, shape) in it, or give package.module:factory",
    ".json": "data, not a network; give a network as SOURCE",
    ".csv": "data, not a network; give a network as SOURCE",
    **dict.fromkeys((".zip", ".tar", ".gz"), "an archive; unpack it and give the network's own file"),
    ".md": "a text for people, not a network; give a network as SOURCE",
    ".txt": "a text file; put the specification between quotes, or into FILE.yaml",
}
"""By ending: what such a file is, and what to do."""


def refuse(text: str) -> None:
    """Raises SourceError where the text names something that is no specification."""
    word = text.strip()
    suffix, spaced = Path(word).suffix.lower(), re.search(r"\s", word) is not None
    if suffix in FILES and (not spaced or Path(word).exists()):
        raise SourceError(f"'{shown(word)}' is {FILES[suffix]}")
    if not word or spaced or word.endswith((".yaml", ".yml")):
        return
    if "/" in word or "\\" in word or word in (".", ".."):
        _refuse_path(word)
    prefix = word.partition(":")[0]
    if ":" in word and re.fullmatch(r"[A-Za-z][\w-]*", prefix) and not _is_layer(prefix):
        known = ", ".join(f"{shelf.prefix}:" for shelf in shelves())
        raise SourceError(
            f"'{shown(word)}': there is no source '{prefix}:'; there are {known} and package.module:factory"
        )
    if re.fullmatch(r"[A-Za-z][\w.-]*", word) and not _is_layer(word):
        _refuse_name(word)


def _refuse_path(word: str) -> None:
    if isfile(join(word, "config.json")):
        raise SourceError(f"'{shown(word)}' is a folder of a Hugging Face model; write hf:{shown(word)}")
    if isfile(join(word, "saved_model.pb")):
        change = f"python -m tf2onnx.convert --saved-model {shown(word)} --output net.onnx"
        raise SourceError(
            f"'{shown(word)}' is a TensorFlow SavedModel, which runs code when it is read; convert it: {change}"
        )
    if isdir(word):
        raise SourceError(
            f"'{shown(word)}' is a folder; give a file in it (.onnx, .pt2, .yaml), or package.module:factory"
        )
    if Path(word).suffix:
        known = "exists but is of no kind that can be read" if exists(word) else "is no file"
        raise SourceError(f"'{shown(word)}' {known}; networks are read from .onnx, .pt2, .pt, .keras and .yaml")


def _refuse_name(word: str) -> None:
    found = [name for package in OWN for name in _listed(package) if name == f"{package}:{word}"]
    if found:
        told = found[0] if len(found) == 1 else f"{', '.join(found[:-1])} or {found[-1]}"
        raise SourceError(f"'{word}' is a network, not a layer; write {told}")
    if isdir(word):
        _refuse_path(word)
    if isfile(f"{word}.py"):
        raise SourceError(f"'{word}' is {FILES['.py'].replace('net.py', f'{word}.py')}")


def _listed(package: str) -> list[str]:
    """The names of a library; none where it is not installed."""
    try:
        return names(package)
    except SourceError:
        return []


def _is_layer(word: str) -> bool:
    """Whether it begins like a layer, so that the parser has more to say."""
    kind = re.match(r"[a-z]+", word)
    return kind is not None and kind[0] in KINDS
