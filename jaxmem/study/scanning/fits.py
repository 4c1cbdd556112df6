"""A question: which numbers must the cell have to do what was measured of it?"""

import dataclasses
import functools
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import jax
import numpy as np

from jaxmem.analysis.fitting.fit import by_condition, fitted, several
from jaxmem.analysis.fitting.free import Free
from jaxmem.analysis.fitting.gradient_descent import GradientDescent
from jaxmem.analysis.fitting.levenberg_marquardt import LevenbergMarquardt
from jaxmem.analysis.fitting.method import Method
from jaxmem.analysis.fitting.problem import Problem, problem
from jaxmem.analysis.fitting.quantities import unit_of
from jaxmem.analysis.fitting.result import Fit, FitStatus
from jaxmem.analysis.fitting.target import Target
from jaxmem.analysis.fitting.trials import Trial
from jaxmem.analysis.fitting.trials import unit_of as seen_unit
from jaxmem.membrane.mechanism import Declaration
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import Parameter, declared, path_error
from jaxmem.study.fits import target_variables
from jaxmem.study.scanning.of_a_cell import OfACell, at_points, check_precision, check_typical
from jaxmem.study.scanning.question import STATUS, Output, apart

WIDTH = 64  # of a block of simulated fits, however many points there are: another width would round otherwise
METHODS = {kind.__name__: kind for kind in (LevenbergMarquardt, GradientDescent)}
INPUTS = ("measured_", "sd_")  # what a fit was given, which is known from the axes
LOST = (FitStatus.NO_STEADY_STATE, FitStatus.NOT_FINITE)


