"""A share of the training time, by hand."""

from __future__ import annotations

from foveal.app.training.checkpoints import epochs
from foveal.app.training.purse import Purse


def test_a_purse_keeps_to_its_share() -> None:
    """Measurements of one second at 1 %: after 100 s, 200 s and 300 s of training."""
    purse, measured = Purse(0.01, cost=1.0), []
    for epoch in range(1, 8):
        purse.trained += 50
        if purse.affords():
            measured.append(epoch)
            purse.pay(1.0)
            assert purse.taken <= 0.01
    assert measured == [2, 4, 6]


def test_without_a_share_all_is_afforded() -> None:
    assert Purse(None, cost=9.0).affords()
    assert Purse(0.01).taken == 0


def test_epochs_by_the_names_of_checkpoints() -> None:
    assert epochs(["run/epoch=3-step=90.ckpt", "run/epoch=10-step=300.ckpt"]) == [3, 10]
    assert epochs(["a/step_100.pt", "a/step_200.pt"]) == [100, 200]
    assert epochs(["best.pt", "last.pt"]) == [1, 2]
    assert epochs(["7/model1.pt", "8/model1.pt"]) == [1, 2]
