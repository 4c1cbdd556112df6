"""Richardson's extrapolation of the default integrator: two runs, of dt and dt/2, make one whose leading error is gone.

With an error c*dt^p the combination (2^p*fine - coarse)/(2^p - 1) is free of it; p is 2 for the default. Spike times of
the squid at dt 0.1 and 0.05 ms are then within 0.003 ms. L. F. Richardson (1911), Phil Trans R Soc A 210:307,
doi:10.1098/rsta.1911.0009.
"""

import dataclasses
from typing import Any

import numpy as np

from jaxmem.engine.integrators import Staggered
from jaxmem.engine.measures import MEASURES
from jaxmem.engine.request import look_up_measures
from jaxmem.engine.rush_larsen import RushLarsen
from jaxmem.engine.simulate import simulate
from jaxmem.engine.simulation import Simulation
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.state import State, Status

ORDER = {Staggered: 2, RushLarsen: 1}


@dataclasses.dataclass(frozen=True)
class Extrapolated:
    """What :func:`richardson` returns.

    ``agree`` (cells,) says where both runs went well with the same number of spikes: there ``traces``, ``measures`` and
    ``final_v`` (mV) are extrapolated; elsewhere, and where a measure is a count, they are those of ``fine``. Names and
    shapes are those of :class:`Simulation`. A trace is extrapolated sample by sample, which is sound as long as the spikes
    of the two runs lie much closer together than a spike is wide.
    """

    coarse: Simulation
    fine: Simulation
    agree: np.ndarray
    traces: dict[str, np.ndarray]
    measures: dict[str, np.ndarray]
    final_v: np.ndarray

    @property
    def time(self) -> np.ndarray:
        """Sampling times (ms) of the first record."""
        return self.fine.time


def richardson(
    membrane: Membrane,
    duration: float,
    *,
    dt: float = 0.1,
    initial: State | None = None,
    measures: Any = (),
    **how: Any,
) -> Extrapolated:
    """Simulate with dt and with dt/2 and extrapolate; arguments as for :func:`jaxmem.simulate`.

    Raises ValueError for an integrator other than the default or RushLarsen (of the others a step of the stimulus or the
    tolerance sets the error, not a power of dt), and what :func:`jaxmem.simulate` raises.
    """
    kind = type(how.get("integrator") or Staggered())
    if kind not in ORDER:
        raise ValueError(
            f"Richardson's extrapolation is for {' and '.join(k.__name__ for k in ORDER)}, not {kind.__name__}"
        )
    wanted = look_up_measures(measures)
    counted = "spike_count" if "spike_count" in wanted else "spikes of the pair"
    folded = wanted | {counted: wanted.get(counted) or MEASURES["spike_count"]()}
    twice = None
    if initial is not None:  # the same time is twice as many steps of half the length
        twice = State(**{**vars(initial), "step": np.int32(2 * np.asarray(initial.step))})
    coarse = simulate(membrane, duration, dt=dt, initial=initial, measures=folded, **how)
    fine = simulate(membrane, duration, dt=0.5 * dt, initial=twice, measures=folded, **how)
    fine_spikes, coarse_spikes = fine.measures[counted], coarse.measures[counted]
    agree = (fine_spikes == coarse_spikes) & (fine.status == Status.OK) & (coarse.status == Status.OK)

    part = 1 / (2 ** ORDER[kind] - 1)

    def better(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> np.ndarray:
        """From the fine a and the coarse b."""
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        return np.where(where & np.isfinite(a) & np.isfinite(b), a + part * (a - b), a)

    def of_cells(name: str) -> np.ndarray:
        return agree[fine.recorded[name].cells] if agree.ndim else agree

    counts = {name for name, x in fine.measures.items() if _whole(x) and _whole(coarse.measures[name])}
    measured = {
        name: np.asarray(x) if name in counts else better(x, coarse.measures[name], agree)
        for name, x in fine.measures.items()
        if name in wanted or name != counted
    }
    end = lambda sim: np.asarray(sim.final_state.v, np.float64) + np.asarray(sim.final_state.v_low, np.float64)
    return Extrapolated(
        coarse=coarse,
        fine=fine,
        agree=agree,
        traces={name: better(x, coarse.traces[name], of_cells(name)) for name, x in fine.traces.items()},
        measures=measured,
        final_v=better(end(fine), end(coarse), agree),
    )


def _whole(x: np.ndarray) -> bool:
    """Whether all that is known of a measure is a whole number: a count."""
    known = np.asarray(x)[np.isfinite(x)]
    return bool(np.all(known == np.round(known)))
