"""Traces Keras models on the backend of this process and prints what foveal says of them as one line of JSON."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

import foveal
from foveal.core.errors import FovealError

layers = keras.layers


def small() -> Any:
    """A network with what Keras does its own way: "same" with a stride, a model inside a model, cropping."""
    image = keras.Input((4, 8, 2))
    inner = keras.Model(image, layers.Conv2D(4, 3, padding="same", name="first")(image), name="inner")
    x = given = keras.Input((32, 24, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="one")(x)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="dw")(x)
    image = keras.Input((16, 12, 4))
    inner = keras.Model(image, layers.Conv2D(4, 3, padding="same", name="first")(image), name="inner")
    x = inner(x)
    x = layers.Cropping2D(1, name="cut")(x)
    x = layers.MaxPooling2D(2, name="mp")(x)
    x = layers.GlobalAveragePooling2D(name="gap")(x)
    return keras.Model(given, layers.Dense(3, activation="softmax", name="fc")(x), name="small")


def mixed() -> Any:
    """Upsampling, transposed convolution, squeeze and excitation, attention, normalisation over features."""
    x = given = keras.Input((16, 12, 4))
    x = layers.Conv2D(4, 3, strides=2, padding="valid", name="down")(x)
    gate = layers.Dense(4, activation="sigmoid", name="gate")(layers.GlobalAveragePooling2D(name="squeeze")(x))
    y = layers.Multiply(name="excite")([x, layers.Reshape((1, 1, 4), name="back")(gate)])
    y = layers.UpSampling2D(2, name="nearest")(y)
    y = layers.Conv2DTranspose(4, 3, strides=2, padding="same", name="up")(y)
    y = layers.LayerNormalization(name="norm")(y)
    y = layers.ZeroPadding2D(1, name="pad")(y)
    return keras.Model(given, layers.SeparableConv2D(3, 3, name="sep")(y), name="mixed")


def by_name() -> Any:
    ids, mask = (keras.Input((12,), dtype="int32", name=name) for name in ("ids", "mask"))
    x = keras.layers.Embedding(9, 4)(ids) * keras.ops.cast(mask, "float32")[..., None]
    return keras.Model({"ids": ids, "mask": mask}, keras.layers.Conv1D(4, 3, padding="same")(x))


def described(graph: Any, modules: Any) -> dict[str, Any]:
    found = {}
    for name in modules:
        rf = foveal.receptive_field(graph, name)
        numbers = [
            [None if n is None else str(n) if n != int(n) else int(n) for n in part]
            for part in (rf.size, rf.stride, rf.start)
        ]
        found[name] = [graph.layer(name).type, *numbers, rf.status]
    return found


def named(graph: Any) -> list[str]:
    return [name for name in graph.layers if graph.layer(name).kind == "module" and name != "output"]


def error_of(source: str) -> str:
    try:
        foveal.trace(source)
    except FovealError as error:
        return str(error)
    return ""


def main() -> None:
    model = small()
    rng = np.random.default_rng(0)
    model.set_weights(
        [rng.uniform(0.5, 1.5, w.shape) * rng.choice([-1, 1], w.shape) ** (w.ndim > 1) for w in model.get_weights()]
    )
    before = [w.copy() for w in model.get_weights()]
    graph = foveal.trace(model)
    found: dict[str, Any] = {"backend": keras.backend.backend(), "small": described(graph, named(graph))}
    found["verify"] = [foveal.verify(graph, name).agrees for name in ("dw", "cut")]
    field = foveal.field(graph, "inner", kind="gradient", at=(6, 6))
    found["gradient"] = [list(field.values.shape), float(field.values.sum()), field.method]
    other = foveal.trace(mixed())
    found["mixed"] = described(other, [name for name in named(other) if name != "sep"])
    call = {name: np.ones((1, 12), np.int32) for name in ("ids", "mask")}
    graph = foveal.trace(by_name(), call, axes={"mask": ()})
    sources = [source.name for source in foveal.trace(by_name(), call).sources]
    found["by name"] = [sources, [s.name for s in graph.sources], list(foveal.receptive_field(graph, "output").size)]
    published = (("MobileNet", {"alpha": 0.25}), ("MobileNetV2", {"alpha": 0.35}))
    for name, options in published if keras.backend.backend() == "torch" else ():
        network = getattr(keras.applications, name)(
            weights=None, include_top=False, input_shape=(224, 224, 3), **options
        )
        traced = foveal.trace(network)
        rf = foveal.receptive_field(traced, traced.layers[-1])
        found[name] = [list(rf.size), [int(n) for n in rf.stride], rf.status]
    found["unchanged"] = all(np.array_equal(a, b) for a, b in zip(before, model.get_weights())) and all(
        layer.autocast for layer in model.layers
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "broken.keras"
        path.write_bytes(b"not a zip")
        found["errors"] = [error_of("keras:ResNet49"), error_of(f"{folder}/nothing.keras"), error_of(str(path))]
    print(json.dumps(found))


main()
