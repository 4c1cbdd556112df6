"""Measures of what activity costs: ions moved, ATP used, energy."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.engine.measures.base import Measure, Plan, Result, StepView, Total, filled
from jaxmem.engine.measures.detect import Peak, Spikes
from jaxmem.membrane.mechanism import parameter
from jaxmem.units import AVOGADRO, FARADAY

PICOMOLES = 1e3 / FARADAY  # pmol/cm^2 in 1 nC/cm^2


class ConcentrationChange(Measure):
    """Change of every dynamic concentration over the run, from the book: exact in float32 too."""

    unit, description = "mM", "change of concentration over the run"

    def result(self, fold: Any, run: Result) -> dict[str, np.ndarray]:
        return {path: after - run.concentrations_before[path] for path, after in run.concentrations_after.items()}


def _atp_used(run: Result, species: str, name: str) -> np.ndarray:
    """Mean over the run, pmol/(cm^2 s)."""
    if species not in run.book_change:
        raise ValueError(f"the measure {name!r} needs a species {species!r}, which this membrane does not have")
    seconds = (run.plan.stop - run.plan.start) / 1e3
    return run.book_change[species] * PICOMOLES / seconds


class ATP(Measure):
    """ATP used per membrane area and second, the mean over the run: charge-equivalents of the species ``atp`` over F.

    Needs a membrane that counts ATP: a species ``atp`` and a pump that names it. 1 pmol/(cm^2 s) of a 3:2 pump is a net
    current of 0.0965 uA/cm^2.
    """

    unit, description = "pmol/(cm^2*s)", "ATP used, mean over the run"
    species: str = eqx.field(static=True, default="atp")

    def result(self, fold: Any, run: Result) -> np.ndarray:
        return _atp_used(run, self.species, "atp")


class PumpTurnover(Measure):
    """Cycles of all pumps of the cell per second (an ATP each), the mean over the run. Needs what :class:`ATP` needs."""

    unit, description = "1/s", "pump cycles of the whole cell per second, mean over the run"
    species: str = eqx.field(static=True, default="atp")

    def result(self, fold: Any, run: Result) -> np.ndarray:
        used = _atp_used(run, self.species, "pump_turnover")
        assert run.membrane is not None, "a trace has no book"
        area = np.asarray(run.membrane.geometry.area, float) * 1e-8  # cm^2
        return used * area * 1e-12 * AVOGADRO


class Energy(Measure):
    """Free energy of the ATP used, per membrane area and second, the mean over the run. Needs what :class:`ATP` needs.

    ``per_mole`` is the free energy of hydrolysis in the cell (kJ/mol); its default of 50 is a round number of the usual
    size, not seen in a source: give the value you trust.
    """

    unit, description = "nJ/(cm^2*s)", "free energy of the ATP used, mean over the run"
    species: str = eqx.field(static=True, default="atp")
    per_mole: float = parameter("kJ/mol", "free energy of ATP hydrolysis", default=50.0, positive=True)

    def result(self, fold: Any, run: Result) -> np.ndarray:
        return _atp_used(run, self.species, "energy_per_second") * np.asarray(self.per_mole, float)  # pmol kJ/mol = nJ


class Entry(eqx.Module):
    """Spikes, and charge of the carrier (outward positive) in the stretch and at rest."""

    peak: Peak | None
    count: jax.Array
    during: Total
    resting: Total


class ATPPerSpike(Spikes):
    """What a spike costs: the entry of ``species`` in excess of that at rest, over ``per_atp`` ions that an ATP pumps out.

    ``(entry in the stretch - entry at rest per time * duration)/(spikes*per_atp)``, entry at rest from the last 20 ms before
    the stimulus. The entry is net of what the pump puts out meanwhile, so that in a long train, where the pump works
    faster, it is too small by that; let the stretch end soon after the spikes. Counting ions so: D. Attwell & S. B.
    Laughlin (2001), J Cereb Blood Flow Metab 21:1133, doi:10.1097/00004647-200110000-00001. 1 pmol/cm^2 is 6022 ATP per
    um^2. NaN without a spike or without time before the stimulus.
    """

    unit, description = "pmol/cm^2", "ATP to undo a spike's excess entry of its carrier"
    species: str = eqx.field(static=True, kw_only=True)
    per_atp: float = parameter("1", "ions that an ATP pumps out", default=3.0, positive=True)
    rest: tuple[Any, Any] = filled((0, 0))

    def on_grid(self, plan: Plan) -> "ATPPerSpike":
        first, last = plan.before if plan.onset is not None else (plan.start, plan.start)
        rest = (plan.step(max(first, last - 20.0)), plan.step(last))
        return eqx.tree_at(lambda m: m.rest, super().on_grid(plan), rest)

    def init(self, v: jax.Array) -> Entry:
        return Entry(self.look(v), jnp.zeros(v.shape, jnp.int32), Total.zero(v), Total.zero(v))

    def update(self, fold: Entry, view: StepView) -> Entry:
        peak, event = self.find(fold.peak, view)
        moved, step = view.charge(self.species), view.step
        resting = (step >= self.rest[0]) & (step < self.rest[1])
        during, before = fold.during.plus(moved, self.inside(step)), fold.resting.plus(moved, resting)
        return Entry(peak, fold.count + event.happened.astype(jnp.int32), during, before)

    def result(self, fold: Entry, run: Result) -> np.ndarray:
        assert run.membrane is not None, "a trace has no flow"
        first, last = (run.plan.step(t) for t in (run.plan.start, run.plan.stop))
        steps = float(min(self.steps[1], last) - max(self.steps[0], first))
        resting = float(self.rest[1] - self.rest[0])
        count = np.asarray(fold.count)
        ions = PICOMOLES / run.membrane.species[self.species].valence
        before = fold.resting.number * steps / (resting or np.nan)
        return (
            (before - fold.during.number) * ions / np.where(count > 0, count, np.nan) / np.asarray(self.per_atp, float)
        )
