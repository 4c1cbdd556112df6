"""The same folds over a recorded voltage: what a measure says of a simulation it says of a recording."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxmem.engine.measures.base import Measure, Plan, Result, StepView


def measure_trace(
    v: ArrayLike,
    time: ArrayLike,
    measures: Any,
    *,
    onset: float | None = None,
    offset: float | None = None,
    current: ArrayLike | None = None,
) -> dict[str, np.ndarray]:
    """Measures of recorded voltages: name -> (cells,), or (entries, cells) where a measure has several.

    ``v`` (mV): (samples,) or (samples, cells), whose precision is that of the folds. ``time`` (ms): of the samples, evenly
    spaced. ``measures``: as for :func:`jaxmem.simulate`. ``onset``, ``offset`` (ms): of the stimulus. ``current``: what the
    electrode injected (uA/cm^2) at each sample, for measures that ask for it; a step has its first sample's.

    Raises ValueError where time is not evenly spaced or a measure needs more than a trace tells.
    """
    from jaxmem.engine.request import look_up_measures

    voltages, times = jnp.asarray(v), np.asarray(time, float)
    if not jnp.issubdtype(voltages.dtype, jnp.floating):
        voltages = voltages.astype(float)
    if times.ndim != 1 or times.size < 3 or voltages.shape[0] != times.size or voltages.ndim > 2:
        raise ValueError(
            f"v is (samples,) or (samples, cells) with a time for each sample, at least 3; found {voltages.shape} and "
            f"{times.shape}"
        )
    dt = float(times[-1] - times[0]) / (times.size - 1)
    first = round(float(times[0]) / dt) if dt > 0 else 0
    if dt <= 0 or np.max(np.abs(times - times[0] - dt * np.arange(times.size))) > 1e-3 * dt:
        raise ValueError("the samples must be evenly spaced in time, and time must rise; interpolate them first")
    plan = Plan(dt, first * dt, (first + times.size - 1) * dt, onset, offset)
    folded = {name: m.on_grid(plan) for name, m in look_up_measures(measures).items()}
    charge = None
    if current is not None:
        charge = jnp.broadcast_to(jnp.asarray(current, voltages.dtype), voltages.shape)[:-1] * dt
    folds = _fold(folded, voltages, charge, jnp.asarray(dt, voltages.dtype), jnp.asarray(first, jnp.int32))
    run = Result(None, plan, {}, {}, {})
    found: dict[str, np.ndarray] = {}
    for name, measure in folded.items():
        values = measure.result(folds[name], run)
        named = values.items() if isinstance(values, dict) else [("", values)]
        found |= {f"{name}.{key}" if key else name: np.asarray(x, float) for key, x in named}
    return found


@eqx.filter_jit
def _fold(
    measures: dict[str, Measure], v: jax.Array, charge: jax.Array | None, dt: jax.Array, first: jax.Array
) -> dict[str, Any]:
    none = jnp.zeros_like(v[0])

    def step(folds: dict[str, Any], i: jax.Array) -> tuple[dict[str, Any], None]:
        before, after = v[i], v[i + 1]
        flow = {} if charge is None else {"electrode": charge[i]}
        spiked = (before < 0) & (after >= 0)
        view = StepView(before, after, none, none, spiked, first + i, dt, flow)
        return {name: m.update(folds[name], view) for name, m in measures.items()}, None

    start = {name: m.init(v[0]) for name, m in measures.items()}
    folds, _ = jax.lax.scan(step, start, jnp.arange(v.shape[0] - 1, dtype=jnp.int32))
    return {name: m.kept(folds[name]) for name, m in measures.items()}
