"""Design: from a task to networks whose fields fit it, without training. ``design`` is the way in."""

from foveal.design.answer import Design, Designs, design
from foveal.design.network import Network
from foveal.design.search import Settings
from foveal.design.space import Space

__all__ = ["Design", "Designs", "Network", "Settings", "Space", "design"]
