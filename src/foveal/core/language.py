"""The reader's language: "en" or "zh-CN", from ``--lang`` or the environment variable FOVEAL_LANG."""

from __future__ import annotations

import os

from foveal.core.errors import FovealError

LANGUAGES = ("en", "zh-CN")
VARIABLE = "FOVEAL_LANG"


def language() -> str:
    """The language of what is printed; English where nothing is said or the variable names no language known here."""
    said = os.environ.get(VARIABLE, "").replace("_", "-").partition(".")[0]
    return "zh-CN" if said.lower() in ("zh", "zh-cn", "zh-hans", "zh-hans-cn") else "en"


def set_language(name: str) -> None:
    """Choose for this process and the ones that it starts; raises FovealError for an unknown language."""
    if name not in LANGUAGES:
        raise FovealError(f"unknown language '{name}'; known: {', '.join(LANGUAGES)}")
    os.environ[VARIABLE] = name
