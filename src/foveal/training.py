"""The effective field while a network trains: callbacks for three trainers, and the watch behind them for any loop.

Each writes the effective size of chosen layers, epoch by epoch, as CSV and as TensorBoard's event files, and keeps to a
share of the training time (1 % unless told otherwise); docs/measured.md. A trainer is imported when its callback is
asked for, and only then.
"""

from __future__ import annotations

from foveal.app.training.callbacks import hugging_face_callback, keras_callback, lightning_callback
from foveal.app.training.watch import Watch

__all__ = ["Watch", "hugging_face_callback", "keras_callback", "lightning_callback"]
