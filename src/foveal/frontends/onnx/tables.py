"""Loads every family of lowerings, so that the table is complete."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

for _path in sorted((Path(__file__).parent / "lowering").glob("[a-z]*.py")):
    import_module(f"foveal.frontends.onnx.lowering.{_path.stem}")
