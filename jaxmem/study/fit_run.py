"""Running the fit that a file asks for."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jaxmem.analysis.fitting.fit import fit
from jaxmem.analysis.fitting.free import Free
from jaxmem.analysis.fitting.target import Target
from jaxmem.study.fit_table import FitPlan

if TYPE_CHECKING:
    from jaxmem.analysis.fitting.result import Fit


def run(plan: FitPlan, progress: Callable[[int, int], None] | None = None) -> "Fit":
    """Fit the cells of ``plan``; ``progress(done, total)`` counts fits. Raises what :func:`jaxmem.fit` raises."""
    return fit(plan.membrane, **arguments(plan), progress=progress)


def arguments(plan: FitPlan) -> dict[str, Any]:
    """What :func:`jaxmem.fit` takes beside the membrane."""
    free = {}
    for path, x in plan.free.items():
        prior = None if x.prior is None else (x.prior[0], x.prior[1])
        free[path] = Free(x.low, x.high, scale=x.scale, prior=prior, shared=x.shared, pooled=x.pooled)
    targets = {}
    for name, aim in plan.aims.items():
        value, sd = (x if plan.cells is not None else x[:, 0] for x in (aim.value, aim.sd))
        if len(aim.at) > 1:
            targets[name] = Target(value, sd, at=aim.at, of=aim.of)
        else:
            targets[name] = Target(value[0], sd[0], at=aim.at[0] or None, of=aim.of)
    return {
        "free": free, "targets": targets, "tied": plan.tied, "starts": plan.starts, "method": plan.method,
        "seed": plan.seed, "precision": plan.precision,
    }  # fmt: skip
