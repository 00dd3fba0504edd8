"""Loads every family of lowerings, so that the table is complete."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

for _path in sorted(Path(__file__).parent.glob("onnx_lowering_*.py")):
    import_module(f"foveal.frontends.{_path.stem}")
