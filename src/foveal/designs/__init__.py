"""Design: from a task to networks whose fields fit it, without training. ``design`` is the way in."""

from foveal.designs.answer import design
from foveal.designs.network import Network
from foveal.designs.record import Design, Designs
from foveal.designs.search import Settings
from foveal.designs.spaces.space import Space

__all__ = ["Design", "Designs", "Network", "Settings", "Space", "design"]
