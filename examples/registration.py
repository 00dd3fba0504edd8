"""Where units look, for docs/tasks-registration.md: ``python examples/registration.py`` (a few seconds)."""

from __future__ import annotations

from pathlib import Path

import foveal
from foveal.tasks.audit import audit

IMAGES = Path(__file__).parent.parent / "docs" / "images" / "registration"

if __name__ == "__main__":
    IMAGES.mkdir(parents=True, exist_ok=True)
    found = audit(foveal.trace("torchvision:resnet50"), "registration")
    for name in ("places", "offsets"):
        found.figure(name).save(IMAGES / f"resnet50-{name}.png")  # type: ignore[attr-defined]
