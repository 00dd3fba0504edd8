"""Numbers that leave PyTorch, threads and operations that write: each against changes of the real model's input."""

from __future__ import annotations

import copy
import ctypes
import inspect
import io
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from queue import Queue
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import foveal
from foveal.fields.receptive_field import unit_bounds

LENGTH = 40
POOL = ThreadPool(2)
RULES: dict[str, Callable[[Any, Tensor], Tensor]] = {}


class Net(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.c, self.d = (nn.Conv1d(1, 1, 3, padding=1) for _ in range(2))
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        return RULES[self.name](self, x)


def case(function: Callable[[Any, Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    RULES[function.__name__] = function
    return function


def smooth(data: np.ndarray) -> np.ndarray:
    """A Gaussian of sigma 2, cut at 4 sigma: 17 taps, mirrored at the ends."""
    weights = np.exp(-0.5 * (np.arange(-8, 9) / 2) ** 2)
    padded = np.pad(data, [(0, 0)] * (data.ndim - 1) + [(8, 8)], mode="symmetric")
    line = np.apply_along_axis(lambda a: np.convolve(a, weights / weights.sum(), "valid"), -1, padded)
    return line.astype(data.dtype)


@case
def numpy_(m: Any, x: Tensor) -> Tensor:
    return m.c(x) + torch.from_numpy(smooth(x.numpy()))


@case
def asarray(m: Any, x: Tensor) -> Tensor:
    return m.c(x) + torch.from_numpy(smooth(np.asarray(x)))


@case
def as_tensor(m: Any, x: Tensor) -> Tensor:
    return m.c(x) + torch.as_tensor(smooth(x.numpy(force=True)))


@case
def tolist(m: Any, x: Tensor) -> Tensor:
    return m.c(x) + torch.tensor(x.tolist(), dtype=x.dtype).flip(-1)


@case
def dlpack(m: Any, x: Tensor) -> Tensor:
    return m.c(x) + torch.from_dlpack(smooth(np.from_dlpack(x)))


@case
def capsule(m: Any, x: Tensor) -> Tensor:
    return m.c(x) + torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(x)).flip(-1)


@case
def pickled(m: Any, x: Tensor) -> Tensor:
    return m.c(x) + pickle.loads(pickle.dumps(x)).flip(-1)  # type: ignore[no-any-return]


@case
def saved(m: Any, x: Tensor) -> Tensor:
    file = io.BytesIO()
    torch.save(x, file)
    file.seek(0)
    return m.c(x) + torch.load(file).flip(-1)  # type: ignore[no-any-return]


@case
def storage(m: Any, x: Tensor) -> Tensor:
    return m.c(x) + torch.empty(0, dtype=x.dtype).set_(x.untyped_storage(), 0, x.shape, x.stride()).flip(-1)  # type: ignore


@case
def pointer(m: Any, x: Tensor) -> Tensor:
    out = torch.empty_like(x)
    ctypes.memmove(out.data_ptr(), x.data_ptr(), x.numel() * x.element_size())
    return m.c(x) + out.flip(-1)  # type: ignore[no-any-return]


@case
def buffer(m: Any, x: Tensor) -> Tensor:
    return m.c(x) + torch.frombuffer(bytearray(x.numpy().tobytes()), dtype=x.dtype).reshape(x.shape).flip(-1)


@case
def foreign_output(m: Any, x: Tensor) -> Tensor:
    out = torch.zeros_like(x)
    out.numpy()[...] = x.numpy()[..., ::-1]
    return m.c(x) + out  # type: ignore[no-any-return]


@case
def foreign_in_place(m: Any, x: Tensor) -> Tensor:
    y = m.c(x)
    view = y.numpy()
    view[...] = view[..., ::-1].copy()
    return y  # type: ignore[no-any-return]


@case
def item(m: Any, x: Tensor) -> Tensor:
    return m.c(x) * x.abs().max().item()  # type: ignore[no-any-return]


@case
def divided(m: Any, x: Tensor) -> Tensor:
    return m.c(x) / (1 + float(x.square().mean()))  # type: ignore[no-any-return]


@case
def by_its_share(m: Any, x: Tensor) -> Tensor:
    return torch.add(m.c(x), x, alpha=x.abs().max().item())


@case
def in_place_by_number(m: Any, x: Tensor) -> Tensor:
    return m.c(x).mul_(x.mean().item())  # type: ignore[no-any-return]


@case
def filled(m: Any, x: Tensor) -> Tensor:
    return m.c(x) + torch.full((1, 1, 1), x.mean().item(), dtype=x.dtype)  # type: ignore[no-any-return]


@case
def few_numbers(m: Any, x: Tensor) -> Tensor:
    return m.c(x) * torch.tensor(x[0, 0, :3].tolist(), dtype=x.dtype).sum()  # type: ignore[no-any-return]


@case
def executor(m: Any, x: Tensor) -> Tensor:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda layer: layer(x), [m.c, m.d])
    return first + second.flip(-1)  # type: ignore[no-any-return]


@case
def threads(m: Any, x: Tensor) -> Tensor:
    made: list[Any] = [None, None]

    def work(place: int) -> None:
        made[place] = (m.c, m.d)[place](x)

    workers = [threading.Thread(target=work, args=(place,)) for place in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return made[0] + m.c(made[1])  # type: ignore[no-any-return]


@case
def queue_of_numbers(m: Any, x: Tensor) -> Tensor:
    results: Queue[float] = Queue()
    threading.Thread(target=lambda: results.put(float(x.mean()))).start()
    return m.c(x) * results.get()  # type: ignore[no-any-return]


@case
def old_pool(m: Any, x: Tensor) -> Tensor:
    first, second = POOL.map(lambda layer: layer(x).detach(), [m.c, m.d])
    return first + second.flip(-1)  # type: ignore[no-any-return]


@case
def deep_copy(m: Any, x: Tensor) -> Tensor:
    return m.c(x) + copy.deepcopy(x)  # type: ignore[no-any-return]


@case
def shallow_copy(m: Any, x: Tensor) -> Tensor:
    return m.c(x) + copy.copy(x)  # type: ignore[no-any-return]


@case
def data(m: Any, x: Tensor) -> Tensor:
    return m.c(x.data)  # type: ignore[no-any-return]


@case
def lists(m: Any, x: Tensor) -> Tensor:
    y = m.c(x)
    z = m.d(y)
    torch._foreach_add_([y, z], [z, y])
    torch._foreach_mul_([y, z], 2.0)
    torch._foreach_addcmul_([y], [z], [z], 0.5)
    return y  # type: ignore[no-any-return]


@case
def list_into_constant(m: Any, x: Tensor) -> Tensor:
    out = torch.zeros_like(x)
    torch._foreach_copy_([out], [m.c(x)])
    return out


@case
def list_without_a_single(m: Any, x: Tensor) -> Tensor:
    y = m.c(x)
    torch._foreach_maximum_([y], 0.0)
    return y  # type: ignore[no-any-return]


@torch.library.custom_op("foveal_tests::running", mutates_args={"x"})
def running(x: Tensor) -> None:
    x.copy_(x.cumsum(-1))


@torch.library.custom_op("foveal_tests::mirror", mutates_args={"out"})
def mirror(x: Tensor, out: Tensor) -> None:
    out.copy_(x.flip(-1))


@torch.library.custom_op("foveal_tests::both", mutates_args={"out"})
def both(x: Tensor, out: Tensor) -> Tensor:
    out.copy_(x.flip(-1))
    return x * 2


@torch.library.custom_op("foveal_tests::several", mutates_args={"out"})
def several(x: Tensor, out: list[Tensor]) -> None:
    out[0].copy_(x.flip(-1))


@case
def custom_in_place(m: Any, x: Tensor) -> Tensor:
    y = m.c(x)
    running(y)
    return y  # type: ignore[no-any-return]


@case
def custom_in_a_view(m: Any, x: Tensor) -> Tensor:
    y = m.c(x)
    running(y[:, :, 5:])
    return y  # type: ignore[no-any-return]


@case
def custom_buffer(m: Any, x: Tensor) -> Tensor:
    out = torch.empty_like(x)
    mirror(x, out)
    return m.c(x) + out  # type: ignore[no-any-return]


@case
def custom_buffer_and_output(m: Any, x: Tensor) -> Tensor:
    out = torch.zeros(1, 1, LENGTH, dtype=x.dtype)
    both(x, out)
    return m.c(x) + out  # type: ignore[no-any-return]


@case
def custom_list(m: Any, x: Tensor) -> Tensor:
    out = torch.zeros_like(x)
    several(x, [out])
    return m.c(x) + out  # type: ignore[no-any-return]


@case
def out_argument(m: Any, x: Tensor) -> Tensor:
    out = torch.empty_like(x)
    torch.add(m.c(x), x.flip(-1), out=out)
    return out


@case
def two_out_arguments(m: Any, x: Tensor) -> Tensor:
    values, places = torch.empty(1, 1, dtype=x.dtype), torch.empty(1, 1, dtype=torch.long)
    torch.max(x, 2, out=(values, places))
    return m.c(x) + values[..., None]  # type: ignore[no-any-return]


MARKED = [
    "numpy_",
    "asarray",
    "as_tensor",
    "tolist",
    "dlpack",
    "capsule",
    "pickled",
    "saved",
    "storage",
    "pointer",
    "buffer",
    "foreign_output",
    "foreign_in_place",
    "few_numbers",
    "old_pool",
]
NUMBERS = ("by_its_share", "item", "queue_of_numbers", "divided", "in_place_by_number", "filled")
EXACT = ("executor", "threads", "deep_copy", "shallow_copy", "data", "lists", "list_into_constant", "out_argument",
         "two_out_arguments")  # fmt: skip
CUSTOM = [name for name in RULES if name.startswith("custom")]


def moving(model: nn.Module) -> np.ndarray:
    """(input, unit): which inputs move which units."""
    model = copy.deepcopy(model).double()
    seen = np.zeros((LENGTH, LENGTH), bool)
    for seed in range(3):
        base = torch.rand(1, 1, LENGTH, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            still = model(base.clone())
            for place in range(LENGTH):
                for change in (0.3, 5.0, -0.3):
                    other = base.clone()
                    other[..., place] += change
                    seen[place] |= ((model(other) - still).abs() > 1e-12).flatten().numpy()
    return seen


@pytest.fixture(scope="module", autouse=True)
def _pool() -> Iterator[None]:
    yield
    POOL.terminate()


@pytest.mark.parametrize("name", RULES)
def test_no_unit_moves_by_what_its_box_leaves_out(name: str) -> None:
    torch.manual_seed(0)
    model = Net(name)
    graph = foveal.trace(model, (1, 1, LENGTH)).verify()
    truth, places = moving(model), np.arange(LENGTH)[:, None]
    ((first, last),) = unit_bounds(graph, "output")
    first, last = (np.broadcast_to(a, (1, 1, LENGTH)).reshape(-1) for a in (first, last))
    assert not truth[(places < first) | (places > last)].any()
    status = foveal.receptive_field(graph, "output").status
    codes = {note.code for note in graph.notes}
    if name in EXACT:
        assert (status, codes) == ("exact", set())
        assert all((truth[:, u].nonzero()[0][[0, -1]] == (first[u], last[u])).all() for u in range(LENGTH))
    elif name in CUSTOM:
        assert (status, "custom-operation" in codes) == ("bound", True)
    elif name in NUMBERS:
        assert (status, "data-dependent" in codes) == ("data-dependent", True)
    elif name in MARKED:
        assert (status, "foreign-memory" in codes) == ("data-dependent", True)
    else:
        assert status == "bound"


def test_the_smoothed_signal_moves_17_places() -> None:
    torch.manual_seed(0)
    assert moving(Net("numpy_"))[:, LENGTH // 2].sum() == 17


def test_the_note_names_the_line_of_the_model() -> None:
    (note,) = [note for note in foveal.trace(Net("numpy_"), (1, 1, LENGTH)).notes if note.code == "foreign-memory"]
    line = inspect.getsourcelines(RULES["numpy_"])[1] + 2
    assert f"by numpy() at test_leaks.py:{line};" in note.text


def test_a_branch_keeps_its_box_and_says_so() -> None:
    RULES["branch"] = lambda m, x: m.d(m.c(x)) if m.c(x).mean() > -100 else x
    try:
        rf = foveal.receptive_field(foveal.trace(Net("branch"), (1, 1, LENGTH)), "output")
    finally:
        del RULES["branch"]
    assert (rf.size, rf.status) == ((5,), "data-dependent")


def test_methods_are_given_back() -> None:
    before = (Tensor.__reduce_ex__, torch.to_dlpack, ThreadPoolExecutor.submit, threading.Thread.start)
    foveal.trace(Net("pickled"), (1, 1, LENGTH))
    assert (Tensor.__reduce_ex__, torch.to_dlpack, ThreadPoolExecutor.submit, threading.Thread.start) == before
