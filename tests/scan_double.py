"""Finished scans in memory, with everything that ``jaxmem.Scan`` offers: landscapes for figures, tables and the page."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np


class Axis(NamedTuple):
    path: str
    unit: str
    description: str
    scale: str
    low: float
    high: float
    levels: tuple[float, ...] | None = None
    times: str | None = None


class Output(NamedTuple):
    unit: str
    description: str
    dtype: Any = np.dtype(float)
    entries: int | None = None
    codes: dict[int, str] | None = None


STATUSES = {
    0: ("OK", "ok"),
    1: ("NO_REST", "no steady state was found"),
    2: ("NOT_FINITE", "a number was not finite"),
    3: ("DEPLETED", "an amount fell below zero"),
    90: ("ERROR", "the question raised an error at this point"),
}


@dataclasses.dataclass
class ScanDouble:
    axes: dict[str, Axis]
    outputs: dict[str, Output]
    columns: dict[str, np.ndarray]
    design: dict[str, Any]
    question: str = "Where does a cell rest as its leaks, its pump and its bath change?"
    path: str = "landscape.h5"
    regions: dict[str, str] = dataclasses.field(default_factory=dict)
    statuses: dict[int, tuple[str, str]] = dataclasses.field(default_factory=lambda: dict(STATUSES))
    experiment: str | None = None
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict)
    chunks: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    errors: dict[str, str] = dataclasses.field(default_factory=dict)
    kind: str = "rests"

    @property
    def points(self) -> int:
        return self.columns["status"].size

    @property
    def counts(self) -> dict[int, int]:
        return {int(c): int(n) for c, n in zip(*np.unique(self.columns["status"], return_counts=True), strict=True)}

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    def part(self, name: str, start: int, stop: int) -> np.ndarray:
        return self.columns[name][..., start:stop]

    def pieces(self, names: Sequence[str], size: int) -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, self.points, size):
            yield {name: self.part(name, start, start + size) for name in names}

    def grid(self, name: str) -> np.ndarray:
        return self[name].reshape([len(a.levels) for a in self.axes.values()])


EXPERIMENT = """question = "Where does a cell rest as its leaks, its pump and its bath change?"
membrane = { preset = "pump_leak" }

[scan]
ask = "rest"
design = "grid"   # <every> level with every other & no more
"""

PROVENANCE = {
    "created": "2026-05-04T11:12:13+00:00", "jaxmem": "0.1.0", "jax": "0.10.0", "jaxlib": "0.10.0", "numpy": "2.3.1",
    "h5py": "3.14.0", "python": "3.11.9", "git_revision": "0123456789abcdef0123456789abcdef01234567", "device": "cpu (2 cores)",
    "precision": "float64", "chunk": 8192, "executor": "in process", "seconds": 41.7, "wall_seconds": 48.2,
}  # fmt: skip

RATIO = Axis("na_leak.g", "1", "sodium leak as a fraction of the potassium leak", "log", 0.01, 0.5, None, "k_leak.g")
PUMP = Axis("pump.i_max", "uA/cm^2", "largest pump current", "log", 0.2, 20.0)
BATH = Axis("k.outside", "mM", "concentration outside", "linear", 2.0, 20.0)
KINDS = {0: "stable", 1: "oscillatory", 2: "unstable"}
OUTPUTS = {
    "v": Output("mV", "resting potential"),
    "na.inside": Output("mM", "concentration inside"),
    "atp_per_second": Output("1/s", "ATP molecules per second and cell"),
    "stability": Output("1", "how the rest answers a push", np.dtype(np.int32), None, KINDS),
    "iterations": Output("1", "steps of the search", np.dtype(np.int32)),
    "status": Output("1", "what became of the point", np.dtype(np.int32)),
}  # fmt: skip


def answers(ratio: np.ndarray, pump: np.ndarray, bath: np.ndarray) -> dict[str, np.ndarray]:
    """A plausible landscape: a chord potential, a pump that a large leak overruns, a corner without any rest."""
    na = 8.0 + 60.0 * ratio / np.sqrt(pump)
    e_k, e_na = 26.7 * np.log(bath / 140.0), 26.7 * np.log(145.0 / np.clip(na, 1.0, 140.0))
    v = (e_k + ratio * e_na - 3.0 * pump / (1 + pump)) / (1 + ratio)
    atp = 4e7 * ratio * (e_na - v) / 60.0
    status = np.zeros(ratio.shape, np.int32)
    status[ratio / pump > 0.5] = 1
    status[na > 60] = 3
    status[(bath > 18.0) & (pump > 14.0)] = 2
    bad = status != 0
    stability = np.where(v > -45, 2, np.where(v > -55, 1, 0)).astype(np.int32)
    iterations = (4 + 20 * np.abs(np.sin(40 * ratio)) * (1 + bad)).astype(np.int32)
    found = {"v": v, "na.inside": na, "atp_per_second": atp}
    return {n: np.where(bad, np.nan, x) for n, x in found.items()} | {
        "stability": stability, "iterations": iterations, "status": status
    }  # fmt: skip


def landscape(n: int = 30, **more: Any) -> ScanDouble:
    """A full grid over three axes with n levels each."""
    levels = [np.geomspace(0.01, 0.5, n), np.geomspace(0.2, 20, n), np.linspace(2, 20, n)]
    axes = {
        name: axis._replace(levels=tuple(x))
        for name, axis, x in zip(("leak_ratio", "pump.i_max", "k.outside"), (RATIO, PUMP, BATH), levels, strict=True)
    }
    places = [x.ravel() for x in np.meshgrid(*levels, indexing="ij")]
    columns = dict(zip(axes, places, strict=True)) | answers(*places)
    size = max(n**3 // 12, 1)
    starts = np.arange(0, n**3, size)
    given = {
        "regions": {"rests well": "v between -72 mV and -68 mV and atp_per_second < 2e7"},
        "experiment": EXPERIMENT,
        "provenance": dict(PROVENANCE),
        "chunks": {"start": starts, "seconds": 3.0 + np.sin(starts)},
    }
    return ScanDouble(axes, dict(OUTPUTS), columns, {"kind": "grid", "shape": [n] * 3}, **(given | more))


def single(n: int = 40, **more: Any) -> ScanDouble:
    """One axis."""
    pump = np.geomspace(0.2, 20, n)
    columns = {"pump.i_max": pump} | answers(np.full(n, 0.2), pump, np.full(n, 4.0))
    axes = {"pump.i_max": PUMP._replace(levels=tuple(pump))}
    return ScanDouble(axes, dict(OUTPUTS), columns, {"kind": "grid", "shape": [n]}, **more)


def scattered(points: int = 5000, seed: int = 3, **more: Any) -> ScanDouble:
    """Random points in six dimensions, three of which do nothing."""
    random = np.random.default_rng(seed)
    axes = {"leak_ratio": RATIO, "pump.i_max": PUMP, "k.outside": BATH}
    axes |= {f"idle_{i}.g": Axis(f"idle_{i}.g", "mS/cm^2", "conductance", "linear", 0.0, 1.0) for i in range(3)}
    columns = {name: _between(axis, random.random(points)) for name, axis in axes.items()}
    columns |= answers(*(columns[name] for name in list(axes)[:3]))
    return ScanDouble(axes, dict(OUTPUTS), columns, {"kind": "random", "points": points, "seed": seed}, **more)


def _between(axis: Axis, u: np.ndarray) -> np.ndarray:
    if axis.scale == "log":
        return axis.low * (axis.high / axis.low) ** u
    return axis.low + (axis.high - axis.low) * u
