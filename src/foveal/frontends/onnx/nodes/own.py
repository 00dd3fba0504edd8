"""Operators that users taught foveal (:mod:`foveal.extend`), in an ONNX trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from foveal.frontends.onnx.lowering.table import Item
from foveal.ir import ops
from foveal.ir.extension import REGISTRY, Call, results


def own_lowering(domain: str, operator: str) -> Callable[..., Any] | None:
    """The table's kind of lowering for an operator that was taught; None where none was."""
    taught = REGISTRY.find("onnx", f"{domain or 'ai.onnx'}::{operator}", f"{domain}::{operator}")
    if taught is None:
        return None

    def lowering(node: Any, *inputs: Any) -> list[Item]:
        operands = [item for item in inputs if item is not None]

        def keep(operand: Any) -> int:
            operands.append(operand)
            return len(operands) - 1

        def emit(op: ops.Operation, used: Sequence[int], shape: tuple[int, ...]) -> int:
            return keep(node.emit(op, [operands[number] for number in used], shape))

        call = Call(
            f"{domain}::{operator}",
            tuple(range(len(operands))),
            tuple(item.shape for item in operands),
            tuple(node.shapes[: node.wanted]),
            {item.name: node.attribute(item.name) for item in node.node.attribute},
            emit,
            lambda array: keep(node.constant(array)),
            lambda reason: node.materials.builder.note("data-dependent", node.materials.builder.scope, reason),
        )
        return [operands[number] for number in results(call, taught(call))]

    return lowering
