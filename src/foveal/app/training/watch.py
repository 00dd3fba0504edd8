"""Measures chosen layers of a network again and again while it trains, within a share of the training time.

Before the first epoch the network is traced and measured once. After an epoch it is measured again where that keeps
what all such measurements took below the share of what all epochs took; an epoch that cannot afford one is passed over,
so that the numbers of all epochs are of the same images. The model comes back untouched: training goes on bit for bit
as it would have.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from foveal.app.training.log import Line, Log, line_of
from foveal.app.training.purse import Purse
from foveal.core.errors import FovealError
from foveal.fields.measured.measure import Settings, measure
from foveal.fields.measured.request import layers_of
from foveal.frontends.trace import trace
from foveal.ir.graph import Graph

IMAGES = 8
"""Images where nothing says how many."""
_LOGGER = logging.getLogger("foveal")


class Watch:
    """``begin`` before training, ``epoch`` after each epoch.

    layers: names or patterns, by default the last map. images: an array or tensor (N, ...) as the network takes it, a
    folder, or None for seeded noise; the first ``count`` of them, the same ones every time. inputs: as for
    :func:`foveal.trace`, by default one of the images. folder: where ``effective.csv`` and the event files go. share:
    of the training time that measurements may take, None for every epoch whatever it takes. protocol: of gradients.
    """

    def __init__(
        self,
        layers: str | Sequence[str] = (),
        *,
        images: Any = None,
        inputs: Any = None,
        count: int = IMAGES,
        folder: str | Path | None = None,
        share: float | None = 0.01,
        protocol: str = "foveal",
        axes: Any = None,
    ) -> None:
        if images is None and inputs is None:
            raise FovealError(
                "give images to measure on (an array or tensor), or the input's shape: inputs=(1, 3, 32, 32)"
            )
        self.patterns = (layers,) if isinstance(layers, str) else tuple(layers)
        self.images, self.count, self.protocol, self.axes = images, count, protocol, axes
        self.inputs = inputs if inputs is not None else _shape_of_one(images)
        self.folder = None if folder is None else Path(folder)
        self.purse = Purse(share)
        self.begun = 0.0
        """Seconds of the trace and the first measurement, which the share leaves out."""
        self.lines: list[Line] = []
        self.epochs = self.missed = self.failed = 0
        self._model: Any = None
        self._graph: Graph | None = None
        self._log: Log | None = None

    def begin(self, model: Any, folder: str | Path = "foveal-training", epoch: int = 0) -> None:
        """Trace the model and measure it as it is. folder: where none was given. Raises FovealError where the model
        cannot be traced or a layer is unknown, before anything is trained.
        """
        start = time.perf_counter()
        self._model, self._graph = model, None
        self._log = Log(self.folder if self.folder is not None else folder)
        lines = self._measured(epoch)
        self.begun = time.perf_counter() - start
        self._write(lines)
        self.purse.cost = self._seconds

    def epoch(self, epoch: int, seconds: float) -> None:
        """An epoch (1 the first) of that many seconds is over: measure where the share allows."""
        self.epochs += 1
        self.purse.trained += seconds
        if not self.purse.affords():
            self.missed += 1
            return
        start = time.perf_counter()
        try:
            lines = self._measured(epoch)
        except FovealError as error:  # a network that has diverged, say: no reason to stop its training
            _LOGGER.warning("epoch %d: the effective field was not measured: %s", epoch, error)
            self.failed += 1
            self.purse.pay(time.perf_counter() - start)
            return
        self.purse.pay(self._seconds)
        self._write(lines)

    def _measured(self, epoch: int) -> list[Line]:
        start = time.perf_counter()
        if self._graph is None:
            graph = trace(self._model, self.inputs, axes=self.axes)
            # A PyTorch module is where it was; other frameworks hand the weights of the moment to the trace.
            backend = graph.backend
            live = backend is not None and backend.framework == "PyTorch" and backend.model is self._model
            self._graph = graph if live else None
        else:
            graph = self._graph
        names = layers_of(graph, self.patterns)
        found = measure(graph, names, images=self.images, protocol=self.protocol, count=self.count,
                        settings=Settings(batch=self.count))  # fmt: skip
        self._seconds = time.perf_counter() - start
        return [line_of(epoch, item) for item in found]

    def _write(self, lines: list[Line]) -> None:
        assert self._log is not None
        done = [replace(line, seconds=round(self._seconds, 4), share=round(self.purse.taken, 6)) for line in lines]
        self.lines += done
        self._log.write(done)

    def __str__(self) -> str:
        """What was measured, and the share of the training time that it took."""
        places = "" if self._log is None else f" in {self._log.folder}"
        missed = (
            f", {self.missed} would have taken more than {100 * (self.purse.share or 0):g} %" if self.missed else ""
        )
        failed = f", {self.failed} could not be measured" if self.failed else ""
        done = self.epochs - self.missed - self.failed
        return (
            f"effective field after {done} of {self.epochs} epochs{missed}{failed}{places}: "
            f"{self.purse.spent:.2f} s, {100 * self.purse.taken:.2f} % of the training time; "
            f"{self.begun:.2f} s before it"
        )

    def ended(self) -> None:
        """Say so in the log of ``foveal``."""
        _LOGGER.info("%s", self)


def _shape_of_one(images: Any) -> tuple[int, ...]:
    shape = getattr(images, "shape", None)
    if shape is None:
        raise FovealError("images in files do not tell the input's shape; give inputs=(1, 3, 224, 224)")
    return (1, *map(int, shape[1:]))
