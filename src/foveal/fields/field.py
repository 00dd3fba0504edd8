"""A field: how strongly each source position reaches one unit.

One type for every way to fill it (counted, expected or measured); metrics, plots and overlays work on any of them.
Positions are source indices: pixel *i* is the interval [i - 1/2, i + 1/2]. Values are never negative and are zero
outside the array that a field carries.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np

from foveal.core import show
from foveal.core.errors import FovealError
from foveal.core.serial import FormatError, from_plain, read_json

if TYPE_CHECKING:
    from foveal.fields.metrics import Effective, FieldMetrics

SCHEMA = 2
"""Version of the JSON form; raised whenever a field changes its name, type or meaning."""

STATUSES = ("exact", "approximation", "bound", "data-dependent")

Box = tuple[tuple[int, int], ...]
UNSIZED = ("support", "usage")
"""Kinds that say of no position how strongly it counts."""
_DTYPES = ("bool", "int64", "float64")


@dataclass(frozen=True, eq=False, repr=False)
class Field(show.Shown):
    """Values over the source positions that one unit can see, with where they lie and how sure they are.

    Raises FovealError where the parts do not fit together, or where a value is negative or not finite.
    """

    values: np.ndarray = field(repr=False)
    """Over the clipped hull, one axis per source axis: bool, int64 (exact counts) or float64; read-only."""
    origin: tuple[int, ...]
    """Source index of ``values[0, ...]``."""
    source_shape: tuple[int, ...]
    """Lengths of the source axes."""
    layer: str
    unit: tuple[int, ...]
    kind: str
    """"support", "paths", "edges", "energy", "gradient" or a name of one's own."""
    source: str
    status: str
    """"exact", "approximation", "bound" or "data-dependent"."""
    method: str
    """How the values were found, in a sentence."""
    box: Box | None = None
    """Unclipped box of the unit's receptive field, (first, last + 1) per source axis; None where unknown."""
    center: tuple[float, ...] | None = None
    """Center of the receptive field: may lie between positions or outside the source; None where unknown."""
    log_total: float | None = None
    """Natural logarithm of the true sum where the values are scaled, else None."""
    channel: int | None = None
    """The channel of the layer, None for all together."""
    squared: bool | None = None
    """Whether the values are energies, squares of gradients; by default those of kind "energy" are."""

    def __post_init__(self) -> None:
        values = np.ascontiguousarray(self.values)
        axes = len(self.source_shape)
        if self.squared is None:
            object.__setattr__(self, "squared", self.kind == "energy")
        if values.dtype.name not in _DTYPES:
            raise FovealError(f"field of '{self.layer}': values are bool, int64 or float64, got {values.dtype}")
        if self.status not in STATUSES:
            raise FovealError(f"field of '{self.layer}': status '{self.status}' is none of {', '.join(STATUSES)}")
        if axes == 0 or values.ndim != axes or len(self.origin) != axes:
            raise FovealError(
                f"field of '{self.layer}': values of shape {values.shape} at {self.origin} do not fit the source "
                f"{self.source_shape}"
            )
        for first, length, limit in zip(self.origin, values.shape, self.source_shape):
            if first < 0 or first + length > limit:
                raise FovealError(
                    f"field of '{self.layer}': values of shape {values.shape} at {self.origin} reach outside the "
                    f"source {self.source_shape}"
                )
        for name, part in (("box", self.box), ("center", self.center)):
            if part is not None and len(part) != axes:
                raise FovealError(f"field of '{self.layer}': {name} {part} needs one entry per source axis ({axes})")
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise FovealError(f"field of '{self.layer}': a value is infinite or not a number")
        if values.dtype.kind != "b" and values.size and values.min() < 0:
            raise FovealError(f"field of '{self.layer}': a value is negative; take its absolute value or square first")
        values = values.view()
        values.flags.writeable = False
        object.__setattr__(self, "values", values)
        if self.center is not None:
            object.__setattr__(self, "center", tuple(float(c) for c in self.center))

    @classmethod
    def of(
        cls,
        array: np.ndarray,
        *,
        center: Sequence[float] | None = None,
        origin: Sequence[int] | None = None,
        source_shape: Sequence[int] | None = None,
        box: Box | None = None,
        kind: str = "gradient",
        layer: str = "",
        unit: Sequence[int] = (),
        source: str = "input",
        status: str = "data-dependent",
        method: str = "an array that was given",
        channel: int | None = None,
        squared: bool | None = None,
    ) -> Field:
        """A field from any array of one axis per source axis; by default the array covers the whole source."""
        given = np.asarray(array)
        if given.dtype.kind not in "buif":
            raise FovealError(f"a field needs an array of real numbers, got {given.dtype}")
        values = given if given.dtype.kind == "b" else given.astype(np.float64 if given.dtype.kind == "f" else np.int64)
        start = (0,) * values.ndim if origin is None else tuple(int(i) for i in origin)
        shape = values.shape if source_shape is None else tuple(int(n) for n in source_shape)
        middle = None if center is None else tuple(float(c) for c in center)
        place = tuple(int(i) for i in unit)
        parts = (layer, place, kind, source, status, method, box, middle, None, channel, squared)
        return cls(values, start, shape, *parts)

    @property
    def hull(self) -> Box:
        """(first, last + 1) of the positions that ``values`` covers, per source axis."""
        return tuple((first, first + length) for first, length in zip(self.origin, self.values.shape))

    def full(self) -> np.ndarray:
        """The values over the whole source, zero elsewhere."""
        whole = np.zeros(self.source_shape, self.values.dtype)
        whole[tuple(slice(first, last) for first, last in self.hull)] = self.values
        return whole

    def normalized(self) -> np.ndarray:
        """The values as shares of their sum (float64); all zero where the sum is zero."""
        values = self.values.astype(np.float64)
        # Dividing by the maximum first keeps the sum of huge values finite.
        largest = values.max(initial=0.0)
        if largest == 0:
            return values
        values /= largest
        return np.asarray(values / values.sum())

    def metrics(self) -> FieldMetrics:
        """Sizes, spreads, fits and profiles of the field; see :mod:`foveal.fields.metrics`."""
        from foveal.fields.metrics import measure

        return measure(self.values, self.origin, self.source_shape, self.center, self.log_total is None,
                       bool(self.squared), self._sized)  # fmt: skip

    def effective(self) -> Effective | None:
        """The effective size alone; None where nothing has weight, and of kinds that are no gradients."""
        from foveal.fields.metrics import effective

        if not self._sized:
            return None
        return effective(self.values, self.origin, self.source_shape, self.center, bool(self.squared))

    @property
    def _sized(self) -> bool:
        return self.kind not in UNSIZED

    def to_json(self) -> str:
        """The field as JSON, without loss; :meth:`from_json` gives back the same field."""
        data: dict[str, Any] = {"schema": SCHEMA, "dtype": self.values.dtype.name, "shape": list(self.values.shape)}
        data |= {name: _plain(getattr(self, name)) for name in _PLAIN}
        data["values"] = self.values.ravel().tolist()
        return json.dumps(data, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Field:
        """The field that ``text`` describes; raises FormatError (one line) for anything else."""
        data = read_json(text, "field")
        if not isinstance(data, dict):
            raise FormatError("field: expected an object")
        if data.get("schema") != SCHEMA:
            other = data.get("schema")
            raise FormatError(f"field: unknown schema version {other}; this version of foveal reads {SCHEMA}")
        known = {"schema", "dtype", "shape", "values", *_PLAIN}
        for name in sorted(known ^ set(data)):
            raise FormatError(f"field: {'missing' if name in known else 'unknown'} field '{name}'")
        parts = {name: from_plain(kind, data[name], f"field.{name}") for name, kind in _PLAIN.items()}
        try:
            return cls(_array(data), **parts)
        except FormatError:
            raise
        except FovealError as error:
            raise FormatError(str(error)) from None


_PLAIN: dict[str, Any] = {name: kind for name, kind in get_type_hints(Field).items() if name != "values"}
"""Everything but the array, with its type."""


def _plain(value: Any) -> Any:
    """NumPy scalars and tuples as JSON has them."""
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def _array(data: dict[str, Any]) -> np.ndarray:
    dtype, shape, values = data["dtype"], data["shape"], data["values"]
    if dtype not in _DTYPES:
        raise FormatError(f"field.dtype: expected one of {', '.join(_DTYPES)}, got {dtype!r}")
    if any(n < 0 for n in from_plain(tuple[int, ...], shape, "field.shape")):
        raise FormatError("field.shape: a length is negative")
    kinds = {"bool": (bool,), "int64": (int,), "float64": (int, float)}[dtype]
    if not isinstance(values, list) or any(type(value) not in kinds for value in values):
        raise FormatError(f"field.values: expected a list of {dtype} values")
    try:
        return np.array(values, dtype).reshape(shape)
    except (ValueError, OverflowError) as error:
        raise FormatError(f"field.values: {error}") from None
