"""A question: what does the cell do when it is simulated?"""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np

from jaxmem.analysis.resting import resting_state
from jaxmem.engine.integrators import Integrator, Staggered
from jaxmem.engine.measures import Measure
from jaxmem.engine.request import find_dtype, look_up_measures
from jaxmem.engine.simulate import simulate
from jaxmem.engine.simulation import Simulation
from jaxmem.membrane.mechanism import Declaration
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import Parameter, declared, map_declared
from jaxmem.membrane.state import Status
from jaxmem.rig.protocol import Change
from jaxmem.rig.stimuli import Stimulus
from jaxmem.study.scanning.of_a_cell import OfACell, at_points, check_precision
from jaxmem.study.scanning.question import STATUS, apart

DRAWS = 2**31 - 1  # random numbers are keyed by an int32: points so far apart share theirs


class Simulations(OfACell):
    """``measures`` of a simulation of ``duration`` ms in steps of ``dt`` ms at each point, arguments as for
    :func:`jaxmem.simulate`.

    ``initial``: "given" (at ``initial_v`` with steady gates) or "steady" (each cell starts in its own resting state).
    Axes may be of the membrane, of the stimulus (``stimulus.charge_density``) and of what changes in time
    (``changes.0.concentration``). Outputs are the measures, and ``failed_at`` (ms).
    """

    membrane: Membrane
    duration: float
    measures: tuple[str | Measure, ...] | dict[str, str | Measure]
    dt: float = 0.025
    stimulus: Stimulus | None = None
    changes: tuple[Change, ...] = ()
    initial: str = "given"
    precision: str = "float32"
    integrator: Integrator = Staggered()

    def __check_init__(self) -> None:
        check_precision(self.precision)
        if self.initial not in ("given", "steady"):
            raise ValueError(f"initial is 'given' or 'steady', not {self.initial!r}")
        if not self.measures:
            raise ValueError("a scan of simulations keeps measures alone, and none is asked for: give measures")
        look_up_measures(self.measures)

    @property
    def kind(self) -> str:
        return "simulations"

    @property
    def known(self) -> dict[str, Parameter]:
        parts = (("stimulus", self.stimulus), ("changes", self.changes))
        return self.membrane.parameters() | {
            f"{name}.{p}": Parameter(x, d.unit, d.description) for name, part in parts for p, x, d in declared(part)
        }

    @property
    def declarations(self) -> dict[str, Declaration]:
        parts = (("stimulus", self.stimulus), ("changes", self.changes))
        inside = {f"{name}.{p}": d for name, part in parts for p, _, d in declared(part)}
        return {path: d for path, _, d in declared(self.membrane, absent=True)} | inside

    @property
    def working_bytes(self) -> int:
        numbers = len(jax.tree.leaves(self.membrane.initial_state())) + len(self.measures)
        return 4 * numbers * (4 if self.precision == "float32" else 8)  # before, after, on their way in and out

    def answer(self, values: Mapping[str, np.ndarray], index: np.ndarray) -> tuple[dict[str, np.ndarray], dict]:
        done = self.simulated(values, index)
        found = {name: m.values.astype(self.precision) for name, m in done.measured.items()}
        found["failed_at"] = done.failed_at.astype(self.precision)
        found[STATUS] = np.asarray(done.status, np.int32)
        told: dict[str, Any] = {name: (m.unit, m.description, None) for name, m in done.measured.items()}
        told["failed_at"] = ("ms", "when the cell was found to have failed", None)
        told[STATUS] = ("1", "what became of the cell", {int(s): s.name.lower() for s in Status})
        return found, told

    def simulated(self, values: Mapping[str, np.ndarray], index: np.ndarray, **how: Any) -> Simulation:
        """The simulation of these points, cells in their order; ``how``: more arguments of :func:`jaxmem.simulate`."""
        own, driven, changed = apart(values, "stimulus", "changes")
        cells = at_points(self.membrane, own, len(index))
        stimulus = map_declared(lambda path, x: driven.get(path, x), self.stimulus) if driven else self.stimulus
        changes = map_declared(lambda path, x: changed.get(path, x), self.changes) if changed else self.changes
        dtype = find_dtype(self.precision)
        state = resting_state(cells).state if self.initial == "steady" else cells.initial_state(dtype=dtype)
        # a point's random draws are its own, whatever chunk it is in
        state = eqx.tree_at(lambda s: s.cell, state, (index % DRAWS).astype(np.int32))
        return simulate(
            cells, self.duration, dt=self.dt, stimulus=stimulus, changes=changes, initial=state, measures=self.measures,
            integrator=self.integrator, precision=self.precision, **how,
        )  # fmt: skip
