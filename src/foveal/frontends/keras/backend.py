"""A Keras model is asked what its backend's models are asked; a trace sets that framework's object."""

from __future__ import annotations

from importlib import import_module

import keras

from foveal.ir.backend import Backend

_NAME = keras.backend.backend()
BACKEND: type[Backend] = (
    import_module(f"foveal.frontends.{_NAME}.backend").BACKEND if _NAME in ("torch", "jax") else Backend
)
