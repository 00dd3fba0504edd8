"""Where the effective sizes of a training are written: a CSV file that grows, and TensorBoard's event files."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from math import isfinite, prod
from pathlib import Path

from foveal.app.training.events import EventFile
from foveal.core.errors import FovealError
from foveal.fields.measured.measure import Measured
from foveal.fields.measured.uncertainty import Interval

NAME = "effective.csv"


@dataclass(frozen=True)
class Line:
    """The effective size of one layer after an epoch (0: before the first), and the middle 95 % of its bootstrap over
    the images; None where there is none.

    rf: the receptive field's side, the root of its area. share: of the training time that measurements took so far.
    """

    epoch: int
    layer: str
    rf: float | None
    effective_side: float | None
    low: float | None
    high: float | None
    side_90: float | None
    sigma: float | None
    images: int
    seconds: float | None = None
    share: float | None = None


def line_of(epoch: int, item: Measured) -> Line:
    """Of one measured field."""
    known, box = item.intervals, item.field.box
    side = known["effective_side"]
    return Line(
        epoch,
        item.field.layer,
        None if box is None else prod(last - first for first, last in box) ** (1 / len(box)),
        side.value,
        side.low,
        side.high,
        known.get("side_90", Interval(None, None, None)).value,
        known["sigma"].value,
        len(item.used),
    )


class Log:
    """Writes lines into ``folder``; a CSV file that is there goes on."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.events: EventFile | None = None

    def write(self, lines: Sequence[Line]) -> None:
        """Raises FovealError where the folder cannot be written."""
        if self.events is None:
            self.events = EventFile(self.folder)
        path = self.folder / NAME
        try:
            new = not path.exists()
            with path.open("a", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                if new:
                    writer.writerow(item.name for item in fields(Line))
                writer.writerows(["" if cell is None else cell for cell in astuple(line)] for line in lines)
        except OSError as error:
            raise FovealError(f"{path}: cannot be written: {error.strerror or error}") from None
        for line in lines:
            scalars = {"effective_side": line.effective_side, "side_90": line.side_90}
            numbers = {f"{name}/{line.layer}": value for name, value in scalars.items()}
            if line is lines[-1]:
                numbers["foveal/share_of_time"] = line.share
            self.events.write(line.epoch, {tag: v for tag, v in numbers.items() if v is not None and isfinite(v)})
