"""A hand-made report with every kind of row: what the tests of results and views look at."""

from __future__ import annotations

from fractions import Fraction

from foveal.core.finding import Finding
from foveal.report.results import SCHEMA, LayerResult, Measure, PackageVersion, Report, SourceInfo, Totals

COUNTED = Measure("exact", 118_013_952, "counted from shapes")
FREE = Measure("exact", 0, "counted from shapes")


def layer(name: str, size: Measure, **changes: object) -> LayerResult:
    """A row of stride 1 around the source's own grid, with some fields changed."""
    value = size.value if isinstance(size.value, tuple) else (None, None)
    fields: dict[str, object] = {
        "source": "input", "kind": "module", "type": "Conv2d", "leaf": True, "shape": (1, 64, 112, 112),
        "sizes": tuple(None if length is None else (length, length) for length in value),
        "clipped": tuple(None if length is None else min(length, 224) for length in value),
        "stride": (1, 1), "start": (0, 0), "period": (1, 1), "center": (0, 0), "offset": (0, 0), "local": None,
        "covered": 0.25, "parameters": 0, "multiply_adds": FREE, "causes": (),
    }  # fmt: skip
    return LayerResult(name=name, size=size, **(fields | changes))  # type: ignore[arg-type]


def exact(*size: int) -> Measure:
    return Measure("exact", size, "interval arithmetic, all units")


def report() -> Report:
    """Six rows: plain, anisotropic, container with varying units, bound with a local size, data-dependent, withheld."""
    rows = (
        layer("conv1", exact(7, 7), stride=(2, 2), start=(-3, -3), offset=(Fraction(-1, 2),) * 2, parameters=9408,
              multiply_adds=COUNTED, covered=49 / 224**2),
        layer("branch.conv7x1", exact(13, 7), start=(-6, -3), parameters=512),
        layer("up", exact(20, 20), leaf=False, type="Sequential", sizes=((18, 20), (18, 20)), period=(2, 2),
              stride=(Fraction(8, 3),) * 2, start=(-7, -7), center=(Fraction(5, 2),) * 2),
        layer("attend", Measure("bound", (224, 224), "everything"), local=(300, 300), covered=1.0,
              stride=(None, None), offset=(None, None), causes=("aten.mystery at attend",)),
        layer("warp", Measure("data-dependent", (224, 224), "all that the sampler can reach"), covered=0.99996,
              causes=("grid_sample at warp",)),
        layer("lost", Measure("unavailable", None, "traced up to here"), stride=(None, None), start=(None, None),
              period=(None, None), center=(None, None), offset=(None, None), covered=None,
              multiply_adds=Measure("bound", 12, "some are left out")),
    )  # fmt: skip
    return Report(
        name="handmade",
        sources=(SourceInfo("input", (1, 3, 224, 224), (2, 3)),),
        layers=rows,
        findings=(
            Finding("partial", "error", "lost", "traced up to here"),
            Finding("operation-without-rule", "warning", "attend", "aten.mystery has no rule (3 times)"),
        ),
        totals=Totals(7, 41, 25_557_032, Measure("bound", 4_089_184_256, "some are left out")),
        schema=SCHEMA,
        versions=(PackageVersion("foveal", "0.0.0"),),
        verdict=None,
    )
