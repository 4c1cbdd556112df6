"""The rows of a fit: residuals of targets, priors and pools, and what each is in words."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmem.analysis.fitting.quantities import unit_of
from jaxmem.membrane.membrane import Membrane
from jaxmem.rig.schedules import Drug

if TYPE_CHECKING:
    from jaxmem.analysis.fitting.result import Fit


def row_labels(fit: "Fit") -> dict[str, list[str]]:
    """By target, a label for each of its rows: ``resting_potential at k.outside = 10 mM``."""
    found = {}
    for name, target in fit.targets.items():
        here = [condition_told(c, fit.problem.membrane) for c in target.conditions]
        count = len(fit.problem.rows[name])
        samples = count // len(here)
        found[name] = [
            name + (f" at {c}" if c else "") + (f" [{i}]" if samples > 1 else "") for c in here for i in range(samples)
        ]
    return found


def extra_labels(fit: "Fit") -> list[str]:
    """Labels of the rows after those of targets."""
    names, layout = list(fit.free), fit.problem.layout
    return [f"the prior of {names[i]}" for i in layout.priors] + [f"the pool of {names[i]}" for i in layout.pooled]


def coordinates(fit: "Fit") -> np.ndarray:
    """(coordinates, *S), in the order of the columns of ``fit.jacobian``: free parameters, then common values of pools."""
    shape, layout = np.shape(fit.cost), fit.problem.layout
    found = [np.broadcast_to(f.coordinate(fit.parameters[path]), shape) for path, f in fit.free.items()]
    for i in layout.pooled:
        path = layout.free[i]
        middle = fit.free[path].coordinate(fit.common[path])  # over starts
        middle = middle[..., None] if np.ndim(middle) and len(shape) > 1 else middle
        found.append(np.broadcast_to(np.reshape(middle, -1)[0] if len(shape) < 2 else middle, shape))
    return np.stack(found)


def residual_rows(fit: "Fit") -> np.ndarray:
    """(rows, *S) residuals in the order of ``fit.jacobian``, 0 where not measured."""
    shape, layout = np.shape(fit.cost), fit.problem.layout
    rows = [np.nan_to_num(np.asarray(x, float)).reshape(-1, *shape) for x in fit.residuals.values()]
    here = coordinates(fit)
    for i in layout.priors:
        f = fit.free[layout.free[i]]
        assert f.prior is not None
        rows.append(((here[i] - f.coordinate(f.prior[0])) / np.asarray(f.prior[1], float))[None])
    for k, i in enumerate(layout.pooled):
        rows.append(((here[i] - here[len(fit.free) + k]) / fit.free[layout.free[i]].pooled)[None])
    return np.concatenate(rows)


def condition_told(condition: Mapping[str, Any] | Drug, membrane: Membrane) -> str:
    """``k.outside = 10 mM``; empty where the condition is the membrane's own."""
    if isinstance(condition, Drug):
        return f"{condition.concentration.knots[-1].value:g} of a drug on {condition.path}"
    units = {path: p.unit for path, p in membrane.parameters().items()}
    return ", ".join(f"{path} = {_range(value)}{_unit(units.get(path, '1'))}" for path, value in condition.items())


def target_unit(fit: "Fit", name: str) -> str:
    """The unit of what a target measures, with a blank before it; empty where only the user knows."""
    of = fit.targets[name].of or name
    return _unit(unit_of(fit.problem.membrane, of)) if isinstance(of, str) and fit.targets[name].during is None else ""


def _unit(unit: str) -> str:
    return "" if unit == "1" else f" {unit}"


def _range(value: Any) -> str:
    x = np.asarray(value, float)
    return f"{x.min():g}" if np.ptp(x) == 0 else f"{x.min():g} to {x.max():g}"
