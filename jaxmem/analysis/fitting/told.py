"""What a fit has to say for itself: targets that contradict each other, that are out of reach, that nothing moves."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import chdtri

from jaxmem.analysis.fitting.result import FitStatus
from jaxmem.analysis.fitting.rows import coordinates, extra_labels, residual_rows, row_labels, target_unit
from jaxmem.analysis.fitting.subspaces import seen
from jaxmem.analysis.fitting.wording import among, counted, joined

if TYPE_CHECKING:
    from jaxmem.analysis.fitting.result import Fit

BY_CHANCE = 1e-3  # how often normal errors alone would leave as large a sum of squares; above that all is well
MISSED = 2.0  # standard deviations, for a target to be named
APART = 1e-3  # in a coordinate: solutions that differ by more are different ones
PRESSES = 1e-6  # of the sum of the parts of a slope J'r, how much of it must be left to press against a bound


class Members(NamedTuple):
    """A fit as arrays whose last axis is the members (starts and cells).

    ``rows`` (targets' rows + priors, members): residuals in standard deviations, 0 where not measured; ``slopes`` (the same,
    coordinates, members), per sizeable change of a coordinate; ``values`` and ``goals`` (targets' rows, members); ``edge``
    and ``low`` (coordinates, members): whether it stands at a bound, and whether that is the lower.
    """

    rows: np.ndarray
    slopes: np.ndarray
    values: np.ndarray
    goals: np.ndarray
    edge: np.ndarray
    low: np.ndarray


class Miss(NamedTuple):
    """Why one member misses: what is the same for all of which this is said, how large it is, and this one's numbers."""

    kind: tuple
    size: float
    text: str


def told(fit: "Fit") -> list[str]:
    """Sentences on a fit: which targets are missed and why, by the number of cells; then :attr:`Identifiability.words`.

    A cell misses its targets where the sum of squares is larger than normal errors would make it once in a thousand (chi^2
    with as many degrees of freedom as there are more residuals than directions that parameters fix).
    """
    status = np.asarray(fit.status).reshape(-1)
    ended = status <= FitStatus.AT_BOUND
    sentences = [
        f"{FitStatus(s).reason.capitalize()}{among(int((status == s).sum()), status.size)}."
        for s in np.unique(status[~ended])
    ]
    members = _members(fit)
    labels = [(n, label, target_unit(fit, n)) for n, some in row_labels(fit).items() for label in some]
    labels += [("", label, "") for label in extra_labels(fit)]
    groups: dict[tuple, list[Miss]] = {}
    for i in np.flatnonzero(ended & fit.identifiability.known.reshape(-1) & _beyond_chance(fit, members)):
        miss = _miss(Members(*(x[..., i] for x in members)), labels, fit, int(i))
        groups.setdefault(miss.kind, []).append(miss)
    for group in sorted(groups.values(), key=len, reverse=True):
        middle = sorted(group, key=lambda m: m.size)[(len(group) - 1) // 2]
        one = "For example, " if len(group) > 1 else ""
        sentences.append(f"{one}{middle.text}{among(len(group), status.size)}.")
    sentences += _several_solutions(fit)
    found = fit.identifiability
    if (count := int(found.told_of.sum())) < status.size and found.told_of.any():
        sentences.append(f"Of the {counted(count, 'fit')} (of {status.size}) that ended inside their bounds:")
    return [*sentences, *found.words]


def _several_solutions(fit: "Fit") -> list[str]:
    """Whether starts of one cell come to different ends although no direction is open there."""
    if fit.starts is None or fit.starts < 2:
        return []
    alone = fit.identifiability.rank == len(fit.identifiability.free)
    good = np.asarray(fit.converged & alone).reshape(fit.starts, -1)
    span = {}
    for path, f in fit.free.items():
        y = np.where(good, f.coordinate(fit.parameters[path]).reshape(fit.starts, -1), np.nan)
        y = y[:, good.sum(0) > 1]
        if y.size:
            span[path] = (np.nanmin(y, 0), np.nanmax(y, 0))
    if not span:
        return []
    apart = np.max([high - low for low, high in span.values()], 0) > APART
    if not apart.any():
        return []
    cell = int(np.flatnonzero(apart)[0])
    shown = joined([
        f"{path} from {fit.free[path].value(low[cell]):.4g} to {fit.free[path].value(high[cell]):.4g}"
        for path, (low, high) in span.items() if high[cell] - low[cell] > APART
    ])  # fmt: skip
    who = "" if apart.size == 1 else f" for {int(apart.sum())} of {apart.size} cells; of one of them"
    return [f"Starts come to different solutions{who}: {shown}."]


def _members(fit: "Fit") -> Members:
    found = fit.identifiability
    size, n = int(np.prod(found.shape)), len(found.free)
    flat = lambda x: np.broadcast_to(x, found.shape).reshape(size)
    values = np.concatenate([np.asarray(x, float).reshape(-1, size) for x in fit.values.values()])
    goal = fit.problem.numbers.goal  # (rows, cells or 1)
    goals = np.tile(np.broadcast_to(goal, (len(values), fit.problem.cells or 1)), fit.starts or 1)
    here = coordinates(fit)
    edge, low = np.zeros((2, n, size), bool)
    for j, (path, f) in enumerate(fit.free.items()):
        edge[j] = flat(fit.at_bound[path])
        low[j] = flat(here[j] - f.coordinate(f.low) < f.coordinate(f.high) - here[j])
    slopes = (np.where(found.known, found.jacobian, 0.0) * found.units).reshape(-1, n, size)
    return Members(residual_rows(fit).reshape(-1, size), slopes, values, goals, edge, low)


def _beyond_chance(fit: "Fit", members: Members) -> np.ndarray:
    open_slopes = np.moveaxis(np.where(members.edge, 0.0, members.slopes), -1, 0)
    rank = seen(open_slopes, fit.identifiability.rounding).rank
    measured = (np.abs(members.slopes).max(1) > 0) | (members.rows != 0)
    freedom = np.maximum(measured.sum(0) - rank, 1)
    return np.sum(members.rows**2, 0) > chdtri(freedom, BY_CHANCE)


def _miss(one: Members, labels: Sequence[tuple[str, str, str]], fit: "Fit", i: int) -> Miss:
    """``one``: a member by itself."""
    r, matrix, size = one.rows, one.slopes, float(np.abs(one.rows).max())
    far = [k for k in range(len(one.values)) if abs(r[k]) > MISSED]
    number = lambda k, x: f"{x:.4g}{labels[k][2]}"
    still = [k for k in far if np.abs(matrix[k]).max() <= fit.identifiability.rounding]
    if still:
        texts = [
            f"{labels[k][1]} is {number(k, one.values[k])} whatever the free parameters, not {number(k, one.goals[k])}"
            for k in still
        ]
        return Miss(("still", *still), size, "; ".join(texts))

    outward = np.where(one.low, -1.0, 1.0)
    slope = matrix.T @ r * outward  # below 0 where the fit would go on beyond the bound
    presses = one.edge & (slope < -PRESSES * (np.abs(matrix).T @ np.abs(r)))
    nearer = [k for k in far if (r[k] * matrix[k] * outward)[presses].min(initial=0.0) < 0]
    if nearer:
        texts = [
            f"{labels[k][1]}: {number(k, one.goals[k])} is out of reach within the bounds; the nearest is "
            f"{number(k, one.values[k])}" for k in nearer
        ]  # fmt: skip
        at = np.flatnonzero(presses)
        where = joined([_bound_told(list(fit.free)[j], bool(one.low[j]), fit, i) for j in at])
        return Miss(("reach", *nearer, *(outward[at] * (at + 1)).tolist()), size, f"{'; '.join(texts)}, with {where}")

    first = int(np.abs(r).argmax())
    if shared := [list(fit.free)[j] for j in fit.problem.layout.shared]:
        text = (
            f"{labels[first][1]} is missed by {r[first]:+.1f} sd: not all cells can do with the same {joined(shared)}"
        )
        return Miss(("shared", first), size, text)
    pulls = matrix * r[:, None]
    against = pulls @ pulls[first]
    second = int(against.argmin())
    if against[second] >= 0:
        return Miss(("missed", first), size, f"{labels[first][1]} is missed by {r[first]:+.1f} sd")
    a, b = sorted((first, second))
    text = f"{labels[a][1]} and {labels[b][1]} pull against each other: missed by {r[a]:+.1f} and {r[b]:+.1f} sd"
    return Miss(("contradict", a, b), size, text)


def _bound_told(path: str, low: bool, fit: "Fit", i: int) -> str:
    f = fit.free[path]
    bound = np.broadcast_to(f.low if low else f.high, np.shape(fit.cost)).reshape(-1)[i]
    return f"{path} at its {'lower' if low else 'upper'} bound {bound:g}"
