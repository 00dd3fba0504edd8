"""Attributes with few values, which lowerings need not ask for: any other value is refused with its name."""

from __future__ import annotations

from foveal.frontends.onnx.lowering.domains import ACTIVATIONS
from foveal.frontends.onnx.lowering.table import Call

_FLAGS = """
align_corners allowzero antialias ceil_mode center_point_box channels_last count_include_pad detect_negative
detect_positive exclude_outside exclusive fmod inverse is_causal keepdims largest layout linear_before_reset
input_forget new_axis noop_with_empty_axes onesided reverse saturate select_last_index sorted storage_order
training_mode transA transB unidirectional upper"""
FLAGS = frozenset(_FLAGS.split())
"""Attributes that are 0 or 1 in every operator that has them."""

WORDS: dict[tuple[str, str], tuple[str | int, ...]] = {
    ("BitShift", "direction"): ("LEFT", "RIGHT"),
    ("Cast", "round_mode"): ("up", "down", "nearest"),
    ("CastLike", "round_mode"): ("up", "down", "nearest"),
    ("Gelu", "approximate"): ("none", "tanh"),
    ("LpNormalization", "p"): (1, 2),
    ("RoiAlign", "mode"): ("avg", "max"),
    ("RoiAlign", "coordinate_transformation_mode"): ("half_pixel", "output_half_pixel"),
    ("Normalizer", "norm"): ("MAX", "L1", "L2"),
    ("TfIdfVectorizer", "mode"): ("TF", "IDF", "TFIDF"),
    **{(f"{kind}Normalization", "stash_type"): (1, 10, 11, 16) for kind in ("Layer", "RMS", "Group")},
    ("Range", "stash_type"): (1, 10, 11, 16),
    **{(f"Fused{kind}", "activation"): ACTIVATIONS for kind in ("Conv", "Gemm")},
    ("Attention", "qk_matmul_output_mode"): (0, 1, 2, 3),
}


def unknown_value(call: Call, names: list[str]) -> str | None:
    """The first of a node's attributes (``names``) whose value nobody knows, in words; None where all are known."""
    for name in names:
        known = (0, 1) if name in FLAGS else WORDS.get((call.op_type, name))
        value = None if known is None else call.attribute(name)
        if known is not None and value not in known:
            return f"{name} is {value!r}, which is none of {', '.join(map(str, known))}"
    return None
