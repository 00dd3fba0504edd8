"""What a test needs of the machine. Continuous integration must have it all, or tests would be skipped unseen there."""

from __future__ import annotations

import os
import shutil
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from support.paths import ROOT

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def needs(name: str, package: str | None = None) -> Any:
    """What a test needs: it is skipped where that is missing, and fails where the environment variable ``CI`` is set.

    name: a module, which is imported and returned; "chromium": the path of the browser; "axe": that of the script of
    axe-core, a development download. package: what to install, where it is not called as the module is.
    """
    if name == "chromium":
        path = next((found for one in BROWSERS if (found := shutil.which(one))), None)
        return path or missing(f"no browser found: none of {', '.join(BROWSERS)} is on the path")
    if name == "axe":
        script = ROOT / "build" / "axe" / "axe.min.js"
        return script if script.is_file() else missing("axe-core is absent: 'make test' fetches it where there is npm")
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != name.split(".")[0]:
            raise  # it is there, and broken
        return missing(f"{package or name} is not installed")


def installed(name: str, package: str | None = None) -> Path:
    """The folder of a package that is not imported; otherwise as :func:`needs`."""
    spec = find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else missing(f"{package or name} is not installed")


def missing(reason: str) -> Any:
    """Skip the test or the module of tests, for a reason; fail in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason} (skipped outside CI)", pytrace=False)
    pytest.skip(reason, allow_module_level=True)
