"""The Keras front end on both backends, each in a process of its own (Keras picks its backend when it is loaded)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from typing import Any

import pytest

from support.needs import installed
from support.paths import TESTS

for name in ("keras", "torch", "jax"):
    installed(name)  # importing Keras would choose its backend

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("keras")]  # all share one run on each backend
SCRIPT = TESTS / "support" / "frameworks" / "keras_answers.py"
BACKENDS = ("torch", "jax")


@cache
def answers(backend: str) -> dict[str, Any]:
    """Everything keras_answers.py prints on a backend."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, env=environment)
    if done.returncode:
        return {"failed": done.stderr[-3000:]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_script_runs(backend: str) -> None:
    assert answers(backend).get("failed", "") == ""
    assert answers(backend)["backend"] == backend


SMALL = {
    "one": ["Conv2D", [3, 3], [2, 2], [0, 0]], "bn": ["BatchNormalization", [3, 3], [2, 2], [0, 0]],
    "relu": ["ReLU", [3, 3], [2, 2], [0, 0]], "dw": ["DepthwiseConv2D", [7, 7], [2, 2], [-2, -2]],
    "inner.first": ["Conv2D", [11, 11], [2, 2], [-4, -4]], "inner": ["Functional", [11, 11], [2, 2], [-4, -4]],
    "cut": ["Cropping2D", [11, 11], [2, 2], [-2, -2]], "mp": ["MaxPooling2D", [13, 13], [4, 4], [-2, -2]],
}  # fmt: skip
"""By hand. Keras pads "same" with stride 2 on an even length behind only: start 0. Cropping one cell of two pixels."""


@pytest.mark.parametrize("backend", BACKENDS)
def test_layers_have_keras_names_and_the_sizes_of_hand_arithmetic(backend: str) -> None:
    layers = answers(backend)["small"]
    assert {name: layers[name][:4] for name in SMALL} == SMALL
    assert all(layers[name][4] == "exact" for name in SMALL)


@pytest.mark.parametrize("backend", BACKENDS)
def test_verify_runs_the_real_model(backend: str) -> None:
    assert answers(backend)["verify"] == [True, True]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_measured_field_lies_in_the_receptive_field_and_says_how(backend: str) -> None:
    shape, total, method = answers(backend)["gradient"]
    assert shape == [11, 11]
    assert total > 0
    assert ("by jax.grad" in method) == (backend == "jax")


@pytest.mark.parametrize("backend", BACKENDS)
def test_inputs_go_by_name_and_one_without_counted_axes_is_a_constant(backend: str) -> None:
    assert answers(backend)["by name"] == [["ids", "mask"], ["ids"], [3]]


def test_published_values() -> None:
    """MobileNet v1 at 224: docs/methods.md 1.5 (315, stride 32). MobileNetV2: docs/methods.md 1.6 (491, 32).

    Keras pads like TensorFlow at even lengths, which changes the start, not the size. On PyTorch alone: there Keras
    builds them at once; benchmarks/keras_applications.py has both backends.
    """
    assert answers("torch")["MobileNet"] == [[315, 315], [32, 32], "exact"]
    assert answers("torch")["MobileNetV2"] == [[491, 491], [32, 32], "exact"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_model_comes_back_as_it_was(backend: str) -> None:
    assert answers(backend)["unchanged"] is True


@pytest.mark.parametrize("backend", BACKENDS)
def test_errors_are_one_line(backend: str) -> None:
    unknown, missing, unreadable = answers(backend)["errors"]
    assert unknown.startswith("keras has no model 'ResNet49'; closest: ResNet")
    assert missing.endswith("nothing.keras: no such file")
    assert "not a readable Keras file" in unreadable
    assert all("\n" not in text for text in (unknown, missing, unreadable))


def test_both_backends_agree_on_every_layer() -> None:
    torch, jax = answers("torch"), answers("jax")
    assert torch["small"].keys() == jax["small"].keys()
    for name in ("small", "mixed"):
        assert torch[name] == jax[name]


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("tensorflow", "a Keras model needs tensorflow, which is not installed; Keras runs on the backend that KERAS"),
        ("", "MobileNet"),
    ],
)
def test_the_backend_is_chosen_or_named(backend: str, said: str) -> None:
    if find_spec("tensorflow"):
        pytest.skip("TensorFlow is installed: it is Keras's own default")
    environment = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    environment |= {"KERAS_BACKEND": backend} if backend else {}
    code = (
        "import foveal\n"
        "try: print(foveal.trace('keras:MobileNet').name)\n"
        "except foveal.FovealError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert said.lower() in done.stdout.lower(), done.stderr[-500:]
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(("package", "source"), [("keras", "'keras:ResNet50'"), ("jax", "len, (1, 8, 8, 3)")])
def test_a_missing_front_end_says_what_to_install(package: str, source: str) -> None:
    code = (
        f"import sys; sys.modules['{package}'] = None\n"
        "import foveal\n"
        f"try: foveal.trace({source})\n"
        "except foveal.FovealError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f"needs {package}, which is not installed: pip install 'foveal[{package}]'" in done.stdout
