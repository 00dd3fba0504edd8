"""Which front end a model belongs to: one table, for traces and for models that were never traced.

A new framework is one folder beside these and one row of ``FRAMEWORKS``. The folder has ``trace.py`` with
``trace(model, inputs, *, name, axes, weights, training, pretrained) -> Graph``, which sets ``graph.backend`` to an
object of the class ``BACKEND`` in ``backend.py``, a :class:`foveal.ir.backend.Backend`. Inside, the folders have the
same file names: ``inputs`` (what the model is called with), ``lowering/`` and ``tables`` (operation by name -> neutral
operation), ``names`` (of layers), ``run`` (for real), ``gradient``. Nothing outside the folder names it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from foveal.core.errors import FovealError, SourceError
from foveal.frontends.sessions import is_session, session_forward
from foveal.ir.backend import Backend, Forward

_FACTORY = re.compile(r"([A-Za-z_][\w.]*|[\w./]+\.py):[A-Za-z_][\w.]*|(torchvision|timm):\w[\w.]*[?(].*", re.DOTALL)
_TORCH_FILES = (".pt2", ".pt", ".pth", ".ts", ".jit", ".h5")

PASTED = re.compile(r"\s*(?:\w+\s*=\s*)?(?:(?:torch\.)?nn\.)?Sequential\s*\(")
"""How a pasted ``nn.Sequential(...)`` begins; it is read as a tree and never run."""


class Framework(NamedTuple):
    """A row. package: what must be installed (also the name of the extra); reads: whether a source string is for it;
    homes: packages of its models' classes; kind: of model, in messages, "" for the source's own name.
    """

    folder: str
    package: str
    reads: Callable[[str], bool]
    homes: tuple[str, ...] = ()
    kind: str = ""
    title: str = ""
    hint: str = ""

    def load(self, module: str, model: object = None) -> Any:
        """A module of the folder. Raises SourceError where a package is missing."""
        folder = f"foveal.frontends.{self.folder}"
        import_module(folder)
        what = self.kind or (str(model) if isinstance(model, (str, Path)) else f"a {type(model).__name__}")
        try:
            import_module(self.package)
        except ModuleNotFoundError as error:
            name, more = error.name, self.hint
            if name == self.package:
                name, more = self.title or name, f": pip install 'foveal[{self.package}]'"
            raise SourceError(f"{what} needs {name}, which is not installed{more}") from error
        return import_module(f"{folder}.{module}")


def _is_torch(source: str) -> bool:
    """Whether a source string names something that PyTorch builds or reads."""
    return (
        PASTED.match(source) is not None
        or _suffix(source) in _TORCH_FILES
        or (not source.startswith("gallery:") and _FACTORY.fullmatch(source.strip()) is not None)
    )


def _suffix(source: str) -> str:
    return Path(source.strip()).suffix.lower()


TORCH = Framework("torch", "torch", _is_torch, ("torch",), title="PyTorch")
JAX = Framework("jax", "jax", lambda _: False, ("flax", "equinox"), "a function or Flax module")
ONNX = Framework("onnx", "onnx", lambda s: _suffix(s) == ".onnx", ("onnx", "onnxruntime"), title="the onnx package")
TEXT = Framework("text", "foveal", lambda _: True)
FRAMEWORKS = (
    ONNX,
    Framework(
        "keras", "keras", lambda s: s.strip().startswith("keras:") or _suffix(s) == ".keras", ("keras",),
        "a Keras model",
        hint="; Keras runs on the backend that KERAS_BACKEND names: set it to torch or jax",
    ),
    TORCH,
    JAX,
    TEXT,
)  # fmt: skip
"""In the order in which they are asked."""


def framework_of(model: object) -> Framework | None:
    """The front end that knows a source string or an object's type; None for a function or anything else."""
    if isinstance(model, (str, Path)):
        return next(row for row in FRAMEWORKS if row.reads(str(model)))
    if isinstance(model, bytes) or is_session(model):
        return ONNX  # a file that was read, or a session
    homes = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    if isinstance(model, tuple) and len(model) == 2 and hasattr(model[0], "apply"):
        return JAX  # a Flax module and its variables
    found = next((row for row in FRAMEWORKS if homes & set(row.homes)), None)
    if found is not None or isinstance(model, type) or not hasattr(model, "__dict__"):
        return found
    inner = vars(model).get("model")  # of a pipeline, a learner
    return None if inner is None or isinstance(inner, (str, Path)) else framework_of(inner)


def backend_of(model: object) -> type[Backend]:
    """What a framework can do with a bare model, tensor or source string; what functions and arrays can, where none
    knows it.
    """
    row = framework_of(model)
    if row is None or row is TEXT:
        return Backend
    found: type[Backend] = row.load("backend", model).BACKEND
    return found


def emitted(what: str) -> type[Backend]:
    """The framework of the code that foveal emits. Raises SourceError, naming ``what``, where it is not installed."""
    found: type[Backend] = TORCH._replace(kind=what).load("backend").BACKEND
    return found


def forward_of(model: Any, layer: str, output: str | int | None) -> Forward:
    """A bare model as a function from an array of the source's layout to the layer's array; output: which of several,
    by name or number.
    """
    if is_session(model):
        return session_forward(model, layer, output)
    found = backend_of(model).tiled(model, layer, output)
    if found is not None:
        return found
    if not callable(model):
        got = type(model).__name__
        raise FovealError(f"model: expected a module, an ONNX Runtime session or a function, got {got}")
    return lambda part: to_array(_chosen(model(part), layer, output))


def to_array(item: object) -> np.ndarray:
    """A tensor of any framework as an array on the CPU."""
    return backend_of(item).to_array(item)


def _chosen(found: Any, layer: str, output: str | int | None) -> Any:
    """One array of what a function gives."""
    key = layer.removeprefix("output.") if output is None else output
    if isinstance(found, dict):
        if key not in found:
            raise FovealError(f"output '{key}': the model gives {', '.join(map(str, found))}")
        return found[key]
    if isinstance(found, list | tuple):
        index = 0 if isinstance(key, str) else key
        if not -len(found) <= index < len(found):
            raise FovealError(f"output {index}: the model gives {len(found)}")
        return found[index]
    return found
