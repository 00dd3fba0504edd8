"""Pictures for segmentation: spectra of the field sizes that an output couples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from foveal.views.plots.style import LINES, Picture, named, picture, styled

if TYPE_CHECKING:
    from foveal.tasks.segmentation.record import Spectra


@styled()
def spectrum_picture(shown: Spectra) -> Picture:
    """Shares of the energy by field size, above as sticks, below added up; the share of global context is drawn as a
    gap to 1 and named.
    """
    spectra = shown.spectra
    figure = picture(7.2, 1.5 * len(spectra) + 3.0, {"layers": [name for name, _, _ in spectra]})
    heights = [1.0] * len(spectra) + [1.6]
    parts = figure.subplots(len(spectra) + 1, 1, sharex=True, gridspec_kw={"height_ratios": heights})
    for index, (plain, sizes, whole) in enumerate(spectra):
        name = named(plain)
        colour, line = LINES[index % len(LINES)]
        places, shares = [size for size, _ in sizes], [share for _, share in sizes]
        parts[index].vlines(places, 0, shares, color=colour, linewidth=1.6)
        parts[index].set_ylim(0, max(shares, default=1.0) * 1.2)
        parts[index].set_title(name + (f"; global context {whole:.2g}" if whole > 0 else ""), fontsize=9, loc="left")
        parts[index].set_ylabel("share")
        parts[-1].plot(places, np.cumsum(shares), color=colour, linestyle=line, drawstyle="steps-post", label=name)
    parts[-1].set_ylabel("share up to here")
    parts[-1].set_ylim(0, 1.05)
    parts[-1].set_xlabel("field size of a route (pixels)")
    if len(spectra) > 1:
        parts[-1].legend(frameon=False, loc="lower right")
    figure.suptitle(named(shown.title), fontsize=10)
    return figure
