"""The Field type: what it takes, what it gives back, and that JSON loses nothing."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from foveal.core.errors import FovealError
from foveal.fields.field import Field

EDGES = (5, 13, 24, 31, 36, 37, 36, 31, 24, 13, 5)


def article_field(**changes: object) -> Field:
    parts: dict[str, object] = {
        "values": np.array(EDGES, np.int64), "origin": (2,), "source_shape": (15,), "layer": "conv5", "unit": (7,),
        "kind": "edges", "source": "input", "status": "exact", "method": "edges counted", "box": ((2, 13),),
        "center": (7.0,),
    }  # fmt: skip
    return Field(**(parts | changes))  # type: ignore[arg-type]


def test_full_and_normalized() -> None:
    field = article_field()
    assert field.full().tolist() == [0, 0, *EDGES, 0, 0]
    assert field.full().dtype == np.int64
    assert field.hull == ((2, 13),)
    assert math.isclose(field.normalized().sum(), 1.0)
    assert field.normalized()[5] == pytest.approx(37 / 255)


def test_values_cannot_be_changed_and_the_callers_array_stays_writeable() -> None:
    mine = np.array(EDGES, np.int64)
    field = article_field(values=mine)
    with pytest.raises(ValueError, match="read-only"):
        field.values[0] = 1
    mine[0] = 5


def test_a_bare_array_covers_the_whole_source() -> None:
    field = Field.of(np.ones((4, 6), np.float32), center=(1.5, 2))
    assert (field.origin, field.source_shape, field.kind, field.center) == ((0, 0), (4, 6), "gradient", (1.5, 2.0))
    assert field.values.dtype == np.float64
    assert Field.of(np.ones(3, np.uint8)).values.dtype == np.int64
    assert Field.of(np.ones(3, bool)).values.dtype == bool
    placed = Field.of(np.ones((2, 2)), origin=(1, 3), source_shape=(4, 6))
    assert placed.full().sum() == placed.full()[1:3, 3:5].sum() == 4


def test_an_empty_field_has_no_metrics_but_does_not_fail() -> None:
    field = article_field(values=np.zeros((0,), np.int64), origin=(0,), center=None)
    found = field.metrics()
    assert (found.support.count, found.center_of_mass, found.effective, found.squares) == (0, None, None, ())
    assert found.gaussian.reason == "the field is empty"
    assert field.normalized().size == 0
    assert field.full().sum() == 0
    assert "none" in field._repr_html_()
    assert found.to_dict()["isotropy"] is None


def test_zero_values_stay_zero_when_normalized() -> None:
    assert Field.of(np.zeros((3, 3))).normalized().tolist() == [[0.0] * 3] * 3
    assert Field.of(np.zeros((3, 3))).metrics().center is None


def test_huge_values_do_not_overflow() -> None:
    field = Field.of(np.full((3, 3), 1.5e308))
    assert math.isclose(field.normalized().sum(), 1.0)
    found = field.metrics()
    assert found.sigmas == pytest.approx((math.sqrt(2 / 3),) * 2)
    assert found.total is None
    assert max(found.radial_profile) == 1.5e308


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"values": np.array([1.0, math.nan])}, "infinite or not a number"),
        ({"values": np.array([1.0, -1.0])}, "negative"),
        ({"values": np.ones(3, np.float32)}, "bool, int64 or float64, got float32"),
        ({"values": np.ones((3, 3))}, "do not fit the source"),
        ({"origin": (5,)}, "reach outside the source"),
        ({"origin": (-1,)}, "reach outside the source"),
        ({"status": "sure"}, "'sure' is none of exact"),
        ({"center": (1.0, 2.0)}, "one entry per source axis"),
        ({"box": ((0, 1), (0, 1))}, "one entry per source axis"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, object], text: str) -> None:
    with pytest.raises(FovealError, match=text) as caught:
        article_field(**changes)
    assert "\n" not in str(caught.value)


def test_a_bare_array_of_other_things_is_refused() -> None:
    with pytest.raises(FovealError, match="real numbers"):
        Field.of(np.array(["a"]))
    with pytest.raises(FovealError, match="real numbers"):
        Field.of(np.ones(3, complex))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([np.bool_, np.int64, np.float64]).flatmap(
        lambda kind: hnp.arrays(
            kind,
            hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4),
            elements=None
            if kind is np.bool_
            else st.integers(0, 2**63 - 1)
            if kind is np.int64
            else st.floats(0, 1e308, allow_nan=False),
        )
    ),
    st.one_of(st.none(), st.floats(-1e3, 1e3)),
)
def test_json_loses_nothing(values: np.ndarray, log_total: float | None) -> None:
    axes = values.ndim
    field = Field(
        values, (1,) * axes, tuple(n + 2 for n in values.shape), "layer", (0,), "paths", "input", "exact", "counted",
        ((-1, 3),) * axes, (0.5,) * axes, log_total, 3,
    )  # fmt: skip
    back = Field.from_json(field.to_json())
    assert back.values.dtype == field.values.dtype
    assert np.array_equal(back.values, field.values)
    assert all(getattr(back, name) == getattr(field, name) for name in field.__dataclass_fields__ if name != "values")


def test_json_takes_numpy_numbers() -> None:
    field = article_field(origin=(np.int64(2),), unit=(np.int64(7),))
    assert Field.from_json(field.to_json()).unit == (7,)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"schema": 9}, "unknown schema version 9"),
        ({"dtype": "object"}, "field.dtype"),
        ({"values": [1]}, "field.values"),
        ({"values": [0.5] * 11}, "expected a list of int64"),
        ({"values": [2**70] * 11}, "field.values"),
        ({"shape": [-1]}, "a length is negative"),
        ({"shape": "x"}, "field.shape"),
        ({"origin": [99]}, "outside the source"),
        ({"status": 3}, "field.status"),
        ({"extra": 1}, "unknown field 'extra'"),
        ({"layer": None}, "field.layer"),
    ],
)
def test_bad_json_is_refused_in_a_line(change: dict[str, object], text: str) -> None:
    data = json.loads(article_field().to_json()) | change
    with pytest.raises(FovealError, match=text) as caught:
        Field.from_json(json.dumps(data))
    assert "\n" not in str(caught.value)


def test_json_that_is_none_is_refused() -> None:
    for text in ("", "[]", "{}", "nonsense"):
        with pytest.raises(FovealError, match="field"):
            Field.from_json(text)
    data = json.loads(article_field().to_json())
    del data["method"]
    with pytest.raises(FovealError, match="missing field 'method'"):
        Field.from_json(json.dumps(data))


def test_html_escapes_names() -> None:
    html = article_field(layer="<b>conv</b>", channel=4)._repr_html_()
    assert "<b>" not in html
    assert "channel 4" in html
    assert "2..12" in html
