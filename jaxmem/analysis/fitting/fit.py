"""Fits: the parameters of each cell of a population from what was measured of it, thousands of fits at once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.analysis.blocks import in_blocks
from jaxmem.analysis.fitting import levenberg_marquardt as lm
from jaxmem.analysis.fitting.gradient_descent import is_optimiser
from jaxmem.analysis.fitting.hierarchy import fit_together
from jaxmem.analysis.fitting.method import LOST, SEARCHING, Improved, Method
from jaxmem.analysis.fitting.methods import named
from jaxmem.analysis.fitting.problem import (
    Layout,
    Numbers,
    Problem,
    Tied,
    Vector,
    fitted_membrane,
    fitted_membranes,
    in_conditions,
    problem,
    taken,
)
from jaxmem.analysis.fitting.residuals import weighted, weighted_slopes
from jaxmem.analysis.fitting.result import Fit, FitStatus
from jaxmem.analysis.fitting.starts import drawn
from jaxmem.analysis.fitting.through_time import modes_in_words
from jaxmem.analysis.resting import RestingState, rest_at, resting_state
from jaxmem.analysis.unknowns import start_from
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import declared
from jaxmem.membrane.state import Point, State, Status

MET = 3.0  # standard deviations: a target that is missed by more is not met
DRAWS = 24  # times a start without a resting state is drawn again
SAME = 1e-2  # mV: a rest that differs by more is another one
EDGE = 1e-9  # of the way between the bounds: what is nearer to one stands at it


def fit(
    membrane: Membrane,
    *,
    free: Mapping[str, Any],
    targets: Mapping[str, Any],
    tied: Tied | None = None,
    starts: int | None = None,
    method: Any = "levenberg_marquardt",
    seed: int = 0,
    precision: str = "float64",
    progress: Callable[[int, int], None] | None = None,
) -> Fit:
    """Fit each cell of ``membrane`` to its targets: least ``sum of ((value - target)/sd)^2`` plus the priors.

    - ``free``: by path, ``(low, high)`` or :class:`jaxmem.Free`. ``targets``: by name, a number or :class:`jaxmem.Target`.
    - ``tied``: parameters that go along, ``{"na_leak.g": "k_leak.g"}`` (the ratio stays as in the membrane) or
      ``{"na_leak.g": ("k_leak.g", 0.04)}``.
    - ``starts``: None begins at the membrane's own numbers (moved between the bounds); n begins at these and n - 1 scrambled
      Sobol points between the bounds, and the results have a first axis of starts. A start where the cell has no
      resting state is replaced by a drawn one, so are those of failed fits where the method redraws.
    - ``method``: :class:`jaxmem.LevenbergMarquardt`, :class:`jaxmem.GradientDescent`, their names ("levenberg_marquardt", or that
      of an optimiser of Optax), or several, one after the other.
    - ``precision``: "float64" or "float32"; ``progress(done, total)`` is called now and then with the number of fits.

    Every condition of a target has a resting state of its own, followed from step to step; derivatives are those of the
    implicit function theorem. A cell with several rests is followed along one of them: ``fit.rest.state`` starts a simulation
    there. Raises PathError for a path or quantity that does not exist, ValueError for bounds, shapes, ties and methods that do
    not fit, MembraneError for a membrane that is out of range.
    """
    if precision not in ("float32", "float64"):
        raise ValueError(f"precision is 'float32' or 'float64', not {precision!r}")
    if starts is not None and starts < 1:
        raise ValueError(f"starts is a number of at least 1, or None; found {starts}")
    asked = problem(membrane, free, targets, tied)
    with jax.enable_x64(True):
        return fitted(asked, starts, several(method), seed, np.dtype(precision), progress)


def several(method: Any) -> list[Method]:
    """The methods that a name, a method, an optimiser or a sequence of these stands for."""
    alone = not isinstance(method, Sequence) or isinstance(method, str) or is_optimiser(method)
    return [named(m) for m in ([method] if alone else method)]


def fitted(
    asked: Problem, starts: int | None, methods: list[Method], seed: int, dtype: np.dtype, progress: Any = None
) -> Fit:
    """The fit that was laid out; JAX must be allowed 64 bits here."""
    layout, cells = asked.layout, asked.cells or 1
    members = cells * (starts or 1)
    narrow = lambda x: np.asarray(x, dtype) if np.asarray(x).dtype.kind == "f" else np.asarray(x)
    numbers = jax.tree.map(narrow, asked.members(starts or 1))
    tell = (lambda done: None) if progress is None else (lambda done: progress(min(done, members), members))
    tell(0)
    draws = Draws(asked, seed, starts or 1, dtype)
    y, u, resting = _with_rests(layout, numbers, draws.first(), draws, np.arange(members))
    if layout.common:
        found = fit_together(layout, numbers, y, u, resting, cells, methods, tell)
    else:
        found = _improved(layout, numbers, y, u, methods, tell)
        for _ in range(max((m.redraws for m in methods), default=0)):
            found, resting = _drawn_again(layout, numbers, found, resting, draws, methods)
    tell(members)
    return _result(asked, numbers, found, resting, starts)


def _improved(
    layout: Layout, numbers: Numbers, y: Vector, u: Vector, methods: list[Method], tell: Callable[[int], None]
) -> Improved:
    steps = np.zeros(y[0].shape[-1], np.int32)
    found = Improved(y, u, np.full(steps.shape, SEARCHING, np.int32), steps)
    for method in methods:
        news = method.improve(layout, numbers, found.y, found.u, tell)
        found = news._replace(steps=found.steps + news.steps)
    return found


def _with_rests(
    layout: Layout, numbers: Numbers, y: Vector, draws: "Draws", which: np.ndarray
) -> tuple[Vector, Vector, np.ndarray]:
    """Starts that have a resting state in every condition, drawn again where they have none, with these rests."""
    y = tuple(x.copy() for x in y)
    resting = np.zeros(which.size, bool)
    u: Vector | None = None
    for _ in range(DRAWS + 1):
        left = np.flatnonzero(~resting)
        if not left.size:
            break
        if u is not None:
            for x, new in zip(y, draws.again(which[left]), strict=True):
                x[left] = new
        part = taken(numbers, left)
        _, everywhere = fitted_membranes(layout, part, tuple(x[left] for x in y))
        rest = resting_state(everywhere, precision=str(y[0].dtype))
        shape = (layout.conditions, left.size)
        whole = lambda x, shape=shape: np.broadcast_to(np.asarray(x), shape)
        here = jax.tree.map(whole, Point(rest.v, rest.state.states, rest.state.book))
        news = in_blocks(_start, (part, tuple(x[left] for x in y), here), left.size, layout)
        resting[left] = (whole(rest.status) == Status.OK).all(0)
        if u is None:
            u = tuple(np.array(x) for x in news)  # of JAX they cannot be written to
        else:
            for old, new in zip(u, news, strict=True):
                old[:, left] = new
    assert u is not None
    return y, u, resting


def _drawn_again(
    layout: Layout, numbers: Numbers, found: Improved, resting: np.ndarray, draws: "Draws", methods: list[Method]
) -> tuple[Improved, np.ndarray]:
    """Members that miss a target begin again; the better fit is kept."""
    before = found = lm.seen(layout, numbers, found)
    misses = np.abs(np.asarray(weighted(layout, numbers, found.y, before.values))[: len(layout.rows)]).max(0)
    missed = np.flatnonzero(~(misses <= MET) | ~resting | ~np.isfinite(before.cost))
    if not missed.size:
        return found, resting
    part = taken(numbers, missed)
    y, u, rests = _with_rests(layout, part, draws.again(missed), draws, missed)
    news = _improved(layout, part, y, u, methods, lambda done: None)
    news = lm.seen(layout, part, news)
    better = rests & (news.cost < before.cost[missed])
    kept = missed[better]

    def put(old: np.ndarray, new: np.ndarray) -> np.ndarray:
        old = old.copy()
        old[..., kept] = new[..., better]
        return old

    steps = found.steps.copy()
    steps[missed] += news.steps
    merged = jax.tree.map(put, found, news)._replace(steps=steps)
    return merged, put(resting, rests)


class Draws:
    """Where fits begin, and where those begin that begin again."""

    def __init__(self, asked: Problem, seed: int, starts: int, dtype: np.dtype):
        self.asked, self.seed, self.dtype = asked, seed, dtype
        self.numbers = asked.members(starts)
        self.start = np.repeat(np.arange(starts), asked.cells or 1)
        # each member counts its own, or where one begins again would depend on the others
        self.starts, self.used = starts, np.full(self.start.shape, starts)

    def first(self) -> Vector:
        """The membrane's own numbers, moved between the bounds; then drawn ones."""
        layout = self.asked.layout
        own = {path: np.asarray(x, np.float64) for path, x, _ in declared(self.numbers.membrane)}
        points = drawn(self.numbers, self.start, self.seed, layout.coordinates)
        y = []
        for i, path in enumerate((*layout.free, *(layout.free[i] for i in layout.pooled))):
            f = self.asked.free[path]
            x: Any = own[path]
            if i in layout.common and x.ndim:
                x = np.median(x)
            with np.errstate(divide="ignore", invalid="ignore"):
                z = np.clip(np.nan_to_num(f.coordinate(x), neginf=-np.inf), self.numbers.low[i], self.numbers.high[i])
            y.append(np.where(self.start == 0, z, points[i]).astype(self.dtype))
        return tuple(y)

    def again(self, members: np.ndarray) -> Vector:
        """Other points for these members; what cells have in common is not drawn again."""
        points = drawn(
            taken(self.numbers, members), self.used[members] + self.start[members], self.seed,
            self.asked.layout.coordinates,
        )  # fmt: skip
        self.used[members] += self.starts
        return tuple(x.astype(self.dtype) for x in points)


