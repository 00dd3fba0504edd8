"""The space that is searched when none is given, by task; and known networks to set beside what is found.

For detection known networks get a pyramid over their four last scales, as in practice.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from foveal.core.errors import FovealError
from foveal.designs.closed.evaluate import evaluated
from foveal.designs.network import Head, Neck, Network
from foveal.designs.recognise import recognise
from foveal.designs.spaces.space import Space, space_of

KNOWN = ("resnet18", "resnet50", "mobilenet_v1", "vgg13")
WIDTHS = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)


def default_space(task: str, shape: tuple[int, ...], classes: int, causal: bool = False) -> Space:
    """Families from small to ResNet-50's size. shape: (channels, *space)."""
    if len(shape) == 2:
        return _over_time(task, shape, classes, causal)
    blocks = ["residual", "plain", "separable", "bottleneck", "large"]
    stages: list[dict[str, Any]] = []
    for number in range(4):
        stages.append({
            "block": {"choose": blocks, "as": "block"},
            # Doubled from stage to stage, or the same in all.
            "width": {"choose": [width * 2**number for width in WIDTHS] + list(WIDTHS), "as": "width"},
            "count": {"choose": [1, 2, 3, 4, 6] if number < 2 else [0, 1, 2, 3, 4, 6]},
            "kernel": {"choose": [3, 5, 7], "as": "kernel"},
            "stride": {"choose": [1, 2]},
            **({"dilation": {"choose": [[1], [2], [1, 2, 5]]}} if number >= 2 else {}),
        })  # fmt: skip
    return space_of({
        "input": list(shape),
        "stem": {"kernel": {"choose": [3, 5, 7]}, "stride": {"choose": [1, 2]}, "pool": {"choose": [False, True]},
                 "width": {"choose": 2 * list(WIDTHS), "as": "width"}},
        "stages": stages,
        "neck": _necks(task),
        "head": {"task": task, "classes": classes},
        "name": f"{task}-net",
    })  # fmt: skip


def _necks(task: str) -> dict[str, Any]:
    options: list[dict[str, Any]] = [{"kind": "none"}]
    if task == "detection":
        options += [{"kind": "pyramid", "width": w, "levels": n} for w in (64, 128) for n in (2, 3, 4)]
    elif task == "segmentation":
        options += [
            {"kind": "encoder-decoder"},
            {"kind": "pyramid-pooling", "width": 64, "rates": [1, 2, 4]},
            {"kind": "parallel-dilations", "width": 64, "rates": [2, 4, 6]},
            {"kind": "parallel-dilations", "width": 64, "rates": [6, 12, 18]},
        ]
    else:
        return {"kind": "none"}
    return {"choose": options}


def _over_time(task: str, shape: tuple[int, ...], classes: int, causal: bool) -> Space:
    plans = [[1], [1, 2], [1, 2, 4], [1, 2, 4, 8], [1, 2, 4, 8, 16], [1, 2, 4, 8, 16, 32], [1, 3, 9], [1, 3, 9, 27]]
    stage = {
        "block": {"choose": ["residual", "dilated", "plain"], "as": "block"},
        "width": {"choose": [16, 32, 64, 128], "as": "width"},
        "kernel": {"choose": [2, 3, 5] if causal else [3, 5, 7], "as": "kernel"},
        "dilation": {"choose": plans},
    }
    stages = [stage | {"count": {"choose": list(range(int(not number), 7))}} for number in range(3)]
    width = {"choose": [16, 32, 64, 128], "as": "width"}
    return space_of({
        "input": list(shape), "stem": {"kernel": 3 if causal else 1, "width": width},
        "stages": stages, "head": {"task": task, "classes": classes}, "causal": causal, "name": f"{task}-net",
    })  # fmt: skip


def known_networks(task: str, shape: tuple[int, ...], classes: int) -> list[Network]:
    """Networks of the gallery on this input with a head of this task; those that do not fit it are left out."""
    if len(shape) != 3:
        return []
    from foveal.frontends.trace import trace

    found = []
    for name in KNOWN:
        try:
            network = recognise(trace(f"gallery:{name}"))
            neck = Neck("pyramid", 64, 4) if task == "detection" else Neck()
            network = replace(network, input=shape, neck=neck, head=Head(task, classes), name=name)
        except FovealError:
            continue
        if evaluated(network) is not None:
            found.append(network)
    return found
