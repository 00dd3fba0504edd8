"""One network in four forms, Keras on its torch backend among them: prints what foveal says as one line of JSON.

Keras picks its backend when it is loaded, so this runs in a process of its own.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import keras
import torch

import foveal
from foveal.app.main import app
from foveal.testing import check_frontends_agree
from support.frameworks.one_network import SIDE, Small, eager, in_jax, onnx_graph

layers = keras.layers


def in_keras(same: bool = False) -> Any:
    """The network of one_network.py, channels last; ``same``: padded as TensorFlow does at the stride."""
    x = given = keras.Input((SIDE, SIDE, 3))
    x = layers.ReLU(name="relu")(
        layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, padding="same", name="stem")(x))
    )
    if same:
        down = layers.Conv2D(4, 3, strides=2, padding="same", name="down")(x)
    else:
        down = layers.Conv2D(4, 3, strides=2, name="down")(layers.ZeroPadding2D(1, name="pad")(x))
    x = layers.Add(name="join")([down, layers.Conv2D(4, 1, strides=2, name="short")(x)])
    y = layers.MaxPooling2D(3, 2, name="pool")(layers.ZeroPadding2D(1, name="around")(x))
    y = layers.Conv2D(4, 3, dilation_rate=2, padding="same", activation="relu", name="wide")(y)
    y = layers.Add(name="skip")([layers.Conv2DTranspose(4, 2, strides=2, name="up")(y), x])
    return keras.Model(given, layers.Conv2D(2, 3, padding="same", name="head")(y), name="small")


def compared_by_command() -> str:
    """What ``foveal compare`` prints of the PyTorch network's ONNX file and the Keras file that pads otherwise."""
    printed = io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder) / "small.onnx", Path(folder) / "small.keras"
        torch.onnx.export(Small().eval(), (torch.zeros(1, 3, SIDE, SIDE),), str(first), dynamo=False)
        in_keras(same=True).save(second)
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            app(["compare", str(first), str(second)])
    return printed.getvalue()


def main() -> None:
    warnings.simplefilter("ignore")
    shape = (1, 3, SIDE, SIDE)
    graphs = {
        "torch": eager(),
        "onnx": onnx_graph(Small(), shape, dynamo=False),
        "keras": foveal.trace(in_keras()),
        "jax": foveal.trace(in_jax, (1, SIDE, SIDE, 3)),
    }
    found = check_frontends_agree(graphs, fields_at=7)
    other = foveal.trace(in_keras(same=True))
    differs = check_frontends_agree({"torch": graphs["torch"], "keras": other})
    compared = foveal.compare(graphs["torch"], other)
    step = None if compared.parting is None else compared.steps[compared.parting]
    print(
        json.dumps(
            {
                "backend": keras.backend.backend(),
                "all": str(found),
                "differences": differs.differences,
                "parting": step and [step.first and step.first.name, step.second and step.second.name, step.differs],
                "command": compared_by_command(),
            }
        )
    )


if __name__ == "__main__":
    main()
