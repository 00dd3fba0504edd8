"""The answer of a search as records: designs with their numbers, which give their code and report and can be saved."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from foveal.core import show
from foveal.core.errors import reaching, writing
from foveal.core.serial import to_plain
from foveal.designs.closed.evaluate import Evaluation
from foveal.designs.inverse import Change
from foveal.designs.network import Network
from foveal.designs.spaces.space import Genome
from foveal.designs.targets import Target
from foveal.designs.text import code, specification
from foveal.frontends.backends import emitted

if TYPE_CHECKING:
    from foveal.report.results import Report


@dataclass(frozen=True)
class Design:
    """One network with its numbers. changed: what it changes of the network it was made from; trained: (epochs, score)
    of each round; role: "recommended", "front", "alternative" (the best of a kind of block that the front does not
    have), "trained" (for ``evaluate``), "nearest" (breaks a limit), "known", "by hand" (the usual change for small
    images).
    """

    network: Network
    evaluation: Evaluation
    misfit: float
    cost: float
    role: str = "front"
    changed: tuple[str, ...] = ()
    trained: tuple[tuple[int, float], ...] = ()

    def code(self) -> str:
        """PyTorch source with a class ``Net``; it does not need foveal."""
        return code(self.network)

    def specification(self) -> str:
        """The text specification, for ``foveal analyze``."""
        return specification(self.network)

    def report(self) -> Report:
        """The whole engine's report on the text specification."""
        from foveal.frontends.text.trace import trace_spec
        from foveal.report.analyze import analyze

        return analyze(trace_spec(self.specification()))

    def to_onnx(self, path: str | Path) -> None:
        """Write it as ONNX with random weights; raises FovealError without PyTorch."""
        emitted("ONNX export").export_onnx(self.code(), self.network.input, path)


class Relaxed(NamedTuple):
    """A limit and the value that it would need, all others met."""

    name: str
    asked: float
    needed: float


@dataclass(frozen=True, repr=False)
class Conflict(show.Shown):
    """limits: a smallest set that no candidate meets together; relaxed: of each what would do, all others met; nearest:
    the candidate that breaks limits least, and which ones; scored: candidates this rests on; complete: whether these
    are all candidates of the space.
    """

    limits: tuple[str, ...]
    relaxed: tuple[Relaxed, ...]
    nearest: Genome | None
    broken: tuple[Relaxed, ...]
    scored: int
    complete: bool


@dataclass(frozen=True, eq=False, repr=False)
class Designs(show.Shown):
    """The answer. designs: the recommended one, then the Pareto front from the cheapest on, or the nearest
    design where ``conflict`` says why none meets the limits; known: networks to compare with; repairs: the smallest
    changes of the network that was given.
    """

    target: Target
    designs: tuple[Design, ...]
    known: tuple[Design, ...]
    repairs: tuple[tuple[str, Change], ...]
    conflict: Conflict | None
    size: int
    scored: int
    complete: bool
    seed: int
    reasons: tuple[str, ...] = ()
    """Why the first design is recommended."""

    def to_json(self) -> str:
        """All designs with their numbers; networks as data."""
        said: dict[str, Any] = {
            "target": to_plain(self.target),
            "designs": [to_plain(one) | _trained(one) for one in self.designs],
            "known": [to_plain(one) for one in self.known],
            "repairs": [{"name": name} | to_plain(change) for name, change in self.repairs],
            "conflict": None if self.conflict is None else to_plain(self.conflict),
            "candidates": self.size,
            "scored": self.scored,
            "complete": self.complete,
            "seed": self.seed,
            "reasons": list(self.reasons),
        }
        return json.dumps(said, indent=1, default=list)

    def save(self, folder: str | Path, onnx: bool = False) -> list[Path]:
        """Write code, text specification, network data and report of each design, a script that trains one, the plot
        and the JSON; returns the files. onnx: also each design as ONNX, which needs PyTorch.
        """
        place = Path(folder)
        texts = {"designs.json": self.to_json() + "\n"}
        for number, one in enumerate(self.designs, 1):
            texts |= {
                f"design{number}.py": one.code(),
                f"design{number}.yaml": one.specification(),
                f"design{number}.network.yaml": one.network.to_yaml(),
                f"design{number}.report.txt": str(one.report()) + "\n",
            }
        with reaching(place):
            place.mkdir(parents=True, exist_ok=True)
        if self.target.task != "detection":
            texts["train.py"] = resources.files("foveal.designs.choice").joinpath("train.py.txt").read_text("utf-8")
        for name, text in texts.items():
            with writing(place / name) as beside:
                beside.write_text(text, encoding="utf-8")
        exported = [place / f"design{number}.onnx" for number in range(1, onnx * len(self.designs) + 1)]
        for one, path in zip(self.designs, exported):
            one.to_onnx(path)
        drawn = [place / "designs.png"] if self.designs else []
        for path in drawn:
            show.figure(self).save(path)
        return [*(place / name for name in texts), *exported, *drawn]


def _trained(one: Design) -> dict[str, Any]:
    """Epochs and scores; null of a training that diverged, as JSON has no such number."""
    return {"trained": [[epochs, score if isfinite(score) else None] for epochs, score in one.trained]}
