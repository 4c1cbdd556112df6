"""Fits of any number of cells in one HDF5 file: parameters, residuals, statuses, what is identified, who was left out."""

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmem.membrane.parameters import map_declared
from jaxmem.study import layout
from jaxmem.study.files import StoreError
from jaxmem.study.hdf5 import Variable, opened
from jaxmem.study.tree import encode
from jaxmem.study.variables import store
from jaxmem.units import pretty

if TYPE_CHECKING:
    from jaxmem.analysis.fitting.result import Fit

KIND = "fits"
LEFT_OUT = -1  # status of a cell that could not be fitted
CONVERGED = 0
LISTED = 24  # conditions or samples of a target that have a variable each; more share one with an axis of their own
Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class Row:
    """One number that was to be met: ``name`` of its variables, the ``target`` it belongs to, its ``unit``, what it is."""

    name: str
    target: str
    unit: str
    told: str


@dataclasses.dataclass(frozen=True)
class Fits:
    """What came of the fits, of all cells: ``variables`` by name, over ``cell`` or ``start`` and ``cell``, NaN where left out.

    ``names`` of the cells, ``excluded``: index of a cell -> why it was not fitted. ``free``: path -> bounds, scale and unit.
    ``tied``: path -> (free path, ratio). ``rows``: what was to be met. ``words``: what is identified and what is not.
    ``statuses``: code -> (name, reason). ``pairs``: which parameters are drawn against each other.
    """

    variables: dict[str, Variable]
    names: tuple[str, ...]
    excluded: dict[int, str]
    free: dict[str, dict[str, Any]]
    tied: dict[str, tuple[str, Any]]
    rows: tuple[Row, ...]
    words: tuple[str, ...]
    statuses: dict[int, tuple[str, str]]
    jacobian: Array
    pairs: tuple[tuple[str, str], ...] = ()

    def __getitem__(self, name: str) -> Array:
        """A variable as (starts, cells); (1, cells) where there is one start."""
        return np.atleast_2d(self.variables[name].values)

    def __contains__(self, name: str) -> bool:
        return name in self.variables

    @property
    def fitted(self) -> Array:
        """Which cells were fitted."""
        return np.array([i not in self.excluded for i in range(len(self.names))])

    @property
    def starts(self) -> int:
        return int(self["status"].shape[0])

    @functools.cached_property
    def first(self) -> Array:
        """Each cell's best start (cells,): a converged one before others, then the one of least cost."""
        cost = np.where(np.isnan(self["cost"]), np.inf, self["cost"])
        return np.asarray(np.lexsort((cost, self["status"] != CONVERGED), axis=0)[0])

    def best(self, name: str) -> Array:
        """A variable at each cell's best start (cells,)."""
        x = self[name]
        return x[0] if len(x) == 1 else x[self.first, np.arange(x.shape[1])]


