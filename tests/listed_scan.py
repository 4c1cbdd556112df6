"""A finished scan in memory: a test double with what sensitivity, regions, maps and tables ask of ``jaxmem.Scan``."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

FLOAT = np.dtype(float)


@dataclasses.dataclass(frozen=True)
class ListedAxis:
    unit: str = "1"
    description: str = "an axis"
    scale: str = "linear"
    low: float | None = None
    high: float | None = None
    levels: tuple[float, ...] | None = None
    path: str = ""


@dataclasses.dataclass(frozen=True)
class ListedOutput:
    unit: str = "1"
    description: str = "an output"
    dtype: np.dtype = FLOAT
    entries: int | None = None
    codes: dict[int, str] | None = None


@dataclasses.dataclass(frozen=True)
class ListedScan:
    axes: dict[str, ListedAxis]
    values: dict[str, np.ndarray]
    outputs: dict[str, ListedOutput] = dataclasses.field(default_factory=dict)
    design: dict[str, Any] = dataclasses.field(default_factory=lambda: {"kind": "random"})
    statuses: dict[int, tuple[str, str]] = dataclasses.field(
        default_factory=lambda: {0: ("OK", "ok"), 1: ("NO_REST", "no steady state was found")}
    )
    question: str = "What if?"
    path: str = "listed.h5"
    regions: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        n = self.points
        self.values.setdefault("status", np.zeros(n, np.int32))
        self.outputs.setdefault(
            "status",
            ListedOutput(
                description="what became of the point",
                dtype=np.dtype(np.int32),
                codes={code: name for code, (name, _) in self.statuses.items()},
            ),
        )
        for name, x in self.values.items():
            if name not in self.axes:
                self.outputs.setdefault(name, ListedOutput(dtype=x.dtype))
            assert x.shape[-1] == n

    @property
    def points(self) -> int:
        return int(next(iter(self.values.values())).shape[-1])

    @property
    def counts(self) -> dict[int, int]:
        return {int(c): int(n) for c, n in zip(*np.unique(self.values["status"], return_counts=True), strict=True)}

    def __getitem__(self, name: str) -> np.ndarray:
        return self.values[name]

    def part(self, name: str, start: int, stop: int) -> np.ndarray:
        return self.values[name][..., start:stop]

    def pieces(self, names: Sequence[str], size: int) -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, self.points, size):
            yield {name: self.part(name, start, start + size) for name in names}


def listed(axes: Sequence[str] | dict[str, ListedAxis], values: dict[str, Any], **more: Any) -> ListedScan:
    """A scan of these columns; axes by name are linear between their least and greatest value."""
    columns = {name: np.asarray(x) for name, x in values.items()}
    known = (
        axes
        if isinstance(axes, dict)
        else {name: ListedAxis(low=float(columns[name].min()), high=float(columns[name].max())) for name in axes}
    )
    return ListedScan(known, columns, **more)
