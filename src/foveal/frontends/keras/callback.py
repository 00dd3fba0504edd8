"""A Keras callback that tells functions of the rooms above when training begins, when epochs end and when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras


def told(begin: Callable[[Any], None], epoch: Callable[[int, float], None], end: Callable[[], None]) -> Any:
    """begin gets the model, epoch the number of the epoch (1 the first) and its seconds."""

    class EffectiveField(keras.callbacks.Callback):  # type: ignore[misc]
        """See :func:`foveal.training.keras_callback`."""

        start = 0.0

        def on_train_begin(self, logs: Any = None) -> None:
            begin(self.model)

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.start = time.perf_counter()

        def on_epoch_end(self, number: int, logs: Any = None) -> None:
            epoch(number + 1, time.perf_counter() - self.start)

        def on_train_end(self, logs: Any = None) -> None:
            end()

    return EffectiveField()
