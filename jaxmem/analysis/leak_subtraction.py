"""P/N leak subtraction: what is left of a clamp current when its linear part is taken away."""

import dataclasses
from typing import Any

import numpy as np

from jaxmem.engine.records import Record
from jaxmem.engine.simulate import simulate
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import cell_count, concatenate
from jaxmem.rig.clamp import VoltageClamp
from jaxmem.rig.timecourse import TimeCourse


@dataclasses.dataclass(frozen=True)
class LeakSubtracted:
    """Clamp currents (samples, cells) in uA/cm^2, outward positive, at ``time`` (ms).

    ``raw`` as measured, ``leak`` the scaled current of the subpulses, ``current`` what is left; each of the last two
    from its level at the last sample before the command begins.
    """

    time: np.ndarray
    raw: np.ndarray
    leak: np.ndarray
    current: np.ndarray


def leak_subtracted(
    membrane: Membrane,
    clamp: VoltageClamp,
    duration: float,
    *,
    n: float = 4.0,
    holding: float | None = None,
    every: float | None = None,
    **how: Any,
) -> LeakSubtracted:
    """Run a family of commands and its subpulses as one population, and subtract.

    A subpulse is 1/n of the command from ``holding`` (mV; the clamp's own if None), which should lie where no channel
    opens; n is negative for pulses the other way. A model repeats itself exactly, so the n subpulses of an experiment
    are one here, whose current counts n times. C. M. Armstrong & F. Bezanilla (1974), J Gen Physiol 63:533,
    doi:10.1085/jgp.63.5.533. ``how`` is passed to :func:`jaxmem.simulate`; cells start at their holding potential with
    steady gates. Raises ValueError for n = 0 or a command that is no :class:`TimeCourse`.
    """
    if not n or not np.isfinite(n):
        raise ValueError(f"n is how many subpulses make a pulse, such as 4 or -4; found {n!r}")
    if not isinstance(clamp.command, TimeCourse):
        raise ValueError("leak is subtracted from a command in steps or lines: give the clamp a TimeCourse")
    course, base = clamp.command, np.asarray(clamp.holding, float)
    cells = membrane.cells or cell_count(clamp) or 1
    small = base if holding is None else np.asarray(holding, float)
    whole = lambda x: np.broadcast_to(np.asarray(x, float), (cells,))
    both = lambda x, y: np.concatenate([whole(x), whole(y)])
    values = [both(k.value, small + (np.asarray(k.value) - base) / n) for k in course.knots]
    times = [both(k.time, k.time) for k in course.knots]
    doubled: Any = {}
    for name in ("series_resistance", "compensation", "pipette_capacitance", "seal_conductance"):
        x = getattr(clamp, name)
        doubled[name] = both(x, x) if np.ndim(x) else x
    tau: Any = both(course.tau, course.tau) if course.tau is not None and np.ndim(course.tau) else course.tau
    levels: Any = both(base, small)
    command = TimeCourse(times, values, course.interpolation, tau)
    rig = VoltageClamp(command, levels, carrier=clamp.carrier, **doubled)
    one = membrane if membrane.cells else membrane.with_parameters({"initial_v": np.full(cells, base)})
    pair = concatenate([one, one])
    dt = how.get("dt", 0.025)
    run = simulate(
        pair,
        duration,
        stimulus=rig,
        initial=pair.initial_state(levels, dtype=how.get("precision")),
        record=Record("clamp", every=dt if every is None else every),
        **how,
    )
    trace = run.recorded["clamp"]
    raw, sub = np.asarray(trace.values[:, :cells], float), np.asarray(trace.values[:, cells:], float)
    before = max(int(np.searchsorted(trace.time, np.min(course.knots[0].time) - 1e-9)) - 1, 0)
    leak = n * (sub - sub[before])
    return LeakSubtracted(trace.time, raw, leak, raw - raw[before] - leak)