# ------------------------------------------------------------------ in blocks
def _everywhere(layout: Layout, numbers: Numbers, y: Vector) -> Membrane:
    like = jax.ShapeDtypeStruct((layout.conditions, *np.shape(y[0])), y[0].dtype)
    return in_conditions(fitted_membrane(layout, numbers, y), numbers, like)


def _start(given: tuple[Numbers, Vector, Point], layout: Layout) -> Vector:
    numbers, y, here = given
    u = start_from(_everywhere(layout, numbers, y), layout.unknowns, here)
    return tuple(jnp.broadcast_to(x, here.v.shape) for x in u)


def _point(given: tuple[Numbers, Vector, Vector], layout: Layout) -> Point:
    numbers, y, u = given
    rest = rest_at(_everywhere(layout, numbers, y), layout.unknowns, u)
    whole = lambda x: jnp.broadcast_to(x, u[0].shape)
    return jax.tree.map(whole, Point(rest.v, rest.state.states, rest.state.book))


# ------------------------------------------------------------------ the result
def _result(asked: Problem, numbers: Numbers, found: Improved, resting: np.ndarray, starts: int | None) -> Fit:
    layout = asked.layout
    members = resting.size
    shape = (*(() if starts is None else (starts,)), *(() if asked.cells is None else (asked.cells,)))
    shaped = lambda x: np.asarray(x).reshape((*np.shape(x)[:-1], *shape))
    at = lm.seen(layout, numbers, found)
    rest, stands = _rest(layout, numbers, found, shape)
    rows = np.asarray(weighted(layout, numbers, found.y, at.values))
    misses = np.where(numbers.weight > 0, rows[: len(layout.rows)], np.nan)
    low, high = (np.stack([np.broadcast_to(x, members) for x in ends]) for ends in (numbers.low, numbers.high))
    y = np.stack(found.y)
    near = EDGE if y.dtype == np.float64 else 1e-6
    edge = np.minimum(y - low, high - y) <= near * (high - low)
    # row after row: NumPy adds the rows of a single member in another order than those of many
    cost = np.where(np.isfinite(at.cost), sum(rows**2), np.inf)
    status = np.where(found.outcome == SEARCHING, int(FitStatus.ITERATIONS), int(FitStatus.STATIONARY))
    status = np.where(
        (status == FitStatus.STATIONARY) & edge[: len(layout.free)].any(0), int(FitStatus.AT_BOUND), status
    )
    met = np.nanmax(np.abs(np.concatenate([misses, np.zeros((1, members))])), 0) <= MET
    status = np.where((found.outcome != SEARCHING) & met, int(FitStatus.CONVERGED), status)
    status = np.where(np.isnan(np.sum(y, 0)), int(FitStatus.NOT_FINITE), status)
    status = np.where(~resting | ~stands | (found.outcome == LOST), int(FitStatus.NO_STEADY_STATE), status)
    known = np.isfinite(cost)  # elsewhere nothing was ever evaluated
    shown, misses, jacobian = (
        np.where(known, x, np.nan) for x in (at.values, misses, weighted_slopes(layout, numbers, at.slopes))
    )
    spans = asked.rows
    each = lambda rows, name: by_condition(asked, name, shaped(rows[spans[name].start : spans[name].stop]))
    with np.errstate(all="ignore"):
        fitted = {path: asked.free[path].value(x) for path, x in zip(layout.free, y, strict=False)}
    fitted |= {
        path: fitted[other] * np.asarray(ratio)
        for (path, other), ratio in zip(layout.tied, numbers.ratios, strict=True)
    }
    common = {
        layout.free[i]: asked.free[layout.free[i]].value(y[len(layout.free) + k]).reshape(starts or 1, -1)[:, 0]
        for k, i in enumerate(layout.pooled)
    }
    return Fit(
        problem=asked, starts=starts, parameters={path: shaped(x) for path, x in fitted.items()},
        at_bound={path: shaped(x) for path, x in zip(layout.free, edge, strict=False)},
        values={name: each(shown, name) for name in spans}, residuals={name: each(misses, name) for name in spans},
        cost=shaped(cost), status=shaped(status.astype(np.int32)), iterations=shaped(found.steps), rest=rest,
        jacobian=shaped(jacobian), common=common, mode=modes_in_words(layout),
    )  # fmt: skip


