"""Callbacks in the real trainers on a tiny run: CSV and TensorBoard's files read back, the training left as it was."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import foveal
from foveal.fields.measured.measure import Settings, measure
from foveal.training import Watch, hugging_face_callback, keras_callback, lightning_callback
from support.needs import needs

# What the trainers warn of is theirs.
pytestmark = pytest.mark.filterwarnings("ignore")
EPOCHS, RATE = 3, 0.3
IMAGES = torch.randn(32, 1, 12, 12, generator=torch.Generator().manual_seed(0))
LABELS = (IMAGES[:, 0, :, :6].mean((1, 2)) > 0).long()
HOW = {"images": IMAGES[:4], "count": 4, "share": None}


def network() -> nn.Sequential:
    torch.manual_seed(1)
    convolutions = [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


def with_lightning(folder: Path, watched: bool) -> tuple[nn.Module, str, Any]:
    pl = needs("lightning.pytorch", "lightning")

    class Learner(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x)

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), RATE)

    model, callback = Learner(), lightning_callback("net.2", **HOW)
    trainer = pl.Trainer(
        max_epochs=EPOCHS, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder, callbacks=[callback] if watched else [],
    )  # fmt: skip
    torch.manual_seed(2)
    data = torch.utils.data.TensorDataset(IMAGES, LABELS)
    trainer.fit(model, torch.utils.data.DataLoader(data, 8, shuffle=True))
    return model, "net.2", callback


def with_hugging_face(folder: Path, watched: bool) -> tuple[nn.Module, str, Any]:
    needs("accelerate")
    transformers = needs("transformers")

    class Learner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, pixels: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
            logits = self.net(pixels)
            found = {} if labels is None else {"loss": nn.functional.cross_entropy(logits, labels)}
            return {**found, "logits": logits}

    model, callback = Learner(), hugging_face_callback("net.2", **HOW)
    how = transformers.TrainingArguments(
        folder, num_train_epochs=EPOCHS, learning_rate=0.05, report_to=[], disable_tqdm=True, use_cpu=True,
        save_strategy="no", per_device_train_batch_size=8,
    )  # fmt: skip
    data = [{"pixels": x, "labels": y} for x, y in zip(IMAGES, LABELS)]
    transformers.Trainer(model, how, train_dataset=data, callbacks=[callback] if watched else []).train()
    return model, "net.2", callback


def with_keras(folder: Path, watched: bool) -> tuple[Any, str, Any]:
    os.environ.setdefault("KERAS_BACKEND", "torch")  # other tests load Keras in processes of their own
    keras = needs("keras")
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Conv2D(4, 3, name=name, activation="relu") for name in ("first", "second")]
    head = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((12, 12, 1)), *layers, *head])
    model.compile(keras.optimizers.SGD(RATE), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    how = HOW | {"images": HOW["images"].permute(0, 2, 3, 1)}
    callback = keras_callback("second", folder=folder, **how)
    x = IMAGES.permute(0, 2, 3, 1).numpy()
    model.fit(x, LABELS.numpy(), 8, EPOCHS, verbose=0, callbacks=[callback] if watched else [])
    return model, "second", callback


def numbers(model: Any) -> list[Any]:
    if isinstance(model, nn.Module) and hasattr(model, "net"):
        return [item.detach().tolist() for item in model.parameters()]
    return [item.tolist() for item in model.get_weights()]


@pytest.mark.parametrize("train", [with_lightning, with_hugging_face, with_keras])
def test_a_tiny_run(train: Callable[[Path, bool], tuple[Any, str, Any]], tmp_path: Path) -> None:
    model, layer, callback = train(tmp_path / "a", True)
    with (tmp_path / "a" / "effective.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["layer"], row["rf"]) for row in rows] == [(str(n), layer, "5.0") for n in range(4)]
    assert len({row["sigma"] for row in rows}) == 4, "the network changed, and so did its field"

    images = callback.watch.images
    fresh = foveal.trace(model, (1, *images.shape[1:]))
    known = measure(fresh, layer, images=images, settings=Settings(batch=4))[0].intervals
    assert float(rows[-1]["sigma"]) == pytest.approx(known["sigma"].value, rel=1e-5)
    assert float(rows[-1]["side_90"]) == known["side_90"].value

    assert events(tmp_path / "a", f"effective_side/{layer}") == [
        (int(row["epoch"]), pytest.approx(float(row["effective_side"]))) for row in rows
    ]
    assert [step for step, _ in events(tmp_path / "a", "foveal/share_of_time")] == [0, 1, 2, 3]
    assert "after 3 of 3 epochs" in str(callback.watch)
    assert "% of the training time" in str(callback.watch)

    alone, _, _ = train(tmp_path / "b", False)
    assert numbers(alone) == numbers(model), "watched or not, the training is the same to the last bit"
    assert not (tmp_path / "b" / "effective.csv").exists()


def events(folder: Path, tag: str) -> list[tuple[int, float]]:
    """Step and number of each event of a tag, as TensorBoard reads them."""
    needs("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return [(event.step, event.value) for event in found.Scalars(tag)]


def test_a_watch_in_a_loop_of_ones_own(tmp_path: Path) -> None:
    """An epoch of a second cannot afford what takes longer than a hundredth of it; one of a day can."""
    model = network()
    watch = Watch("2", images=IMAGES, count=2, folder=tmp_path)
    watch.begin(model)
    watch.purse.cost = 0.5
    watch.epoch(1, 1.0)
    watch.epoch(2, 86400.0)
    assert [line.epoch for line in watch.lines] == [0, 2]
    assert "after 1 of 2 epochs, 1 would have taken more than 1 %" in str(watch)
    with torch.no_grad():
        model[0].weight[:] = float("nan")
    spent = watch.purse.spent
    watch.epoch(3, 86400.0)
    assert watch.purse.spent > spent  # what failed took time too
    assert "1 could not be measured" in str(watch)
    with pytest.raises(foveal.core.errors.FovealError, match="nowhere"):
        Watch("nowhere", images=IMAGES).begin(model)
    with pytest.raises(foveal.core.errors.FovealError, match="inputs="):
        Watch("2")