class Fits(OfACell):
    """A fit at each point: :func:`jaxmem.fit` of ``membrane`` (a typical cell), arguments as there, the best of its starts.

    Axes are parameters of the membrane that are neither free nor tied, and what is aimed at: ``targets.NAME``, its
    ``targets.NAME.sd``, and ``targets.NAME.0`` where a target has several values. Outputs, called as in the file of a fit:
    fitted parameters by their paths and ``PATH_at_bound``, ``fitted_NAME`` and ``residual_NAME`` (standard deviations) of each
    target, ``rest_v`` and ``rest_PATH`` of dynamic concentrations, ``cost``, ``iterations``, and the status
    (:class:`jaxmem.FitStatus`). A point is fitted by itself, so that nothing can be shared or pooled. Methods and targets
    must be such as a file can hold: names instead of functions and optimisers.
    """

    membrane: Membrane
    free: dict[str, dict[str, Any]]
    targets: dict[str, dict[str, Any]]  # ``during`` is an index of trials: targets that share one share its simulation
    trials: tuple[Trial, ...]
    tied: dict[str, Any]
    starts: int | None
    methods: tuple[dict[str, Any], ...]
    seed: int
    precision: str
    became: ClassVar[Any] = FitStatus

    def __init__(
        self,
        membrane: Membrane,
        *,
        free: Mapping[str, Any],
        targets: Mapping[str, Any],
        tied: Mapping[str, Any] | None = None,
        starts: int | None = None,
        method: Any = "levenberg_marquardt",
        seed: int = 0,
        precision: str = "float64",
    ):
        check_typical(membrane)
        check_precision(precision)
        if starts is not None and starts < 1:
            raise ValueError(f"starts is a number of at least 1, or None; found {starts}")
        chosen = {path: Free.of(bounds) for path, bounds in free.items()}
        aims = {name: Target.of_number(t) for name, t in targets.items()}
        laid_out = problem(membrane, chosen, aims, tied)
        if laid_out.cells is not None:
            raise ValueError(
                "bounds, priors, ties and targets of a scan are numbers; what differs is an axis of the design"
            )
        trials = {id(t.during): t.during for t in aims.values() if t.during is not None}
        self.membrane = membrane
        self.free = {path: _free_told(path, f) for path, f in chosen.items()}
        self.targets = {name: _target_told(name, t, list(trials)) for name, t in aims.items()}
        self.trials = tuple(trials.values())
        self.tied = {path: (other, float(ratio)) for path, (other, ratio) in laid_out.tied.items()}
        self.starts = starts
        self.methods = tuple(_method_told(m) for m in several(method))
        self.seed = int(seed)
        self.precision = precision

    @property
    def kind(self) -> str:
        return "fits"

    @property
    def known(self) -> dict[str, Parameter]:
        own = {p: x for p, x in self.membrane.parameters().items() if p not in self.free and p not in self.tied}
        return own | {path: Parameter(x, d.unit, d.description) for path, (x, d) in self._aims().items()}

    @property
    def declarations(self) -> dict[str, Declaration]:
        own = {path: d for path, _, d in declared(self.membrane, absent=True)}
        kept = {path: d for path, d in own.items() if path not in self.free and path not in self.tied}
        return kept | {path: d for path, (_, d) in self._aims().items()}

    @property
    def most(self) -> int:
        return max(512, 65_536 // (self.starts or 1))

    @property
    def working_bytes(self) -> int:
        numbers = (len(self.membrane.pools()) + 4) * (len(self.free) + 2) + 4 * len(self.targets)
        return 8 * 8 * numbers * (self.starts or 1)

    @functools.cached_property
    def outputs(self) -> dict[str, Output]:
        """What there is to know of a point; found without a fit, whose program would serve for nothing else."""
        laid_out, none = self._problem(self.membrane, {}, 1), np.zeros(1)
        rows = {name: by_condition(laid_out, name, np.zeros((len(span), 1))) for name, span in laid_out.rows.items()}
        pools = {f"{name}.{side}": none for name, side in self.membrane.pools()}
        empty = SimpleNamespace(
            membrane=laid_out.membrane, parameters=dict.fromkeys((*self.free, *self.tied), none),
            at_bound=dict.fromkeys(self.free, none), targets=laid_out.targets, values=rows, residuals=rows, cost=none,
            rest=SimpleNamespace(v=none, concentrations=pools), status=none, iterations=none,
        )  # fmt: skip
        found, told = self._told(empty, 1)
        return {name: Output(*told[name][:2], x.dtype, None if x.ndim == 1 else len(x), told[name][2])
                for name, x in found.items()}  # fmt: skip

    def answer(self, values: Mapping[str, np.ndarray], index: np.ndarray) -> tuple[dict[str, np.ndarray], dict]:
        return self._told(self.fitted(values, index), len(index))

    def _told(self, fit: Any, points: int) -> tuple[dict[str, np.ndarray], dict[str, tuple[str, str, Any]]]:
        """The numbers of fits, and what they are."""
        found: dict[str, np.ndarray] = {}
        told: dict[str, tuple[str, str, Any]] = {}

        def add(name: str, x: Any, unit: str, what: str) -> None:
            found[name], told[name] = np.asarray(x), (unit, what, None)

        def put(name: str, x: Any, unit: str, what: str, *dims: Any) -> None:
            if not name.startswith(INPUTS):
                add(name, x, unit, what)

        known = fit.membrane.parameters()
        for path, x in fit.parameters.items():
            add(path, x, known[path].unit, f"{known[path].description}, fitted")
        for path, at in fit.at_bound.items():
            add(f"{path}_at_bound", at, "1", f"whether {path} stands at a bound: 1, else 0")
        for name, target in fit.targets.items():
            target_variables(put, name, target, fit, points, self._unit(name, target))
        add("rest_v", fit.rest.v, "mV", "resting potential of the fitted cell")
        for path, level in sorted(fit.rest.concentrations.items()):
            unit = unit_of(self.membrane, path)
            add(f"rest_{path}", level, unit, f"concentration of {path.replace('.', ' ')} at rest of the fitted cell")
        add("cost", fit.cost, "1", "sum of squares of residuals and priors")
        lost = np.isin(fit.status, LOST)
        found = {name: np.where(lost | ~np.isfinite(x), np.nan, x).astype(self.precision) for name, x in found.items()}
        add("iterations", np.asarray(fit.iterations, np.int32), "1", "steps of the search, of the best start")
        found[STATUS] = np.asarray(fit.status, np.int32)
        told[STATUS] = ("1", "what became of the fit", {int(s): s.name.lower() for s in FitStatus})
        return found, told

    def fitted(self, values: Mapping[str, np.ndarray], index: np.ndarray) -> Fit:
        """The fits of these points, each the best of its starts, cells in the order of the points."""
        own, aims = apart(values, "targets")
        for path in own:
            if path in self.free or path in self.tied:
                raise path_error(path, list(self.known))
        asked = self._problem(at_points(self.membrane, own, len(index)), aims, len(index))
        if self.trials:
            asked = dataclasses.replace(asked, layout=dataclasses.replace(asked.layout, width=WIDTH))
        methods: list[Method] = [
            METHODS[told["name"]](**{k: x for k, x in told.items() if k != "name"}) for told in self.methods
        ]
        with jax.enable_x64(True):
            return fitted(asked, self.starts, methods, self.seed, np.dtype(self.precision)).best()

    def _problem(self, cells: Membrane, aims: Mapping[str, np.ndarray], points: int) -> Problem:
        free = {path: Free(**told) for path, told in self.free.items()}
        return problem(cells, free, {name: self._target(name, aims, points) for name in self.targets}, self.tied)

    # ------------------------------------------------------------------ targets
    def _target(self, name: str, given: Mapping[str, np.ndarray], points: int) -> Target:
        """The target with what is aimed at in each point."""
        told = dict(self.targets[name])
        for field, prefix in (("value", name), ("sd", f"{name}.sd")):
            parts = [given.get(path) for path in _places(prefix, told[field])]
            if any(x is not None for x in parts):
                own = np.ravel(np.asarray(told[field], float))
                rows = [np.full(points, x) if y is None else y for x, y in zip(own, parts, strict=True)]
                told[field] = np.reshape(rows, (*np.shape(told[field]), points))
        during = told.pop("during")
        return Target(**told, during=None if during is None else self.trials[during])

    def _aims(self) -> dict[str, tuple[float, Declaration]]:
        """What an axis may be of the targets: value and declaration by path."""
        found = {}
        for name in self.targets:
            t = self._target(name, {}, 1)
            unit = self._unit(name, t)
            for field, prefix, what, positive in (
                (t.value, name, f"{name.replace('_', ' ')} that is aimed at", False),
                (t.sd, f"{name}.sd", f"standard deviation of {name.replace('_', ' ')}", True),
            ):
                for path, x in zip(_places(prefix, field), np.ravel(np.asarray(field, float)), strict=True):
                    found[f"targets.{path}"] = (float(x), Declaration(unit, what, positive=positive))
        return found

    def _unit(self, name: str, target: Target) -> str:
        of = target.of or name
        if target.during is not None:
            return seen_unit(self.membrane, target.during.on_grid(self.membrane), cast("str", of))[0]
        return unit_of(self.membrane, cast("str", of))  # functions were refused


def _places(prefix: str, x: Any) -> list[str]:
    """What the numbers of a target are called: one has its name, several are counted from 0."""
    return [prefix] if np.ndim(x) == 0 else [f"{prefix}.{i}" for i in range(np.size(x))]


def _free_told(path: str, f: Free) -> dict[str, Any]:
    if f.shared or f.pooled is not None:
        raise ValueError(f"{path} cannot be shared or pooled: in a scan every point is fitted by itself")
    prior = None if f.prior is None else tuple(float(np.asarray(x)) for x in f.prior)
    return {"low": float(np.asarray(f.low)), "high": float(np.asarray(f.high)), "scale": f.scale, "prior": prior}


def _target_told(name: str, t: Target, trials: list[int]) -> dict[str, Any]:
    if callable(t.of) and t.during is None:
        raise ValueError(
            f"target {name}: a function cannot be stored with the results of a scan; aim at a quantity by its name"
        )
    at = [dict(x) if isinstance(x, Mapping) else x for x in t.conditions]
    plain = lambda x: float(x) if np.ndim(x) == 0 else np.asarray(x, float)
    at = [{p: plain(x) for p, x in c.items()} if isinstance(c, dict) else c for c in at]
    return {
        "value": plain(t.value), "sd": plain(t.sd), "at": at if t.listed else at[0], "of": t.of,
        "during": None if t.during is None else trials.index(id(t.during)),
    }  # fmt: skip


def _method_told(method: Method) -> dict[str, Any]:
    told = {f.name: getattr(method, f.name) for f in dataclasses.fields(method)}  # type: ignore[arg-type]
    odd = [k for k, x in told.items() if not (x is None or type(x) in (int, float, str))]
    if type(method).__name__ not in METHODS or odd:
        raise ValueError(
            f"{method!r} cannot be stored with the results of a scan; take 'levenberg_marquardt', "
            "jm.LevenbergMarquardt(...), or jm.GradientDescent(...) with an optimiser by name and a number for its rate"
        )
    return {"name": type(method).__name__, **told}