def by_condition(asked: Problem, name: str, rows: np.ndarray) -> np.ndarray:
    """The rows of a target: one number, or over conditions and samples."""
    t = asked.targets[name]
    samples = None if t.during is None else t.during.samples(t.of or name)
    axes = (*((len(t.conditions),) if t.listed else ()), *(() if samples is None else (samples,)))
    return rows.reshape((*axes, *rows.shape[1:]))


def _rest(layout: Layout, numbers: Numbers, found: Improved, shape: tuple[int, ...]) -> tuple[RestingState, np.ndarray]:
    """The rest of each member outside every condition, and whether one stands in all of them where the fit followed it.

    Sought anew from the cells' own start; only a cell that goes to another of its rests is looked for where it was found.
    """
    y, followed = found.y, found.u[0]
    members, precision = y[0].shape[-1], str(y[0].dtype)
    whole = lambda x: np.broadcast_to(np.asarray(x), (layout.conditions, members))
    alone, everywhere = fitted_membranes(layout, numbers, y)
    rest = resting_state(everywhere, precision=precision)
    here = jax.tree.map(whole, (rest.v, rest.status))
    astray = np.flatnonzero(((np.abs(here[0] - followed) > SAME) | (here[1] != Status.OK)).any(0))
    stands = np.ones(members, bool)
    base = next((i for i, (given, drugs) in enumerate(numbers.conditions) if not given and not drugs), None)
    outside = resting_state(alone, precision=precision) if base is None else jax.tree.map(
        lambda x: x[base] if np.ndim(x) == 2 else x, rest
    )  # fmt: skip
    if astray.size:
        part, some = taken(numbers, astray), tuple(x[astray] for x in y)
        point = in_blocks(_point, (part, some, tuple(x[:, astray] for x in found.u)), astray.size, layout)
        other = resting_state(
            fitted_membranes(layout, part, some)[1], initial=_state(rest.state, point, astray), precision=precision
        )
        there = np.broadcast_to(np.asarray(other.status), (layout.conditions, astray.size))
        stands[astray] = (there == Status.OK).all(0)
        if base is not None:
            bare = lambda r: eqx.tree_at(lambda r: r.membrane, r, None)
            row = lambda x: x[base] if np.ndim(x) == 2 else x
            put = lambda old, new: _put(astray, old, row(new)) if _over(old, members) else old
            outside = jax.tree.map(put, bare(outside), bare(other))
    outside = eqx.tree_at(lambda r: r.membrane, outside, alone, is_leaf=lambda x: x is None)
    return jax.tree.map(lambda x: np.asarray(x).reshape(shape) if _over(x, members) else x, outside), stands


def _over(x: Any, members: int) -> bool:
    return np.ndim(x) == 1 and np.shape(x)[0] == members


def _put(which: np.ndarray, old: Any, new: Any) -> np.ndarray:
    out = np.array(old)
    out[which] = new
    return out


def _state(outline: State, point: Point, which: np.ndarray) -> State:
    """The state of some members at a point, no current having flowed since."""
    take = lambda x: np.asarray(x)[..., which] if np.ndim(x) else x
    cut = jax.tree.map(take, outline)
    shape = point.v.shape
    book = {k: np.broadcast_to(point.book[k], shape) for k in cut.total}
    none = {k: np.zeros(shape, point.v.dtype) for k in book}
    return eqx.tree_at(
        lambda s: (s.v, s.states, s.total, s.total_low, s.pending), cut, (point.v, point.states, book, none, none)
    )
