"""TensorFlow Lite files as ONNX, by tf2onnx in a process of its own: a broken file or its libraries end only that."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from foveal.core.errors import SourceError

SECONDS = 600
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": ""}


def to_onnx(path: Path) -> bytes:
    """The network of a ``.tflite`` file as an ONNX file; raises SourceError in one line."""
    if any(find_spec(name) is None for name in ("tf2onnx", "tensorflow")):
        change = f"python -m tf2onnx.convert --tflite {path.name} --output {path.stem}.onnx"
        raise SourceError(
            f"{path} is a TensorFlow Lite model; convert it: {change}; or do it here: pip install tf2onnx tensorflow"
        )
    if not path.is_file():
        raise SourceError(f"{path}: no such file")
    with TemporaryDirectory() as folder:
        out = Path(folder) / "net.onnx"
        words = [sys.executable, "-m", "tf2onnx.convert", "--tflite", str(path.resolve()), "--output", str(out)]
        places = os.pathsep.join(place for place in sys.path if place)
        environment = {**os.environ, **_QUIET, "PYTHONPATH": places}
        try:
            done = subprocess.run(
                [*words, "--opset", "17"],
                capture_output=True,
                env=environment,
                cwd=folder,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise SourceError(f"{path}: tf2onnx took over {SECONDS} s") from error
        if done.returncode or not out.is_file():
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            raise SourceError(f"{path}: tf2onnx cannot convert it ({(lines or ['it ended without a word'])[-1][:200]})")
        return out.read_bytes()
