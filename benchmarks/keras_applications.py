"""Keras Applications without weights: their receptive fields on the PyTorch and the JAX backend, and published values.

Each backend runs in a process of its own at low priority; what is done is kept, so that a second start goes on. Results
are one line of JSON per model and backend in ``keras_applications.jsonl`` beside this file (or where the first argument
says).

    python benchmarks/keras_applications.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

BACKENDS = ("torch", "jax")

PUBLISHED = {
    "VGG16": (212, 32), "VGG19": (268, 32), "ResNet50": (483, 32), "ResNet101": (1027, 32), "ResNet152": (1507, 32),
    "MobileNet": (315, 32), "MobileNetV2": (491, 32), "DenseNet121": (2071, 32), "DenseNet169": (3351, 32),
    "DenseNet201": (3863, 32), "InceptionV3": (1311, 32), "InceptionResNetV2": (3039, 32), "EfficientNetB0": (851, 32),
}  # fmt: skip
"""Size and stride of the last feature map, docs/methods.md 1.5 and 1.6 (squeeze and excitation left out)."""


def answers(done: set[str], results: Path) -> None:
    """All models on the backend of this process."""
    import keras

    import foveal
    from foveal.frontends.keras.trace import applications

    backend = keras.backend.backend()
    for name, function in applications().items():
        if f"{backend} {name}" in done:
            continue
        start = time.perf_counter()
        record: dict[str, Any] = {"model": name, "backend": backend}
        try:
            model = function(weights=None, include_top=False, input_shape=(224, 224, 3))
            built = time.perf_counter()
            graph = foveal.trace(model)
            rf = foveal.receptive_field(graph, "output")
            rf = rf.local or rf
            modules = [layer for layer in graph.layers if graph.layer(layer).kind == "module"]
            fields = {layer: foveal.receptive_field(graph, layer) for layer in modules}
            record |= {
                "size": list(rf.size), "stride": [str(n) for n in rf.stride], "status": rf.status,
                "layers": {layer: [list(f.size), [str(n) for n in f.start], f.status] for layer, f in fields.items()},
                "opaque": sorted({note.text for note in graph.notes if note.code == "opaque"}),
                "build_seconds": round(built - start, 1), "trace_seconds": round(time.perf_counter() - built, 1),
            }  # fmt: skip
            if name in PUBLISHED:
                record["as_published"] = (rf.size[0], int(rf.stride[0] or 0)) == PUBLISHED[name]
        except Exception as error:
            record["error"] = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
        with results.open("a") as file:
            file.write(json.dumps(record, default=str) + "\n")
        shown = {key: value for key, value in record.items() if key != "layers"}
        print(shown, flush=True)
        keras.utils.clear_session()


def summary(results: Path) -> None:
    """How many models agree between the backends, at how many layers, and with the published values."""
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    by = {(row["backend"], row["model"]): row for row in rows}
    both = [name for backend, name in by if backend == "torch" and ("jax", name) in by]
    equal = layers = 0
    for name in both:
        first, second = by["torch", name].get("layers"), by["jax", name].get("layers")
        if first and second:
            shared = first.keys() & second.keys()
            wrong = [layer for layer in shared if first[layer] != second[layer]]
            layers += len(shared)
            equal += not wrong
            if wrong:
                print(f"{name}: {len(wrong)} of {len(shared)} layers differ, first {wrong[0]}")
    known = [row for row in rows if "as_published" in row]
    print(f"{equal} of {len(both)} models equal on both backends at {layers} shared layers")
    print(f"{sum(row['as_published'] for row in known)} of {len(known)} published values met")


def main() -> None:
    results = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".jsonl")
    rows = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    if "KERAS_CHILD" in os.environ:
        answers({f"{row['backend']} {row['model']}" for row in rows}, results)
        return
    os.nice(10)
    for backend in BACKENDS:
        own = {"KERAS_CHILD": "1", "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"}
        subprocess.run([sys.executable, __file__, str(results)], env={**os.environ, **own}, check=False)
    summary(results)


if __name__ == "__main__":
    main()