def fits_of(
    fit: "Fit",
    *,
    names: Sequence[str] | None = None,
    kept: Array | None = None,
    excluded: Mapping[int, str] | None = None,
    pairs: Sequence[Sequence[str]] = (),
) -> Fits:
    """The numbers of a fit, with the cells that were left out in their places.

    ``names`` of all cells; ``kept``: which of them were fitted (indices, in order); ``excluded``: why the others were not.
    """
    from jaxmem.analysis.fitting.quantities import unit_of
    from jaxmem.analysis.fitting.result import FitStatus

    cells = fit.problem.cells
    kept = np.arange(cells or 1) if kept is None else np.asarray(kept)
    total = len(kept) if names is None else len(names)
    axes = ("cell",) if fit.starts is None else ("start", "cell")
    put = _Places(kept, total, cells is None)
    known = {path: (p.unit, p.description) for path, p in fit.membrane.parameters().items()}
    variables: dict[str, Variable] = {}

    def add(name: str, x: Any, unit: str, told: str, dims: tuple[str, ...] = axes, **more: Any) -> None:
        variables[name] = Variable(put(x), dims, unit, told, more)

    statuses = {LEFT_OUT: ("LEFT_OUT", "not fitted"), **{int(s): (s.name, s.reason) for s in FitStatus}}
    add("status", np.asarray(fit.status, np.int32), "1", "what became of the fit", **_codes(statuses))
    add("iterations", np.asarray(fit.iterations, np.int32), "1", "steps of the search")
    add("cost", fit.cost, "1", "sum of squares of residuals and priors")
    found = fit.identifiability
    for path, x in fit.parameters.items():
        add(path, x, *known[path])
        if path in fit.at_bound:
            add(f"{path}_at_bound", np.asarray(fit.at_bound[path], np.int8), "1", f"whether {path} stands at a bound")
        if path in fit.free:
            logarithmic = fit.free[path].scale == "log"
            unit, what = ("1", f"ln({path})") if logarithmic else (known[path][0], path)
            add(
                f"{path}_standard_error",
                found.standard_errors[path],
                unit,
                f"standard error of {what}; inf: not identified",
            )
    for path, x in fit.common.items():
        dims: tuple[str, ...] = () if fit.starts is None else ("start",)
        here = np.reshape(np.asarray(x, float), (-1,) if dims else ())
        variables[f"{path}_common"] = Variable(here, dims, known[path][0], f"what cells have {path} around")
    rows = []
    for name, target in fit.targets.items():
        of = target.of or name
        unit = unit_of(fit.membrane, of) if isinstance(of, str) and target.during is None else "1"
        rows += target_variables(add, name, target, fit, cells, unit)
    add("rest_v", fit.rest.v, "mV", "resting potential of the fitted cell")
    for path, level in fit.rest.concentrations.items():
        add(
            f"rest_{path}",
            level,
            unit_of(fit.membrane, path),
            f"concentration of {path.replace('.', ' ')} at rest of the fitted cell",
        )
    called = tuple(map(str, range(total))) if names is None else tuple(names)
    why = dict(excluded or {})
    reasons = [why.get(i, "") for i in range(total)]
    for name, texts, told in (("name", called, "name of the cell"), ("left_out", reasons, "why it was not fitted")):
        variables[name] = Variable(np.array(texts, object), ("cell",), "1", told)
    free = {}
    for path, f in fit.free.items():
        free[path] = {"low": _plain(f.low), "high": _plain(f.high), "scale": f.scale, "unit": known[path][0]}
        free[path] |= {"shared": f.shared, "pooled": f.pooled}
    words = tuple(fit.best().words)
    jacobian = put(np.asarray(fit.jacobian, float))
    jacobian = jacobian if fit.starts is not None else jacobian[:, :, None]
    tied = {path: (to, _plain(ratio)) for path, (to, ratio) in fit.tied.items()}
    return Fits(
        variables, called, why, free, tied, tuple(rows), words, statuses, jacobian, tuple((a, b) for a, b in pairs)
    )


def target_variables(add: Any, name: str, target: Any, fit: "Fit", cells: int | None, unit: str) -> list[Row]:
    """Measured, fitted and residual of each number of a target: ``add(name, values, unit, what it is, dims or none)``."""
    from jaxmem.analysis.fitting.problem import spread

    values, residuals = np.asarray(fit.values[name], float), np.asarray(fit.residuals[name], float)
    own = values.ndim - fit.cost.ndim
    shape = (*values.shape[:own], *(() if cells is None else (cells,)))
    flat = lambda x, rest: np.reshape(x, (-1, *rest))
    whole = lambda x: flat(spread(x, shape, cells is not None), shape[own:])
    measured, sd = whole(target.value), whole(target.sd)
    values, residuals = (flat(x, fit.cost.shape) for x in (values, residuals))
    if len(values) > LISTED:
        dim = f"entry_{name}"
        axes = (dim, "cell") if fit.starts is None else (dim, "start", "cell")
        add(f"measured_{name}", measured, unit, f"{name}, what was aimed at", (dim, "cell"))
        add(f"fitted_{name}", values, unit, f"{name} at the fit", axes)
        add(f"residual_{name}", residuals, "1", f"{name}: fitted less aimed at, in standard deviations", axes)
        return []
    rows = []
    for i in range(len(values)):
        mine = name if len(values) == 1 else f"{name}_{i + 1}"
        listed = target.listed and len(target.conditions) == len(values)
        at = (
            _condition(target.conditions[i] if listed else target.conditions[0], fit)
            if listed or not target.listed
            else ""
        )
        told = (
            name.replace("_", " ") + (f" at {at}" if at else "") + ("" if listed or len(values) == 1 else f" {i + 1}")
        )
        add(
            f"measured_{mine}",
            measured[i],
            unit,
            f"{told}, what was aimed at (measured, the junction potential subtracted)",
            ("cell",),
        )
        add(f"sd_{mine}", sd[i], unit, f"{told}, standard deviation of the measurement", ("cell",))
        add(f"fitted_{mine}", values[i], unit, f"{told}, at the fit")
        add(f"residual_{mine}", residuals[i], "1", f"{told}: fitted less aimed at, in standard deviations")
        rows.append(Row(mine, name, unit, told))
    return rows


