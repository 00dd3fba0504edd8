"""A share of the training time, and what was spent of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Purse:
    """share: of the training time that measurements may take, None for any. Times are in seconds."""

    share: float | None
    trained: float = 0.0
    spent: float = 0.0
    cost: float = 0.0
    """Of the last measurement."""

    def affords(self) -> bool:
        """Whether another measurement at the last one's cost stays within the share."""
        return self.share is None or self.spent + self.cost <= self.share * self.trained

    def pay(self, seconds: float) -> None:
        """A measurement took that long."""
        self.spent += seconds
        self.cost = seconds

    @property
    def taken(self) -> float:
        """Share of the training time that was spent; 0 before any."""
        return self.spent / self.trained if self.trained else 0.0
