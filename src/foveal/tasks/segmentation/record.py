"""Records of a segmentation audit that are drawn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Spectra:
    """To be drawn: the energy by field size, of one or more networks.

    spectra: (name, (size in pixels, share) smallest first, share of global context).
    """

    spectra: tuple[tuple[str, tuple[tuple[int, float], ...], float], ...]
    title: str = "field sizes that one output couples"
