"""What is worth telling of a finished scan: how its outputs spread, which axes matter to them, who failed, who took long."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from jaxmem.study.scanning.dependence import DESIGN
from jaxmem.study.scanning.maps import Map, Marginal, marginal, pairwise
from jaxmem.study.scanning.points import OK, PIECE, numbers, words_of
from jaxmem.study.scanning.sensitivity import Sensitivity, sensitivity

MAIN = 3  # outputs that are drawn over the axes
ALONG = 6  # axes that an output is drawn along
GATHERED = 2**22  # numbers of an output that are held at a time; of more, a random choice
USUAL = ("v", "resting_potential", "spike_count", "firing_rate", "atp_per_second")  # told before others
MEANS = ("status", "residual", "iterations", "steps", "cost", "failed_at")  # how an answer was found, not what it is
OF_FAILED = ("failed_at",)  # numbers that failed points have, and no others
EFFORT = ("iterations", "steps")  # what a point took


@dataclasses.dataclass(frozen=True)
class Spread:
    """An output over the points that have it: those with an answer, of ``failed_at`` those that failed.

    ``count`` points have a number; of those numbers ``lowest``, ``low`` (5 %), ``median``, ``high`` (95 %), ``highest``,
    all NaN where there is none. ``values``: the numbers, sorted, or a random choice of ``sampled`` of them, which the
    quantiles are from. ``entries``: how many numbers a point may have, None for one. ``words``: points by word, of an
    output of codes.
    """

    name: str
    unit: str
    description: str
    count: int
    lowest: float
    low: float
    median: float
    high: float
    highest: float
    values: np.ndarray
    sampled: int | None = None
    entries: int | None = None
    words: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def varies(self) -> bool:
        return self.count > 0 and self.lowest < self.highest

    @property
    def logarithmic(self) -> bool:
        """Whether the numbers are better told apart on a logarithmic scale."""
        return self.count > 0 and self.lowest > 0 and self.high > 30 * self.low


def fate(name: str, reason: str, both: str = "{}: {}") -> str:
    """What became of a point in words: the name of its status and the reason, which alone is enough where it begins so."""
    word = name.lower().replace("_", " ")
    return reason if reason.lower().startswith(word) else both.format(word, reason)


def spread_of(scan: Any, name: str) -> Spread:
    """The spread of one output; reads it piece by piece."""
    output, random = scan.outputs[name], np.random.default_rng(0)
    total = scan.points * (output.entries or 1)
    kept, count, lowest, highest = [], 0, np.inf, -np.inf
    words = dict.fromkeys(words_of(scan, name), 0)
    for piece in scan.pieces((name, "status"), max(PIECE // (output.entries or 1), 1)):
        ok = piece["status"] == OK
        if words:
            for code, n in zip(*np.unique(piece[name][ok], return_counts=True), strict=True):
                words[int(code)] = words.get(int(code), 0) + int(n)
        x = _good(piece[name], (ok if name in OF_FAILED else ~ok).astype(int), output.entries)
        there = np.isfinite(x)
        count += int(np.sum(there.any(0) if output.entries else there))
        x = x[there]
        if x.size:
            lowest, highest = min(lowest, float(x.min())), max(highest, float(x.max()))
        kept.append(x if total <= GATHERED else x[random.random(x.size) < GATHERED / total])
    values = np.sort(np.concatenate(kept)) if kept else np.zeros(0)
    at = np.quantile(values, (0.05, 0.5, 0.95)) if values.size else (np.nan,) * 3
    low, median, high = map(float, at)
    ends = (lowest, highest) if count else (np.nan, np.nan)
    told = words_of(scan, name)
    return Spread(
        name, output.unit, output.description, count, ends[0], low, median, high, ends[1], values,
        sampled=values.size if total > GATHERED else None, entries=output.entries,
        words={told.get(code, str(code)): n for code, n in words.items()},
    )  # fmt: skip


def _good(x: np.ndarray, status: np.ndarray, entries: int | None) -> np.ndarray:
    return np.stack([numbers(row, status) for row in x]) if entries else numbers(x, status)


class Digest:
    """A scan with what figures and tables of it share; each number is found once, when it is asked for."""

    def __init__(self, scan: Any):
        self.scan = scan
        self._marginals: dict[tuple[str, str], Marginal] = {}

    @property
    def failed(self) -> int:
        return self.scan.points - int(self.scan.counts.get(OK, 0))

    @functools.cached_property
    def statuses(self) -> list[tuple[int, str, str, int]]:
        """(code, NAME, reason, points): the good ones, then those that occur, the most frequent first."""
        counts = {OK: 0} | {int(c): int(n) for c, n in self.scan.counts.items()}
        order = sorted((c for c in counts if c == OK or counts[c]), key=lambda c: (c != OK, -counts[c], c))
        words = {int(c): w for c, w in self.scan.statuses.items()}
        return [(c, *words.get(c, (f"STATUS_{c}", "no reason is known")), counts[c]) for c in order]

    @functools.cached_property
    def spreads(self) -> dict[str, Spread]:
        """Every output but the status: those that a region names or that are usually asked for first."""
        names = [n for n in self.scan.outputs if n != "status"]
        asked = " ".join(map(str, self.scan.regions.values())).split()
        rank = lambda n: (n in MEANS, n not in asked, USUAL.index(n) if n in USUAL else len(USUAL))
        return {name: spread_of(self.scan, name) for name in sorted(names, key=rank)}

    @functools.cached_property
    def listed(self) -> list[Spread]:
        """The spreads that tables show: all but those of how an answer was found where no point has them."""
        return [s for s in self.spreads.values() if s.count or s.name not in MEANS]

    @functools.cached_property
    def main(self) -> tuple[str, ...]:
        """The outputs that are drawn over the axes: numbers that differ between points, one per point."""
        able = [s for s in self.spreads.values() if s.count and not s.entries and not s.words and s.name not in MEANS]
        return tuple(s.name for s in ([s for s in able if s.varies] or able)[:MAIN])

    @functools.cached_property
    def axes(self) -> tuple[str, ...]:
        """The axes that differ between points."""
        return tuple(n for n, a in self.scan.axes.items() if a.levels is None or len(a.levels) > 1)

    @functools.cached_property
    def sensitivity(self) -> dict[str, Sensitivity]:
        """Sobol indices of the main outputs that vary, where there are axes to tell apart."""
        names = [name for name in self.main if self.spreads[name].varies]
        return sensitivity(self.scan, names) if names and len(self.axes) > 1 else {}

    @functools.cached_property
    def indices(self) -> dict[str, Sensitivity]:
        """Those of the sensitivities that are shown: with numbers, of axes that the design lets vary by themselves."""
        return {n: s for n, s in self.sensitivity.items() if s.dependent != DESIGN and np.isfinite(s.first).any()}

    @functools.cached_property
    def unsaid(self) -> dict[str, list[str]]:
        """The outputs whose sensitivity is not shown, by the reason."""
        found: dict[str, list[str]] = {}
        for name, s in self.sensitivity.items():
            if name not in self.indices:
                why = "the axes depend on each other" if s.dependent == DESIGN else "too few points have it"
                found.setdefault(why, []).append(name)
        return found

    def along(self, name: str) -> dict[str, Marginal]:
        """An output of numbers along each axis, the axis that decides most first."""
        for axis in self.axes:
            if (axis, name) not in self._marginals:
                self._marginals[axis, name] = marginal(self.scan, axis, name)
        found = {axis: self._marginals[axis, name] for axis in self.axes}
        return dict(sorted(found.items(), key=lambda item: -self.weight(item[1])))

    def weight(self, m: Marginal) -> float:
        """How much of an output an axis decides: its total index, or its first-order one, or the share of the variance
        that lies between the places along it (0 where nothing varies).
        """
        if (known := self.indices.get(m.name)) is not None:
            i = known.axes.index(m.bins.axis)
            index = (known.first if known.total is None else known.total)[i]
            if np.isfinite(index):
                return float(index)
        there = m.count > 0
        if not there.any():
            return 0.0
        spread, share = self.spreads[m.name], m.count[there] / m.count[there].sum()
        centre = float(np.sum(share * m.mean[there]))
        between = float(np.sum(share * (m.mean[there] - centre) ** 2))
        whole = float(np.var(spread.values))
        return min(between / whole, 1.0) if whole > 0 else 0.0

    def pair(self, name: str | None) -> tuple[str, str] | None:
        """The two axes that decide most of an output, in the order of the design, so that all maps of two axes lie the same
        way round; None where there is one axis.
        """
        if len(self.axes) < 2:
            return None
        return self._as_designed(list(self.along(name)) if name in self.main else list(self.axes))

    def _as_designed(self, order: list[str]) -> tuple[str, str]:
        x, y = sorted(order[:2], key=self.axes.index)
        return x, y

    @functools.cached_property
    def maps(self) -> list[Map]:
        """Each main output over its pair of axes; of a scan in which all failed, what became of the points."""
        if (first := self.pair(None)) is None:
            return []
        if not self.main:
            return [pairwise(self.scan, *first, "status")]
        return [pairwise(self.scan, *self._pair(name), name) for name in self.main]

    @functools.cached_property
    def fates(self) -> Map | None:
        """What became of the points, over the two axes along which the share of failed ones differs most."""
        if not self.failed or not self.main or len(self.axes) < 2:
            return None

        def differs(m: Marginal) -> float:
            there = m.points > 0
            share = m.points[there] / m.points[there].sum()
            return float(np.sum(share * (m.failed[there] - np.sum(share * m.failed[there])) ** 2))

        order = sorted(self.along(self.main[0]).values(), key=lambda m: -differs(m))
        return pairwise(self.scan, *self._as_designed([m.bins.axis for m in order]), "status")

    def _pair(self, name: str) -> tuple[str, str]:
        found = self.pair(name)
        assert found is not None
        return found

    # ------------------------------------------------------------------ single points
    def examples(self, most: int) -> dict[int, list[int]]:
        """The first few points of each status that is not good, by code."""
        found: dict[int, list[int]] = {code: [] for code, *_ in self.statuses if code != OK}
        for start, status in self._statuses():
            for code, mine in found.items():
                if len(mine) < most:
                    mine += (start + np.flatnonzero(status == code)[: most - len(mine)]).tolist()
            if all(len(mine) >= min(most, self.scan.counts[code]) for code, mine in found.items()):
                break
        return {code: mine for code, mine in found.items() if mine}

    def _statuses(self) -> Iterator[tuple[int, np.ndarray]]:
        start = 0
        for piece in self.scan.pieces(("status",), PIECE):
            yield start, piece["status"]
            start += len(piece["status"])

    @functools.cached_property
    def effort(self) -> str | None:
        """The output that says what a point took."""
        return next((n for n in EFFORT if n in self.scan.outputs and not self.scan.outputs[n].entries), None)

    def slowest_points(self, most: int) -> list[tuple[int, float]]:
        """(point, effort) of those that took most, failed ones among them; nothing where no output tells."""
        if self.effort is None:
            return []
        best: list[tuple[float, int]] = []
        start = 0
        for piece in self.scan.pieces((self.effort,), PIECE):
            x = np.nan_to_num(np.asarray(piece[self.effort], float), nan=-np.inf)
            top = np.argsort(-x, kind="stable")[:most]
            best = sorted(best + [(-float(x[i]), start + int(i)) for i in top])[:most]
            start += len(x)
        return [(i, -x) for x, i in best if np.isfinite(x)]

    def slowest_chunks(self, most: int) -> list[tuple[int, int, float]]:
        """(start, stop, seconds) of the chunks that took longest."""
        starts, seconds = (np.asarray(self.scan.chunks.get(k, ()), float) for k in ("start", "seconds"))
        stops = np.append(starts[1:], self.scan.points)
        order = np.argsort(-seconds, kind="stable")[:most]
        return [(int(starts[i]), int(stops[i]), float(seconds[i])) for i in order if np.isfinite(seconds[i])]

    def places(self, points: Iterable[int]) -> dict[int, dict[str, float]]:
        """The axes' values at some points."""
        at = lambda name, i: float(self.scan.part(name, i, i + 1)[0])
        return {i: {name: at(name, i) for name in self.scan.axes} for i in points}
