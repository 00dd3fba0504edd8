"""``nn.Sequential(...)`` as people paste it: read as a tree, never run, and built from a list of known layers."""

from __future__ import annotations

import ast
from collections import OrderedDict
from typing import Any

from torch import nn

from foveal.core.errors import SourceError

_PLAIN = """
    Sequential Identity Flatten Unflatten Linear Bilinear Embedding Softmax LogSoftmax ReLU ReLU6 LeakyReLU PReLU ELU
    CELU SELU GELU SiLU Mish Sigmoid Tanh Hardswish Hardsigmoid Hardtanh Softplus Softsign LogSigmoid Threshold GLU
    Dropout Dropout1d Dropout2d Dropout3d AlphaDropout LayerNorm GroupNorm LocalResponseNorm RMSNorm PixelShuffle
    PixelUnshuffle ChannelShuffle Upsample UpsamplingNearest2d UpsamplingBilinear2d Fold Unfold
"""
_BY_AXES = """
    Conv ConvTranspose MaxPool AvgPool LPPool AdaptiveAvgPool AdaptiveMaxPool BatchNorm InstanceNorm ZeroPad
    ReflectionPad ReplicationPad ConstantPad CircularPad
"""
LAYERS = frozenset(_PLAIN.split()) | {f"{name}{axes}d" for name in _BY_AXES.split() for axes in (1, 2, 3)}
"""Names in torch.nn whose layers are made from numbers alone."""
SPACE = {1: (8192,), 2: (224, 224), 3: (32, 32, 32)}
"""Positions of an input of which nothing is said, by the axes of the kernel."""
MOST = 2_000
"""Most layers."""


def pasted_module(text: str) -> nn.Module:
    """The module that the text describes; raises SourceError in one line."""
    try:
        tree = ast.parse(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SourceError(f"pasted code: not Python: {getattr(error, 'msg', None) or error}") from None
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.Expr | ast.Assign) or tree.body[0].value is None:
        raise SourceError("pasted code: expected nn.Sequential(...) and nothing else; no code is run here")
    if sum(isinstance(node, ast.Call) for node in ast.walk(tree)) > MOST:
        raise SourceError(f"pasted code: more than {MOST} layers")
    made = _value(tree.body[0].value)
    if not isinstance(made, nn.Module):
        raise SourceError("pasted code: expected nn.Sequential(...)")
    return made.eval()


def pasted_input(module: nn.Module) -> tuple[int, ...]:
    """What such a module is called with unless the caller says: the channels of its first layer that has such."""
    for layer in module.modules():
        kernel = getattr(layer, "kernel_size", None)
        if isinstance(kernel, tuple) and hasattr(layer, "in_channels"):
            return (1, int(str(layer.in_channels)), *SPACE[len(kernel)])
        if isinstance(layer, nn.Linear):
            return (1, layer.in_features)
    return (1, 3, 224, 224)


def _value(node: ast.expr) -> Any:
    """A layer, or a number, a text or a tuple of such."""
    if not isinstance(node, ast.Call):
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, RecursionError):
            what = f"pasted code: '{_short(node)}' is no number, text or tuple; no code is run here"
            raise SourceError(what) from None
    name = _name(node.func)
    if name == "OrderedDict":
        return _ordered(node)
    if name not in LAYERS or not hasattr(nn, name):
        raise SourceError(f"pasted code: '{_short(node.func)}' is no layer that is known here; no code is run")
    if any(isinstance(argument, ast.Starred) for argument in node.args) or any(not word.arg for word in node.keywords):
        raise SourceError(f"pasted code: '{_short(node)}': no * and ** here")
    arguments = [_value(argument) for argument in node.args]
    words = {str(word.arg): _value(word.value) for word in node.keywords}
    try:
        return getattr(nn, name)(*arguments, **words)
    except (TypeError, ValueError, RuntimeError, AssertionError, OverflowError) as error:
        raise SourceError(f"pasted code: '{_short(node)}': {str(error).splitlines()[0]}") from None


def _ordered(node: ast.Call) -> OrderedDict[str, Any]:
    """``OrderedDict([("name", layer), ...])``."""
    rows = node.args[0].elts if node.args and isinstance(node.args[0], ast.List | ast.Tuple) else []
    if not rows or not all(isinstance(row, ast.Tuple | ast.List) and len(row.elts) == 2 for row in rows):
        raise SourceError("pasted code: expected OrderedDict([('name', layer), ...])")
    pairs = [row.elts for row in rows if isinstance(row, ast.Tuple | ast.List)]
    return OrderedDict((str(_value(first)), _value(second)) for first, second in pairs)


def _name(node: ast.expr) -> str:
    """ "Conv2d" of ``nn.Conv2d``, ``torch.nn.Conv2d`` and ``Conv2d``; "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    whole = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
    home, _, name = whole.rpartition(".")
    return name if home in ("nn", "torch.nn", "collections") else ""


def _short(node: ast.expr) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
