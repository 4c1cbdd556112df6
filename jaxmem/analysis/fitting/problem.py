"""A fit laid out for the solvers: what is static, which arrays go with it, and the fits as members of one axis.

A member is one fit: a start of a cell. Members lie start after start, ``member = start * cells + cell``.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxmem.analysis.blocks import in_blocks
from jaxmem.analysis.fitting.free import Free
from jaxmem.analysis.fitting.quantities import quantity
from jaxmem.analysis.fitting.target import Condition, Target
from jaxmem.analysis.fitting.trials import unit_of
from jaxmem.analysis.unknowns import Unknowns, unknowns
from jaxmem.engine.measures import Measure
from jaxmem.membrane.membrane import Membrane, out_of_range
from jaxmem.membrane.parameters import declared, path_error, replaced, select
from jaxmem.rig.protocol import check_changes
from jaxmem.rig.schedules import Drug

Tied = Mapping[str, str | tuple[str, ArrayLike]]
Vector = tuple[Any, ...]  # of arrays: NumPy's on the host, JAX's inside a program


class Row(NamedTuple):
    """One measured number: of what, in which condition, during which trial (None: at rest), which sample of a trace."""

    of: str | Callable[..., Any]
    condition: int
    trial: int | None = None
    sample: int | None = None


@dataclasses.dataclass(frozen=True)
class Layout:
    """What a fit is made of, without its numbers; a program is compiled for each."""

    free: tuple[str, ...]
    logarithmic: tuple[bool, ...]
    tied: tuple[tuple[str, str], ...]  # path, and the free path it goes with
    conditions: int
    rows: tuple[Row, ...]
    priors: tuple[int, ...]  # which free parameters have one
    shared: tuple[int, ...]  # which are the same in all cells of a start
    pooled: tuple[int, ...]  # which have a common value, a coordinate after those of ``free``
    unknowns: Unknowns
    width: int | None = None  # of a block of simulated members; None: as narrow as their number allows

    @property
    def coordinates(self) -> int:
        return len(self.free) + len(self.pooled)

    @property
    def common(self) -> tuple[int, ...]:
        """Coordinates that all cells of a start have together."""
        return (*self.shared, *range(len(self.free), self.coordinates))


class Numbers(NamedTuple):
    """The arrays of a fit; leaves are numbers that all members share, or have a last axis of members."""

    membrane: Membrane
    ratios: tuple[Any, ...]
    conditions: tuple[tuple[dict[str, Any], tuple[Drug, ...]], ...]
    trials: tuple[Any, ...]
    low: tuple[Any, ...]  # of each coordinate
    high: tuple[Any, ...]
    centre: tuple[Any, ...]  # of each prior, in the coordinate
    spread: tuple[Any, ...]
    pool: tuple[Any, ...]  # spread around a common value
    goal: Any  # (rows, members)
    weight: Any  # (rows, members): 1/sd, 0 where not measured


@dataclasses.dataclass(frozen=True)
class Problem:
    """A fit as it was asked for, and as the solvers see it. ``cells`` is None where nothing has a cell axis."""

    membrane: Membrane
    free: dict[str, Free]
    targets: dict[str, Target]
    tied: dict[str, tuple[str, Any]]
    cells: int | None
    layout: Layout
    numbers: Numbers
    rows: dict[str, range]

    def members(self, starts: int) -> Numbers:
        """The arrays of that many starts of every cell."""
        index = np.tile(np.arange(self.cells or 1), starts)
        return taken(self.numbers, index)


def taken(numbers: Numbers, index: np.ndarray) -> Numbers:
    """The chosen members."""
    take = lambda x: x[..., index] if np.ndim(x) else x
    plain = {
        k: jax.tree.map(take, v) for k, v in numbers._asdict().items() if k not in ("membrane", "conditions", "trials")
    }
    conditions = tuple(
        ({p: take(x) for p, x in given.items()}, select(drugs, index)) for given, drugs in numbers.conditions
    )
    return Numbers(
        **plain, membrane=select(numbers.membrane, index), conditions=conditions, trials=select(numbers.trials, index)
    )


def problem(
    membrane: Membrane, free: Mapping[str, Any], targets: Mapping[str, Any], tied: Tied | None = None
) -> Problem:
    """Check and lay out. Raises PathError for what does not exist, ValueError for what does not fit."""
    if not free:
        raise ValueError("nothing to fit: free names no parameter")
    if not targets:
        raise ValueError("nothing to aim at: targets is empty")
    chosen = {path: _named(path, Free.of, bounds) for path, bounds in free.items()}
    aims = {name: _named(f"target {name}", Target.of_number, t) for name, t in targets.items()}
    known = {path: (value, d) for path, value, d in declared(membrane, absent=True)}
    for path, f in chosen.items():
        if path not in known:
            raise path_error(path, list(known))
        for end in (f.low, f.high):
            if wrong := out_of_range(end, known[path][1]):
                raise ValueError(f"the bounds of {path}: it {wrong}")
    membrane = replaced(membrane, {path: known[path][0] for path in chosen})
    ties = {path: _tie(path, given, chosen, known) for path, given in (tied or {}).items()}
    membrane = replaced(membrane, {path: known[path][0] for path in ties})
    for name, target in aims.items():
        for condition in target.conditions:
            _check_condition(name, condition, membrane, known)
        if isinstance(of := target.of or name, str) and target.during is None:
            quantity(membrane, of)  # an error where it means nothing here
        elif target.during is not None:
            if not isinstance(of, str | Measure):
                raise ValueError(
                    f"target {name}: what is seen of a trial is a measure or a variable by name; a function goes with rests"
                )
            unit_of(membrane, target.during.on_grid(membrane), of)
    cells = _cells(membrane, chosen, aims, ties)
    conditions, given, rows, spans, goal, weight = _rows(aims, cells)
    trials = tuple(trial.on_grid(membrane) for trial in given)
    priors = tuple(i for i, f in enumerate(chosen.values()) if f.prior is not None)
    shared = tuple(i for i, f in enumerate(chosen.values()) if f.shared)
    pooled = tuple(i for i, f in enumerate(chosen.values()) if f.pooled is not None)
    bounds = list(chosen.values()) + [list(chosen.values())[i] for i in pooled]
    layout = Layout(
        tuple(chosen), tuple(f.scale == "log" for f in chosen.values()), tuple((p, other) for p, (other, _) in ties.items()),
        len(conditions), rows, priors, shared, pooled, unknowns(membrane),
    )  # fmt: skip
    with_priors = [(f, f.prior) for f in chosen.values() if f.prior is not None]
    numbers = Numbers(
        membrane=membrane, ratios=tuple(ratio for _, ratio in ties.values()), conditions=conditions, trials=trials,
        low=tuple(f.coordinate(f.low) for f in bounds), high=tuple(f.coordinate(f.high) for f in bounds),
        centre=tuple(f.coordinate(prior[0]) for f, prior in with_priors),
        spread=tuple(np.asarray(prior[1], float) for _, prior in with_priors),
        pool=tuple(np.asarray(list(chosen.values())[i].pooled, float) for i in pooled), goal=goal, weight=weight,
    )  # fmt: skip
    return Problem(membrane, chosen, aims, ties, cells, layout, numbers, spans)


def _named(what: str, make: Callable[[Any], Any], given: Any) -> Any:
    """What is made of what was given; an error says of what."""
    try:
        return make(given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what}: {error}") from None


def _tie(path: str, given: Any, free: Mapping[str, Free], known: Mapping[str, Any]) -> tuple[str, Any]:
    """The free parameter it goes with, and the ratio."""
    other, ratio = (given, None) if isinstance(given, str) else given
    for p in (path, other):
        if p not in known:
            raise path_error(p, list(known))
    if path in free:
        raise ValueError(f"{path} is both free and tied; it is one of the two")
    if other not in free:
        raise ValueError(f"{path} is tied to {other}, which is not free; free are {', '.join(free)}")
    if ratio is None:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.asarray(known[path][0], float) / np.asarray(known[other][0], float)
        if not np.isfinite(ratio).all():
            raise ValueError(f"{path} cannot keep its ratio to {other}, which is 0 in the membrane; give (path, ratio)")
    return other, np.asarray(ratio, float)


def _check_condition(name: str, condition: Condition, membrane: Membrane, known: Mapping[str, Any]) -> None:
    if isinstance(condition, Drug):
        check_changes(membrane, (condition,))
        return
    for path, value in condition.items():
        if path not in known:
            raise path_error(path, list(known))
        if wrong := out_of_range(value, known[path][1]):
            raise ValueError(f"the condition of {name}: {path} {wrong}")


def _cells(
    membrane: Membrane, free: Mapping[str, Free], targets: Mapping[str, Target], ties: Mapping[str, Any]
) -> int | None:
    """How many cells there are: what has an axis of them says so."""
    lengths: dict[int, str] = {}
    say = lambda x, what: lengths.setdefault(int(np.shape(x)[-1]), what) if np.ndim(x) else None
    for path, x, _ in declared(membrane):
        say(x, path)
    for path, f in free.items():
        for x in (f.low, f.high, *(f.prior or ())):
            say(x, f"the bounds or prior of {path}")
    for path, (_, ratio) in ties.items():
        say(ratio, f"the ratio of {path}")
    for name, t in targets.items():
        for condition in t.conditions:
            for x in jax.tree.leaves(condition if isinstance(condition, Drug) else dict(condition)):
                say(x, f"a condition of {name}")
        inner = int(t.listed)
        if t.during is not None:
            inner += t.during.samples(t.of or name) is not None
            for path, x, _ in declared(t.during):
                say(x, f"{path} of the trial of {name}")
        for x in (t.value, t.sd):
            if np.ndim(x) > inner:
                say(x, f"target {name}")
    if len(lengths) > 1:
        told = ", ".join(f"{what} has {n}" for n, what in lengths.items())
        raise ValueError(f"arrays over cells must have one length: {told}")
    return next(iter(lengths), None)


def _rows(targets: Mapping[str, Target], cells: int | None) -> tuple:
    """Conditions and trials, each once; a row per measured number; which rows are whose; goals and weights."""
    conditions: list[Condition] = []
    trials: list[Any] = []
    rows: list[Row] = []
    spans: dict[str, range] = {}
    goals, weights = [], []
    for name, t in targets.items():
        first, given = len(rows), t.conditions
        samples = None if t.during is None else t.during.samples(t.of or name)
        lengths = {"conditions": len(given) if t.listed else None, "samples": samples, "cells": cells}
        axes = {what: n for what, n in lengths.items() if n is not None}
        shape = tuple(axes.values())
        try:
            value, sd = (spread(x, shape, cells is not None) for x in (t.value, t.sd))
        except ValueError:
            raise ValueError(
                f"target {name}: its values have the shape {np.shape(t.value)} and sds {np.shape(t.sd)}; wanted is "
                f"{shape} ({', '.join(axes) or 'one number'})"
            ) from None
        for condition in given:
            c = _index(conditions, condition, _alike)
            d = None if t.during is None else _index(trials, t.during, lambda a, b: a is b)
            of = t.of or name
            rows += [Row(of, c, d, s) for s in ([None] if samples is None else range(samples))]
        spans[name] = range(first, len(rows))
        there = np.isfinite(value)
        goals.append(np.where(there, value, 0.0).reshape(len(rows) - first, -1))
        weights.append(np.where(there, 1 / np.where(there, sd, 1.0), 0.0).reshape(len(rows) - first, -1))
    split = lambda c: ({}, (c,)) if isinstance(c, Drug) else ({p: np.asarray(x, float) for p, x in c.items()}, ())
    goal, weight = np.concatenate(goals), np.concatenate(weights)
    return tuple(split(c) for c in conditions), tuple(trials), tuple(rows), spans, goal, weight


def spread(x: ArrayLike, shape: tuple[int, ...], celled: bool) -> np.ndarray:
    """Values over conditions, samples and cells; where the last axis is missing they are those of every cell."""
    a = np.asarray(x, np.float64)
    if celled and 0 < a.ndim == len(shape) - 1 and a.shape == shape[:-1]:
        a = a[..., None]
    return np.broadcast_to(a, shape)


def _index(known: list, new: Any, same: Callable[[Any, Any], bool]) -> int:
    for i, old in enumerate(known):
        if same(old, new):
            return i
    known.append(new)
    return len(known) - 1


def _alike(a: Condition, b: Condition) -> bool:
    if isinstance(a, Drug) or isinstance(b, Drug):
        return a is b
    return a.keys() == b.keys() and all(np.array_equal(np.asarray(a[p]), np.asarray(b[p])) for p in a)


# ------------------------------------------------------------------ pure: from coordinates to the membrane
def parameters(layout: Layout, numbers: Numbers, y: Sequence[Any]) -> dict[str, Any]:
    """Free and tied parameters by path, from the coordinates."""
    found = {p: jnp.exp(x) if log else x for p, x, log in zip(layout.free, y, layout.logarithmic, strict=False)}
    ties = zip(layout.tied, numbers.ratios, strict=True)
    return found | {path: found[other] * ratio for (path, other), ratio in ties}


def fitted_membrane(layout: Layout, numbers: Numbers, y: Sequence[Any]) -> Membrane:
    """The membrane with these coordinates, in no condition but its own."""
    return replaced(numbers.membrane, parameters(layout, numbers, y))


def fitted_membranes(layout: Layout, numbers: Numbers, y: Vector) -> tuple[Membrane, Membrane]:
    """On the host: the membrane in no condition but its own, and in every one; by the same bits for few members and many."""
    alone, there = in_blocks(_numbers_of, (numbers, y), y[0].shape[-1], layout)
    membrane = replaced(numbers.membrane, alone)
    return membrane, replaced(membrane, there)


def _numbers_of(given: tuple[Numbers, Vector], layout: Layout) -> tuple[dict[str, Any], dict[str, Any]]:
    numbers, y = given
    alone = parameters(layout, numbers, y)
    like = jax.ShapeDtypeStruct((layout.conditions, *y[0].shape), y[0].dtype)
    membrane = in_conditions(replaced(numbers.membrane, alone), numbers, like)
    own = {path: value for path, value, _ in declared(membrane)}
    return alone, {path: own[path] for path in _conditioned(numbers)}


def _conditioned(numbers: Numbers) -> list[str]:
    """Paths of what some condition changes."""
    return list(dict.fromkeys(p for given, drugs in numbers.conditions for p in (*given, *(d.path for d in drugs))))


def in_conditions(membrane: Membrane, numbers: Numbers, like: Any) -> Membrane:
    """The membrane in every condition: parameters that differ get an axis of conditions before that of members.

    ``like`` has the shape and dtype of a number per condition and member.
    """
    paths = _conditioned(numbers)
    own = {path: value for path, value, _ in declared(membrane, absent=True)}
    return replaced(membrane, {p: jnp.stack([
        jnp.broadcast_to(jnp.asarray(_level(p, own[p], *c), like.dtype), like.shape[1:]) for c in numbers.conditions
    ]) for p in paths})  # fmt: skip


def _level(path: str, own: Any, given: Mapping[str, Any], drugs: Sequence[Drug]) -> Any:
    value = given.get(path, own)
    for drug in drugs:
        if drug.path == path:
            value = drug.effect(value, drug.concentration.knots[-1].value)
    return value
