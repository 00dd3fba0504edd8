"""What the reader must know, as a record that every room may make."""

from __future__ import annotations

from dataclasses import dataclass

SEVERITIES = ("info", "warning", "error")


@dataclass(frozen=True)
class Finding:
    """Something the reader must know. Severity: "info", "warning", "error"; layer: "" for the whole network."""

    code: str
    severity: str
    layer: str
    text: str

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity '{self.severity}' is none of {', '.join(SEVERITIES)}")
