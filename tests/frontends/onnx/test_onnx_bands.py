"""Matrices of bands stored among the weights of a file are numbers; pruned weights are weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import foveal
from foveal.fields.receptive_field import unit_bounds

N = 6
PATH = np.where(np.abs(np.subtract.outer(np.arange(N), np.arange(N))) <= 1, 1 / 3, 0).astype(np.float32)
DECAY = np.tril(np.full((N, N), 0.9, np.float32))
RING = np.eye(5, dtype=np.float32) * 0.5 + np.roll(np.eye(5), 2, 0) + np.roll(np.eye(5), -2, 0)
WHOLE = [(0, n - 1) for n in [N] * N]
PRUNED = np.where(np.arange(N)[:, None] % 3 == 0, 0, np.random.default_rng(0).random((N, N)) + 1).astype(np.float32)
SPARSE = np.where(np.random.default_rng(4).random((N, N)) < 0.3, 0, 1.5).astype(np.float32)

CASES = {
    "a path": (PATH, [(max(0, i - 1), min(N - 1, i + 1)) for i in range(N)]),
    "a decay": (DECAY, [(i, N - 1) for i in range(N)]),
    "a ring": (RING.astype(np.float32), [(0, 3), (1, 4), (0, 4), (0, 3), (1, 4)]),
    "whole rows pruned": (PRUNED, WHOLE),
    "weights with zeros": (SPARSE, WHOLE),
}


def opened(folder: Path, node: onnx.NodeProto, matrix: np.ndarray) -> foveal.Graph:
    graph = helper.make_graph(
        [node], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 2, len(matrix)))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(matrix, "m")],
    )  # fmt: skip
    path = folder / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return foveal.trace(path, axes=(2,))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("spelling", ["MatMul", "Einsum"])
def test_a_product_reads_where_a_fixed_matrix_is_not_zero(name: str, spelling: str, tmp_path: Path) -> None:
    matrix, expected = CASES[name]
    options = {"equation": "nct,ts->ncs"} if spelling == "Einsum" else {}
    graph = opened(tmp_path, helper.make_node(spelling, ["x", "m"], ["y"], **options), matrix)
    ((first, last),) = unit_bounds(graph, graph.layers[-1])
    found = list(zip(*(np.broadcast_to(a, (1, 2, len(matrix)))[0, 0].tolist() for a in (first, last))))
    assert found == expected
