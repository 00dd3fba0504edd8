"""Keras 3 models, through the backend they run on."""

import os
import sys
from importlib.util import find_spec


def _choose_backend() -> None:
    """Where nothing says otherwise and TensorFlow, Keras's own default, is missing: PyTorch, else JAX."""
    if "keras" in sys.modules or "KERAS_BACKEND" in os.environ or find_spec("tensorflow"):
        return
    installed = [name for name in ("torch", "jax") if find_spec(name)]
    if installed:
        os.environ["KERAS_BACKEND"] = installed[0]


_choose_backend()  # before Keras is imported, which is when it reads the name
