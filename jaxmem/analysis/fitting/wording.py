"""Directions of parameter space in words: ratios, products, what moves together, and how far it may."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxmem.analysis.fitting.subspaces import Direction, sparse_basis

if TYPE_CHECKING:
    from jaxmem.analysis.fitting.identifiability import Identifiability

MOST = 0.5  # of the cells, for a sentence to be said
LOOKED_AT = 200  # cells, evenly spaced, in which ratios and products are looked for
SLOPPY = math.log(2.0)  # of a logarithm, or of the width of a linear parameter's bounds, within one standard deviation
SLOPPY_WIDTH = 0.25
SHOWN = 0.3  # of the largest part of a sloppy direction, the smallest that is told
DUST = 5e-3  # of the largest exponent of a product, the smallest that is told
PARALLEL = 1e-4  # angle between rows that say the same
MOST_ROWS = 20  # above these, rows are samples of a trace and not compared in words


def told(found: "Identifiability") -> list[str]:
    """Sentences on a population as a whole, each with the number of cells that it is true of where that is not all."""
    targets = found.of_targets
    known = int(np.count_nonzero(found.told_of))
    if not known:
        return ["Nothing is known of what the targets fix: no cell has derivatives."]
    idle = _idle(targets)
    sentences = [s for path, count in idle.items() if (s := _idle_told(path, count, known))]
    out = {path for path, count in idle.items() if count > MOST * known}
    sentences += _fixed_told(found, targets, known, out)
    sentences += _sloppy_told(found)
    sentences += _silent_rows(targets, known)
    return sentences


# ------------------------------------------------------------------ which parameters and directions
def _cells(found: "Identifiability") -> tuple[np.ndarray, np.ndarray]:
    """(cells, rows, free) scaled derivatives and (cells, free, free) unseen projectors of the cells that are known."""
    n = len(found.free)
    flat = found.scaled.reshape(-1, *found.scaled.shape[-2:])[found.told_of.reshape(-1)]
    return flat, found.seen.unseen.reshape(-1, n, n)[found.told_of.reshape(-1)]


def _measured(targets: "Identifiability") -> np.ndarray:
    """(cells, rows of targets) bool: what was measured in the cells that are known."""
    rows, known = len(targets.rows), targets.told_of.reshape(-1)
    if targets.measured is None:
        return np.ones((int(known.sum()), rows), bool)
    return targets.measured.reshape(rows, -1)[:, known].T


def _idle(targets: "Identifiability") -> dict[str, int]:
    """How many cells have targets that a parameter does not change."""
    alive = targets.seen.alive.reshape(-1, len(targets.free))[targets.told_of.reshape(-1)]
    return dict(zip(targets.free, (~alive).sum(0).tolist(), strict=True))


def _idle_told(path: str, count: int, known: int) -> str | None:
    return f"{path} changes none of the targets{among(count, known)}." if count > MOST * known else None


def _fixed_told(found: "Identifiability", targets: "Identifiability", known: int, idle: set[str]) -> list[str]:
    rank = targets.rank[found.told_of]
    most = int(np.bincount(rank).argmax())
    count = int((rank == most).sum())
    names, n = list(targets.free), len(targets.free)
    there = _measured(targets)[rank == most]
    shown = [row for row, share in zip(targets.rows, there.mean(0), strict=True) if share > MOST] or list(targets.rows)
    what = measured(shown)
    if most == 0:
        return [] if len(idle) == n else [f"{what} fixes none of the {n} parameters{among(count, known)}."]
    alone = " alone" if len(set(_subjects(shown))) == 1 else ""
    verb = "fix" if " and " in what else "fixes"
    if most == n:
        if n == 1:
            return [f"{names[0]} is fixed by {what}{among(count, known)}, {_error(targets, names[0])}."]
        loose = [p for p in names if _spread(targets, p) > _width(targets, p)]
        if loose:
            tight = [p for p in names if p not in loose]
            are = "is" if len(tight) == 1 else "are"
            firm = f"{joined(tight)} {are} fixed by {what}{among(count, known)}; " if tight else ""
            return [f"{firm}{what} {verb} {joined(loose)} no better than the bounds do."]
        every = "Both" if n == 2 else f"All {n}"
        return [f"{every} parameters are fixed by {what}{among(count, known)}; {_least_certain(targets)}."]

    flat, unseen = _cells(targets)
    same = rank == most
    flat, unseen = flat[same], unseen[same]
    typical = unseen[_typical(flat, most)]
    some = unseen[np.unique(np.linspace(0, len(unseen) - 1, LOOKED_AT).astype(int))]
    logarithmic = np.array([f.scale == "log" for f in targets.free.values()])
    eye = np.eye(n)
    free = sparse_basis(some, typical, n - most, logarithmic, targets.rounding)
    fixed = sparse_basis(eye - some, eye - typical, most, logarithmic, targets.rounding)
    units = np.median(targets.units.reshape(n, -1), -1)
    covariance = targets.seen.covariance.reshape(-1, n, n)[targets.told_of.reshape(-1)][same][_typical(flat, most)]
    kept = joined([combination(d, names, logarithmic) + _certainty(d, covariance, logarithmic) for d in fixed])
    exponents = "" if all(d.whole for d in fixed) else " (exponents of a typical one)"
    rows = len(shown)
    few = f"{counted(n, 'parameter')} for {counted(rows, 'target')}: " if rows < n else ""
    sentences = [f"{few}{what}{alone} {verb} {most} of {n} directions{among(count, known)}: {kept}{exponents}."]
    moves = [movement(d, names, logarithmic, units) for d in free if not _is_idle(d, names, idle)]
    more = found.rank[found.told_of][same] - most - found.pooled
    by_prior = int(np.median(more)) if len(more) else 0
    if moves and by_prior == 0:
        sentences.append(f"Free: {'; '.join(moves)}.")
    elif by_prior:
        rest = f"{counted(by_prior, 'more direction')} {'is' if by_prior == 1 else 'are'} fixed by priors only"
        left = n - most - by_prior
        nothing = "" if not left else f", {left} by nothing"
        sentences.append(
            f"{rest}{nothing}; without priors, free: {'; '.join(movement(d, names, logarithmic, units) for d in free)}."
        )
    told_already = {names[np.flatnonzero(d.vector)[0]] for d in fixed if _is_alone(d)}
    own = [p for p, x in targets.identified.items() if x[found.told_of].mean() > MOST and p not in told_already]
    if (whole := int((rank == n).sum())) and whole < known:
        sentences.append(f"In {whole} of {known} fits all {n} parameters are fixed.")
    if own:
        sentences.append(f"Fixed by itself: {joined([f'{p}, {_error(targets, p)}' for p in own])}.")
    return sentences


def _certainty(direction: Direction, covariance: np.ndarray, logarithmic: np.ndarray) -> str:
    """The standard error of a product of powers, in the typical cell."""
    if not (direction.whole and logarithmic[direction.vector != 0].all()):
        return ""
    return f" (x/÷ {factor(math.sqrt(direction.vector @ covariance @ direction.vector))})"


def _is_idle(direction: Direction, names: Sequence[str], idle: set[str]) -> bool:
    return all(names[i] in idle for i in np.flatnonzero(direction.vector).tolist())


def _typical(flat: np.ndarray, rank: int) -> int:
    """The cell in the middle of all, by the least certain of what is fixed."""
    weakest = np.linalg.svd(flat, compute_uv=False)[:, rank - 1]
    return int(np.argsort(weakest, kind="stable")[(len(weakest) - 1) // 2])


def _least_certain(found: "Identifiability") -> str:
    wide = {path: _spread(found, path) for path in found.free}
    path = max(wide, key=lambda p: wide[p])
    return f"the least certain is {path}, {_error(found, path)}"


def _spread(found: "Identifiability", path: str) -> float:
    """The median standard error, in units that compare parameters."""
    i = list(found.free).index(path)
    error = (found.standard_errors[path] / found.units[i])[found.told_of]
    error = error[np.isfinite(error)]
    return float(np.median(error)) if error.size else 0.0


def _width(found: "Identifiability", path: str) -> float:
    """Between the bounds, in the same units."""
    f, i = found.free[path], list(found.free).index(path)
    return float(np.median(np.subtract(f.coordinate(f.high), f.coordinate(f.low)) / found.units[i]))


def _error(found: "Identifiability", path: str) -> str:
    error = found.standard_errors[path][found.told_of]
    error = error[np.isfinite(error)]
    middle = float(np.median(error)) if error.size else math.nan
    return f"x/÷ {factor(middle)}" if found.free[path].scale == "log" else f"± {middle:.3g}"


# ------------------------------------------------------------------ sloppy directions
def _sloppy_told(found: "Identifiability") -> list[str]:
    """The weakest direction of those that are fixed, where one standard deviation is a large change of a parameter."""
    rank = found.rank
    positive = rank[rank > 0]
    if not positive.size:
        return []
    most = int(np.bincount(positive).argmax())
    flat, _ = _cells(found)
    flat = flat[found.rank[found.told_of] == most]
    matrix = flat[_typical(flat, most)]
    _, values, turned = np.linalg.svd(matrix, full_matrices=False)
    change = turned[most - 1] / values[most - 1]  # of scaled coordinates, within one standard deviation
    names, n = list(found.free), len(found.free)
    logarithmic = np.array([f.scale == "log" for f in found.free.values()])
    if not (np.abs(change) > np.where(logarithmic, SLOPPY, SLOPPY_WIDTH)).any():
        return []
    change = np.where(np.abs(change) > SHOWN * np.abs(change).max(), change, 0.0)
    change = change * np.sign(change[np.argmax(np.abs(change))])
    units = np.median(found.units.reshape(n, -1), -1)
    widths = np.array([np.median(np.subtract(f.coordinate(f.high), f.coordinate(f.low))) for f in found.free.values()])
    moved = change != 0
    part = float((widths / units)[moved].min() / np.abs(change[moved]).max())  # of the change, what the bounds leave
    what = "the targets and priors" if found.jacobian.shape[0] > len(found.rows) else "the targets"
    step = change_told(change * min(part, 1.0), names, logarithmic, units)
    if part < 1.0:
        return [f"Sloppy: {step}, as far as bounds go, changes {what} by {part:.1g} sd (typically, linearly)."]
    return [f"Sloppy: {step} changes {what} by no more than one sd (typically, linearly)."]


# ------------------------------------------------------------------ rows
def _silent_rows(targets: "Identifiability", known: int) -> list[str]:
    """Targets that no parameter moves, and pairs of targets that say the same."""
    flat, _ = _cells(targets)
    if len(targets.rows) > MOST_ROWS:
        return []
    flat = flat[:, : len(targets.rows)]  # without what other cells say
    length = np.linalg.norm(flat, axis=-1)
    there = _measured(targets)
    still, total = ((length <= targets.rounding) & there).sum(0).tolist(), there.sum(0).tolist()
    sentences = [
        f"{row} is moved by no free parameter{among(c, known)}."
        for row, c, n in zip(targets.rows, still, total, strict=True)
        if n and c > MOST * n
    ]
    if targets.rank.max() <= 1:
        return sentences  # with one direction all say the same
    unit = flat / np.where(length > targets.rounding, length, np.inf)[..., None]
    alike = np.abs(np.abs(np.einsum("cri,csi->crs", unit, unit)) - 1.0) < PARALLEL**2
    for i, j in zip(*np.nonzero(np.triu(alike.sum(0) > MOST * known, 1)), strict=True):
        count = int(alike[:, i, j].sum())
        sentences.append(
            f"{targets.rows[i]} and {targets.rows[j]} say the same of the parameters{among(count, known)}."
        )
    return sentences


# ------------------------------------------------------------------ phrases
def combination(direction: Direction, names: Sequence[str], logarithmic: np.ndarray) -> str:
    """What is fixed when the sum of coordinates, weighted by this vector, is: ``the ratio k_leak.g : na_leak.g``."""
    vector, parts = _without_dust(direction)
    if len(parts) == 1:
        return names[parts[0]] if _is_alone(direction) else f"nearly {names[parts[0]]}"
    if not logarithmic[parts].all():
        return f"a combination of {joined([names[i] for i in parts])}"
    above, below = [i for i in parts if vector[i] > 0], [i for i in parts if vector[i] < 0]
    if len(above) == len(below) == 1 and vector[above[0]] == -vector[below[0]]:
        return f"the ratio {names[above[0]]} : {names[below[0]]}"
    power = lambda i: names[i] if (x := f"{abs(vector[i]):.2g}") == "1" else f"{names[i]}^{x}"
    top = " · ".join(map(power, above)) or "1"
    bottom = " · ".join(map(power, below))
    return top if not below else f"{top} / {bottom}" if len(below) == 1 else f"{top} / ({bottom})"


def movement(direction: Direction, names: Sequence[str], logarithmic: np.ndarray, units: np.ndarray) -> str:
    """Along a direction: ``k_leak.g and na_leak.g by the same factor``."""
    vector, parts = _without_dust(direction)
    if len(parts) == 1:
        return names[parts[0]] if _is_alone(direction) else f"{names[parts[0]]}, nearly by itself"
    if direction.whole and logarithmic[parts].all():
        up, down = [names[i] for i in parts if vector[i] > 0], [names[i] for i in parts if vector[i] < 0]
        if np.ptp(np.abs(vector[parts])) == 0:
            way = "" if not down else f" up and {joined(down)} down"
            return f"{joined(up)}{way} by the same factor"
        return " with ".join(f"{names[i]} {'x' if vector[i] > 0 else '÷'} {2 ** abs(int(vector[i]))}" for i in parts)
    logs = np.abs(vector[logarithmic & (vector != 0)])
    step = vector * (math.log(1.1) / logs.max() if logs.size else 0.01)
    return f"{change_told(step, names, logarithmic, units)} (typically)"


def change_told(step: np.ndarray, names: Sequence[str], logarithmic: np.ndarray, units: np.ndarray) -> str:
    """``k_leak.g x 1.10 with leak.e -0.95``; ``step`` in logarithms and widths of bounds, 0 where nothing is said."""
    parts = [
        f"{names[i]} {'x' if step[i] > 0 else '÷'} {factor(abs(step[i]))}" if logarithmic[i]
        else f"{names[i]} {step[i] * units[i]:+.3g}"
        for i in np.flatnonzero(step).tolist()
    ]  # fmt: skip
    return " with ".join(parts)


def _without_dust(direction: Direction) -> tuple[np.ndarray, list[int]]:
    """The vector without what is too small to be told, and where there is something."""
    vector = direction.vector
    if not direction.whole:
        vector = np.where(np.abs(vector) < DUST * np.abs(vector).max(), 0.0, vector)
    return vector, np.flatnonzero(vector).tolist()


def _is_alone(direction: Direction) -> bool:
    return np.count_nonzero(direction.vector) == 1


def among(count: int, known: int) -> str:
    return "" if count == known else f" (in {count} of {known} fits)"


def counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def factor(logarithm: float) -> str:
    """exp of it, with digits that tell it from 1: 1.08, 30, 1.0003."""
    if math.isnan(logarithm) or logarithm > 700:
        return "nan" if math.isnan(logarithm) else "inf"
    if logarithm < 0.02:
        return f"{math.exp(logarithm):.{min(1 - math.floor(math.log10(max(logarithm, 1e-12))), 9)}f}"
    value = math.exp(logarithm)
    return f"{value:.2f}" if value < 10 else f"{value:.3g}"


def _subjects(rows: Sequence[str]) -> list[str]:
    return [row.split(" at ")[0].split(" [")[0] for row in rows]


def measured(rows: Sequence[str]) -> str:
    """``resting_potential (3 conditions) and input_resistance``."""
    subjects = _subjects(rows)
    return joined([s if (k := subjects.count(s)) == 1 else f"{s} ({k} values)" for s in dict.fromkeys(subjects)])
