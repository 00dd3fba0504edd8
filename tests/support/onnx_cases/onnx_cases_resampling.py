"""Cases of Resize and Upsample."""

from __future__ import annotations

from typing import Any

from support.onnx_cases.onnx_case_words import F32, case
from support.onnx_cases.onnx_operator_oracle import Case, constant, source


def resampling() -> list[Case]:
    """Resize in every coordinate convention, rounding and filter; Upsample."""
    line = source(1, 1, 6)
    found = []

    def scaled(factor: float, **settings: Any) -> Case:
        return case("Resize", line, None, constant([1, 1, factor], F32), opset=settings.pop("opset", 19), **settings)

    def sized(n: int, **settings: Any) -> Case:
        return case("Resize", line, None, None, constant([1, 1, n]), opset=19, **settings)

    modes = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric")
    for coordinates in modes:
        for mode in ("nearest", "linear", "cubic"):
            for factor in (0.5, 1.5, 2.0):
                found.append(
                    scaled(
                        factor,
                        mode=mode,
                        coordinate_transformation_mode=coordinates,
                        label=f"{coordinates}-{mode}-{factor}",
                    )
                )
            found.append(
                sized(4, mode=mode, coordinate_transformation_mode=coordinates, label=f"{coordinates}-{mode}-to4")
            )
    for rounding in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"):
        for coordinates in ("half_pixel", "asymmetric"):
            for factor in (0.5, 1.5):
                found.append(
                    scaled(
                        factor,
                        mode="nearest",
                        nearest_mode=rounding,
                        coordinate_transformation_mode=coordinates,
                        label=f"{rounding}-{coordinates}-{factor}",
                    )
                )
    for mode in ("linear", "cubic"):
        found.append(scaled(0.5, mode=mode, antialias=1, label=f"antialias-{mode}"))
        found.append(sized(4, mode=mode, antialias=1, label=f"antialias-{mode}-to4"))
        found.append(scaled(1.5, mode=mode, exclude_outside=1, label=f"exclude-{mode}"))
    region = constant([0, 0, 0.25, 1, 1, 0.875], F32)
    for mode in ("linear", "nearest", "cubic"):
        found.append(
            case(
                "Resize",
                line,
                region,
                None,
                constant([1, 1, 5]),
                mode=mode,
                coordinate_transformation_mode="tf_crop_and_resize",
                opset=19,
                label=f"crop-{mode}",
            )
        )
    wide = constant([0, 0, -0.5, 1, 1, 1.25], F32)
    found += [
        case(
            "Resize",
            line,
            wide,
            None,
            constant([1, 1, 7]),
            mode="linear",
            coordinate_transformation_mode="tf_crop_and_resize",
            opset=19,
            label="crop-beyond",
        ),
        case(
            "Resize",
            source(1, 1, 4, 3),
            None,
            None,
            constant([8, 5]),
            axes=[2, 3],
            mode="linear",
            opset=19,
            label="axes",
        ),
        case(
            "Resize",
            source(1, 1, 4, 3),
            None,
            None,
            constant([6, 6]),
            axes=[2, 3],
            keep_aspect_ratio_policy="not_larger",
            mode="linear",
            opset=19,
            label="not_larger",
        ),
        case(
            "Resize",
            source(1, 1, 4, 3),
            None,
            None,
            constant([6, 6]),
            axes=[2, 3],
            keep_aspect_ratio_policy="not_smaller",
            mode="nearest",
            opset=19,
            label="not_smaller",
        ),
        case(
            "Resize",
            line,
            None,
            constant([1, 1, 1.5], F32),
            mode="cubic",
            cubic_coeff_a=-0.5,
            opset=19,
            label="coefficient",
        ),
        case("Resize", line, None, constant([1, 1, 2], F32), opset=13, label="old"),
        case(
            "Resize",
            source(1, 1, 4, 3, dtype=F32),
            constant([1, 1, 2, 1.5], F32),
            mode="nearest",
            opset=10,
            engine="onnxruntime",
        ),
        case(
            "Resize",
            source(1, 1, 6, 4, dtype=F32),
            constant([1, 1, 0.5, 0.75], F32),
            mode="nearest",
            opset=10,
            engine="onnxruntime",
            label="smaller",
        ),
        case(
            "Resize",
            source(1, 1, 4, 3, dtype=F32),
            constant([1, 1, 2, 1.5], F32),
            mode="linear",
            opset=10,
            engine="onnxruntime",
            label="linear",
        ),
        case(
            "Upsample",
            source(1, 1, 3, 2, dtype=F32),
            constant([1, 1, 2, 3], F32),
            mode="nearest",
            opset=9,
            engine="onnxruntime",
        ),
        case(
            "Upsample",
            source(1, 1, 3, 2, dtype=F32),
            constant([1, 1, 2, 3], F32),
            mode="linear",
            opset=9,
            engine="onnxruntime",
            label="linear",
        ),
        case(
            "Upsample",
            source(1, 1, 3, 2, dtype=F32),
            scales=[1.0, 1.0, 2.0, 3.0],
            mode="nearest",
            opset=7,
            engine="onnxruntime",
        ),
    ]
    return found
