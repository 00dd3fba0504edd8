"""The real model behind a traced graph: one object per framework, the only way from the rooms above to a front end.

A front end subclasses :class:`Backend` in its ``backend.py`` and sets it on the graph. What a framework lacks it leaves
as it is here: the answer is then "no", None, or an error that names the framework. What is static serves a bare model
that was never traced (:func:`foveal.frontends.backends.backend_of`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from foveal.core.errors import FovealError

if TYPE_CHECKING:
    from foveal.ir.graph import Graph

Forward = Callable[[np.ndarray], np.ndarray]
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet statistics."""


@dataclass(frozen=True)
class Preparation:
    """From a picture to the network's input.

    fit: "squash" (resized to the source, shape not kept) or "cover" (short side to size / crop, then the middle cut
    out). mean, deviation: one number per channel.
    """

    fit: str = "cover"
    interpolation: str = "bicubic"
    crop: float = 1.0
    mean: tuple[float, ...] = MEAN
    deviation: tuple[float, ...] = DEVIATION
    origin: str = "default"
    """Where these numbers come from."""


class Sampling(NamedTuple):
    """Samples per second of a source, samples per position, and where that was found."""

    rate: float
    hop: int
    origin: str


class Target(NamedTuple):
    """What is differentiated, one unit: its layer, and a place on each of the layer's axes (None: the batch, or all
    features).
    """

    layer: str
    place: tuple[int | None, ...]
    channels: tuple[int, int] | None = None
    """First and last feature that count; None: all."""

    @property
    def features(self) -> slice:
        """Those of a row of features that count."""
        return slice(None) if self.channels is None else slice(self.channels[0], self.channels[1] + 1)


class Procedure(Protocol):
    """What a gradient reads of a protocol of measured fields; :class:`foveal.fields.measured.protocols.Protocol` says
    what the words mean.
    """

    @property
    def features(self) -> str: ...
    @property
    def channels(self) -> str: ...
    @property
    def draws(self) -> int: ...
    @property
    def each(self) -> str: ...
    @property
    def colours(self) -> str: ...
    @property
    def after(self) -> str: ...


class Gradient(Protocol):
    """A model ready to give input gradients of one source."""

    def maps(
        self,
        images: np.ndarray,
        targets: Sequence[Target],
        protocol: Procedure,
        signs: Sequence[Sequence[np.random.Generator]],
        batched: bool = True,
    ) -> list[np.ndarray]:
        """One array (images, *source axes) in float64 per target: gradients brought to one map by the protocol.

        ``images``: the source's tensor, axis 0 the images where ``batched``. ``signs``: generators by target, image.
        """

    def features(self, images: np.ndarray, targets: Sequence[Target], batched: bool = True) -> list[np.ndarray]:
        """The values alone: one array (images, features) in float64 per target."""


class Mean(NamedTuple):
    """A global mean: its node, the tensor that it reads and the one that it makes."""

    name: str
    reads: str
    makes: str


class Part(NamedTuple):
    """A network between global means: its graph, the layer that makes each tensor, what else it takes, and its run."""

    graph: Graph
    layers: dict[str, str]
    inputs: tuple[str, ...]
    run: Callable[[dict[str, np.ndarray]], list[np.ndarray]]