def _condition(at: Any, fit: "Fit") -> str:
    if not isinstance(at, Mapping):
        return str(getattr(at, "told", at))
    known = fit.membrane.parameters()
    size = lambda path, x: f"{float(x):g} {pretty(known[path].unit)}".strip() if np.ndim(x) == 0 else "of each cell"
    return ", ".join(f"{path} {size(path, x)}" for path, x in at.items())


class _Places:
    """Puts the numbers of fitted cells, the last axis, into their places among all."""

    def __init__(self, kept: Array, total: int, alone: bool):
        self.kept, self.total, self.alone = kept, total, alone

    def __call__(self, x: Any) -> Array:
        x = np.asarray(x)
        x = x[..., None] if self.alone else x
        whole = np.full((*x.shape[:-1], self.total), np.nan if x.dtype.kind == "f" else LEFT_OUT, x.dtype)
        whole[..., self.kept] = x
        return whole


def _codes(statuses: Mapping[int, tuple[str, str]]) -> dict[str, Any]:
    """CF attributes of a variable of codes."""
    words = " ".join(name.lower() for name, _ in statuses.values())
    return {"flag_values": np.array(list(statuses), np.int32), "flag_meanings": words}


def _plain(x: Any) -> Any:
    return np.asarray(x, float).tolist()


# ---------------------------------------------------------------------- files
def save_fit(
    fit: "Fit",
    path: Any,
    *,
    found: Fits | None = None,
    experiment: str | None = None,
    attributes: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write one HDF5 file, whole or not at all: every fit of every start and cell, ``/parameters`` of the best ones.

    ``found``: the numbers of :func:`fits_of` where cells were left out or have names. Raises what
    :func:`jaxmem.save_variables` raises.
    """
    found = fits_of(fit) if found is None else found
    total = len(found.names)
    axes = layout.Axes(total)
    put = _Places(np.flatnonzero(found.fitted), total, False)
    cells = fit.problem.cells
    best = fit.best().membrane
    if cells is not None:
        best = map_declared(lambda _, x: put(np.asarray(x)) if np.shape(x)[-1:] == (cells,) else x, best)
    tree, leaves, _ = encode(best, "parameters")
    n, m = found.jacobian.shape[:2]
    told = "derivatives of residuals with respect to what is free (to its logarithm)"
    dims = ("residual", "parameter", "start", "cell")
    jacobian = Variable(found.jacobian, dims, "1", told, {"parameters": " ".join(found.free)})
    coordinates = {
        "start": _index(found.starts, "start", "start"),
        "residual": _index(n, "residual", "residual; priors are the last"),
        "parameter": _index(m, "parameter", "free parameter"),
    }
    more = {
        "kind": KIND,
        "trees": {"membrane": tree},
        "reasons": {code: reason for code, (_, reason) in found.statuses.items()},
        "statuses": found.statuses,
        "varied": list(found.free),
        "free": found.free,
        "tied": found.tied,
        "rows": [dataclasses.asdict(row) for row in found.rows],
        "excluded": found.excluded,
        "words": found.words,
        "pairs": found.pairs,
    }
    store(
        path,
        {**axes.coordinates, **coordinates, **found.variables, "jacobian": jacobian},
        {"title": "Fits computed by jaxmem", **(attributes or {})},
        overwrite,
        beside=layout.parameters(leaves, axes),
        experiment=experiment,
        more=more,
    )


def _index(n: int, dim: str, told: str) -> Variable:
    return Variable(np.arange(n), (dim,), "1", f"index of the {told}")


def read_fits(path: Any) -> Fits:
    """What :func:`save_fit` wrote; raises StoreError for any other file."""
    with opened(path) as file:
        index = json.loads(file.text("structure/index") or "")
        if index.get("kind") != KIND:
            raise StoreError(f"{path} holds {index.get('kind', 'a simulation')}, no {KIND}")
        variables = {
            name: Variable(np.asarray(file.array(name)), tuple(v["dims"]), v["unit"], v["description"])
            for name, v in index["variables"].items()
            if name != "jacobian" and v["dims"] != [name]
        }
        text = lambda x: x.decode() if isinstance(x, bytes) else str(x)
        return Fits(
            variables,
            tuple(text(x) for x in variables["name"].values),
            {int(i): why for i, why in index["excluded"].items()},
            index["free"],
            {path: (to, ratio) for path, (to, ratio) in index["tied"].items()},
            tuple(Row(**row) for row in index["rows"]),
            tuple(index["words"]),
            {int(code): (name, reason) for code, (name, reason) in index["statuses"].items()},
            np.asarray(file.array("jacobian")),
            tuple((a, b) for a, b in index["pairs"]),
        )
