"""Pictures of fields. Each takes finished results and returns a figure; nothing is computed anew and nothing is shown.

``picture.save("field.png")`` writes layer, unit, kind and version into the file. Works without a display.
"""

from foveal.views.plots.field import foveated, heat_map, overlay, profiles, surface
from foveal.views.plots.growth import growth_curves
from foveal.views.plots.panels import side_by_side, unit_grid
from foveal.views.plots.style import Picture

__all__ = [
    "Picture",
    "foveated",
    "growth_curves",
    "heat_map",
    "overlay",
    "profiles",
    "side_by_side",
    "surface",
    "unit_grid",
]