class Cuttable(Protocol):
    """A network whose global means can be given as inputs, so that what is left can be computed in tiles."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def waves(self, output: str, rank: int) -> list[list[Mean]]:
        """The means that ``output`` needs: wave 0 reads no other mean, wave n those of waves before. rank: of the
        image.
        """

    def part(self, outputs: Sequence[str], means: Sequence[Mean], shapes: dict[str, tuple[int, ...]]) -> Part:
        """The part that makes ``outputs`` with ``means`` as inputs; ``shapes``: of the image and the means."""


class Streaming(Protocol):
    """A network with state."""

    @property
    def notes(self) -> list[str]:
        """What its model was not seen to do, in sentences."""

    def run(self, x: Any, sizes: Iterable[int]) -> Any:
        """The whole of a tensor in chunks of these sizes."""

    def elements(self, step: int) -> list[tuple[str, int]]:
        """Operation and its place -> numbers kept between chunks; raises FovealError where they grow without end."""

    def export_onnx(self, path: str | Path, chunk: int) -> list[Path]:
        """Write one step as ONNX, with the state as inputs and outputs; the files."""


class Backend(ABC):
    """A model and how it was called. Inputs and values are arrays by name, of sources and of layers."""

    framework = "a function"
    model: Any
    """The framework's own object."""
    clear = 1e-7
    """Share of a layer's largest value: an influence this large does not fall below rounding one position further
    out."""
    measured_by = ""
    """How the last measured field was made, where that is not by plain differentiation."""
    retraces = False
    """Whether another size of a source can be traced."""

    @property
    def prefix_tokens(self) -> int:
        """Tokens before those of the image (class token, registers), where the model says so."""
        return 0

    @property
    def precision(self) -> str:
        """The model's own floating type, such as "float32"."""
        return "float32"

    @abstractmethod
    def example(self, seed: int) -> dict[str, np.ndarray]:
        """Seeded random inputs: normal floats, integers of the caller's example or of 0 and 1."""

    @abstractmethod
    def run(self, inputs: dict[str, np.ndarray], layers: list[str], dtype: str = "float64") -> dict[str, np.ndarray]:
        """The values of ``layers``, in the precision asked for or the closest that there is.

        Raises VerificationError with the framework's message, or naming the layers that a run cannot read.
        """

    def probe(self, inputs: dict[str, np.ndarray], layers: list[str]) -> dict[str, np.ndarray]:
        """As :meth:`run`, as cheaply as can be: layers that cannot be read are left out, chance is seeded."""
        return self.run(inputs, layers)

    def generic(self) -> Backend:
        """The same call with numbers for the weights that are zero, so that nothing stays shut by them."""
        return self

    @property
    def weightless(self) -> bool:
        """Whether there are only shapes of weights."""
        return False

    @abstractmethod
    def array(self, name: str) -> np.ndarray | None:
        """The weights of that name; None where there are none or they have no numbers."""

    @abstractmethod
    def settings(self, path: str) -> dict[str, Any]:
        """A module's own weights as arrays, for reading only, and its plain numbers (``eps`` ...)."""

    @abstractmethod
    def gradient(
        self, source: str, axes: tuple[int, ...], dtype: str | None = None, waists: Any = (), device: str | None = None
    ) -> Gradient:
        """Ready to differentiate by one source. dtype: None for the model's own; waists: what is kept of some layers;
        device: where the model runs, None for the CPU.

        Raises FovealError where this source, precision or device cannot be measured.
        """

    def lacks_batch(self, shape: tuple[int, ...]) -> bool:
        """Whether a shape is one input of the network without the axis of a batch, by its first layer."""
        return False

    def layer_of(self, module: object) -> str | None:
        """The layer that this part of the model makes, "" for the model itself; None where it is no part of it."""
        return None

    def preparation(self, name: str) -> Preparation:
        """How the model of that name has its images prepared; ImageNet's way where it does not say."""
        return Preparation()

    def sampling(self, source: str) -> Sampling | None:
        """Samples per second of a source of sound; None where the model does not say."""
        return None

    def retraced(self, source: str, shape: tuple[int, ...]) -> Graph | None:
        """The graph with another shape of one source; None where the model does not run with it."""
        return None

    def redrawn(self, seed: int) -> Backend:
        """The same call of a copy with seeded random weights, none near zero; itself where they cannot be drawn."""
        return self

    def laid_out(self, axes: Mapping[str, tuple[int, ...]]) -> Backend:
        """The same with other counted axes, by name of the source."""
        return self

    def with_weights(self, path: str) -> tuple[Backend, str]:
        """The same call of a copy of the model with the weights in a file, and what of them fits nowhere, or ""."""
        raise self.lacking("reading weights from a file")

    @classmethod
    def lacking(cls, what: str) -> FovealError:
        """The error for what this framework cannot do."""
        return FovealError(f"{what} is not available for {cls.framework}")

    @staticmethod
    def threads(number: int | None) -> AbstractContextManager[None]:
        """Within: the framework computes with that many threads, where it lets itself be told; None: as it likes."""
        return nullcontext()

    @staticmethod
    def to_array(item: Any) -> np.ndarray:
        """A tensor of the framework as an array on the CPU."""
        return np.asarray(item)

    @staticmethod
    def from_array(array: np.ndarray) -> Any:
        """An array as a tensor of the framework, on the CPU."""
        return array

    @staticmethod
    def tiled(model: Any, layer: str, output: str | int | None) -> Forward | None:
        """A bare model, on its own device, as a function from a part of the source to the layer's values; None where
        it is to be called as a function.
        """
        return None

    @classmethod
    def cuttable(cls, model: Any) -> Cuttable:
        """A bare model for tiling in passes."""
        raise cls.lacking("tiling in passes")

    def rounding(self, layer: str) -> float:
        """Unit of the last place of the lowest precision that a run in double precision goes through, 0 for double."""
        return 0.0

    def streaming(self, source: str, axis: int, step: int, layer: str, dtype: str | None = None) -> Streaming:
        """A copy of the model that runs along ``axis`` of a source with a state, for one layer; dtype: None for its
        own.

        Raises FovealError naming the operation that has no such form.
        """
        raise self.lacking("running with state")

    @classmethod
    def built(cls, code: str) -> Any:
        """The network of emitted code, with random weights."""
        raise cls.lacking("running emitted code")

    @classmethod
    def latency(cls, code: str, shape: tuple[int, ...]) -> float:
        """Milliseconds of one inference of emitted code on this device."""
        raise cls.lacking("running emitted code")

    @classmethod
    def export_onnx(cls, code: str, shape: tuple[int, ...], path: str | Path) -> None:
        """Write emitted code as ONNX, with random weights."""
        raise cls.lacking("exporting emitted code")
