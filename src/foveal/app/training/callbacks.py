"""A watch told by three trainers when epochs begin and end; each takes what :class:`Watch` takes."""

from __future__ import annotations

import time
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from foveal.app.training.watch import Watch
from foveal.core.errors import FovealError


def lightning_callback(*layers: str, **how: Any) -> Any:
    """A callback for the Trainer of PyTorch Lightning (``lightning`` or ``pytorch_lightning``).

    It writes into the folder of the trainer's logger, or its default root, unless ``folder`` says otherwise.
    """
    base: Any = _trainer("lightning.pytorch", "pytorch_lightning").Callback

    class EffectiveField(base):  # type: ignore[misc]
        """See :func:`lightning_callback`."""

        def __init__(self, watch: Watch) -> None:
            self.watch, self.start = watch, 0.0

        def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
            if trainer.is_global_zero:
                folder = getattr(trainer.logger, "log_dir", None) or trainer.default_root_dir
                self.watch.begin(pl_module, folder, trainer.current_epoch)

        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            self.start = time.perf_counter()

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            if trainer.is_global_zero:
                self.watch.epoch(trainer.current_epoch + 1, time.perf_counter() - self.start)

        def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
            self.watch.ended()

    return EffectiveField(Watch(layers, **how))


def hugging_face_callback(*layers: str, **how: Any) -> Any:
    """A callback for the Trainer of transformers; it writes into its output folder unless ``folder`` says otherwise."""
    base: Any = _trainer("transformers").TrainerCallback

    class EffectiveField(base):  # type: ignore[misc]
        """See :func:`hugging_face_callback`."""

        def __init__(self, watch: Watch) -> None:
            self.watch, self.start = watch, 0.0

        def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            if state.is_world_process_zero:
                self.watch.begin(given["model"], args.output_dir, round(state.epoch or 0))

        def on_epoch_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            self.start = time.perf_counter()

        def on_epoch_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            if state.is_world_process_zero:
                self.watch.epoch(round(state.epoch), time.perf_counter() - self.start)

        def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            self.watch.ended()

    return EffectiveField(Watch(layers, **how))


def keras_callback(*layers: str, **how: Any) -> Any:
    """A callback for ``model.fit`` of Keras 3 on PyTorch or JAX; it writes into ``foveal-training`` unless ``folder``
    says otherwise.
    """
    from foveal.frontends.keras.callback import told

    watch = Watch(layers, **how)
    made = told(watch.begin, watch.epoch, watch.ended)
    made.watch = watch
    return made


def _trainer(*names: str) -> Any:
    """The first of these modules whose package is installed; raises FovealError where none is."""
    for name in names:
        if find_spec(name.partition(".")[0]) is not None:
            return import_module(name)
    packages = " or ".join(name.partition(".")[0] for name in names)
    raise FovealError(f"this callback needs a trainer that is not installed: pip install {packages}")
