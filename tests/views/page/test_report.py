"""Results as records, JSON, CSV, text and HTML."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections.abc import Callable
from fractions import Fraction

import pytest

from foveal.core.errors import FovealError
from foveal.core.finding import Finding
from foveal.core.serial import from_plain, to_plain
from foveal.report.results import Measure, Report
from foveal.views.text.report import _Grid, _grid, fitted_text, plain
from foveal.views.text.table import Column, Row, axes_text, number_text, percent, quantity_text, table
from support.reports import report

Golden = Callable[[str], None]


@pytest.mark.parametrize(
    ("status", "value", "method"),
    [("certain", 1, "m"), ("unavailable", 1, "m"), ("exact", None, "m"), ("exact", 1, " ")],
)
def test_a_measure_refuses_what_does_not_fit_together(status: str, value: int | None, method: str) -> None:
    with pytest.raises(ValueError, match=r"status|method"):
        Measure(status, value, method)


def test_a_finding_refuses_an_unknown_severity() -> None:
    with pytest.raises(ValueError, match="severity 'fatal' is none of info, warning, error"):
        Finding("partial", "fatal", "", "text")


def test_json_goes_both_ways_without_loss() -> None:
    first = report()
    second = Report.from_json(first.to_json())
    assert second == first
    assert second.to_json() == first.to_json()
    assert isinstance(second.layer("up").stride[0], Fraction)
    assert all(type(start) is int for start in second.layer("conv1").start)


def test_json_holds_every_field_of_every_record() -> None:
    plain = json.loads(report().to_json())
    assert list(plain) == [field.name for field in dataclasses.fields(Report)]
    assert plain["layers"][2]["stride"] == ["8/3", "8/3"]


def _changed(change: Callable[[dict[str, object]], object]) -> str:
    plain = json.loads(report().to_json())
    change(plain)
    return json.dumps(plain)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "report: not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[" * 100_000, None),
        ('{"schema": NaN}', "report: not JSON: NaN is not a JSON number"),
        ("[]", "report: expected an object, got []"),
        (_changed(lambda d: d.update(schema=7)), "report: unknown schema version 7; this version of foveal reads 3"),
        (_changed(lambda d: d.pop("schema")), "report: missing field 'schema'"),
        (_changed(lambda d: d.pop("totals")), "report: missing field 'totals'"),
        (_changed(lambda d: d.update(extra=1)), "report: unknown field 'extra'"),
        (_changed(lambda d: d["layers"][1].pop("size")), "report.layers[1]: missing field 'size'"),  # type: ignore[index]
        (
            _changed(lambda d: d["layers"][0]["size"].update(status="sure")),  # type: ignore[index]
            "report.layers[0].size: status 'sure' is none of exact, bound, data-dependent, unavailable, contradicted",
        ),
        (
            _changed(lambda d: d["layers"][2].update(stride=["8/0", 1])),  # type: ignore[index]
            "report.layers[2].stride[0]: expected a fraction such as '3/2', got '8/0'",
        ),
        (
            _changed(lambda d: d["totals"].update(layers=True)),  # type: ignore[attr-defined]
            "report.totals.layers: expected a whole number, got True",
        ),
    ],
)
def test_bad_json_is_a_one_line_error(text: str, message: str | None) -> None:
    with pytest.raises(FovealError) as caught:
        Report.from_json(text)
    assert "\n" not in str(caught.value)
    assert message is None or str(caught.value) == message


def test_a_fraction_survives_as_a_fraction_and_an_integer_as_an_integer() -> None:
    kind = tuple[int | Fraction | None, ...]
    values = (Fraction(3, 2), Fraction(-4, 1), 7, None)
    back = from_plain(kind, json.loads(json.dumps(to_plain(values))))
    assert back == values
    assert [type(value) for value in back] == [type(value) for value in values]


def test_csv_has_a_line_per_layer_and_a_column_per_axis() -> None:
    rows = list(csv.DictReader(io.StringIO(report().to_csv())))
    assert [row["layer"] for row in rows] == [layer.name for layer in report().layers]
    assert (rows[1]["size_H"], rows[1]["size_W"]) == ("13", "7")
    assert (rows[2]["stride_H"], rows[2]["smallest_H"]) == ("8/3", "18")
    assert (rows[5]["size_H"], rows[5]["status"]) == ("", "unavailable")


def test_plain_text(golden: Golden) -> None:
    text = str(report())
    golden(text)
    assert "\x1b" not in text


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_text_fits_the_terminal(width: int, golden: Golden) -> None:
    text = fitted_text(table(report()), width)
    golden(text)
    assert max(len(line) for line in text.splitlines()) <= width
    # Nothing is wrapped: each layer has one line, and says its status unless that column is named as left out.
    for row in report().layers:
        lines = [line for line in text.splitlines() if re.match(rf"{re.escape(row.name)}\s{{2,}}", line)]
        assert len(lines) == 1
        assert lines[0].endswith(row.status) or "status" in " ".join(text.split("not shown at this width: ")[1].split())


@pytest.mark.parametrize("width", [33, 200])
def test_rows_stand_as_in_a_table_of_rich(width: int) -> None:
    cells = ["a", "\u5c64\u540d", "zw\u200bj", "trail ", " lead", "", "x" * 30, "\U0001f600"]
    columns = tuple(Column(name, right, 0) for name, right in (("layer", False), ("RF", True), ("status", False)))
    rows = [Row((cell, cells[-k], cells[(3 * k) % 8]), k % 2 == 0, "bound") for k, cell in enumerate(cells)]

    def drawn(grid: object) -> str:
        return plain(lambda console: console.print(grid), width)

    assert drawn(_Grid(columns, rows, (0, 1, 2))) == drawn(_grid(columns, rows, (0, 1, 2)))


def test_html_escapes_and_keeps_all_cells() -> None:
    first = report()
    odd = dataclasses.replace(first, name="<script>")
    text = odd._repr_html_()
    assert "<script>" not in text
    assert text.count("<tr") == 1 + len(first.layers)
    for row in table(first).rows:
        assert all(f">{cell}</td>".replace("<0", "&lt;0") in text for cell in row.cells)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (9408, "9.41 k"), (999_499, "999 k"), (999_500, "1.00 M"), (25_557_032, "25.6 M"),
     (4_089_184_256, "4.09 G"), (118_013_952, "118 M"), (9_995_000, "10.0 M"), (2 * 10**12, "2.00 T")],
)  # fmt: skip
def test_quantities_keep_three_digits(value: int, text: str) -> None:
    assert quantity_text(value) == text


def test_numbers_and_axes() -> None:
    assert [number_text(value) for value in (32, Fraction(31, 2), Fraction(8, 3), None)] == ["32", "15.5", "8/3", "?"]
    assert axes_text((427, 427)) == "427"
    assert axes_text((7, 1)) == "7x1"
    assert axes_text((-3, 0)) == "-3,0"
    assert axes_text((None, None)) == ""
    assert axes_text((Fraction(1, 2),) * 2, signed=True) == "+0.5"
    assert axes_text((0, 0), signed=True) == "0"


def test_part_of_the_source_never_reads_as_all_of_it() -> None:
    assert [percent(share) for share in (0.0, 1e-5, 0.5, 0.99999, 1.0, None)] == [
        "0.0 %", "<0.1 %", "50.0 %", "99.9 %", "100 %", "",
    ]  # fmt: skip


def test_a_row_by_name() -> None:
    assert report().layer("warp").status == "data-dependent"
    with pytest.raises(FovealError, match="unknown layer 'wrap'; closest: warp"):
        report().layer("wrap")
