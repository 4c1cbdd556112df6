"""The result of a run."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmem.engine.audit import Audit
from jaxmem.engine.integrators import Integrator
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.state import State, Status
from jaxmem.rig.protocol import Change
from jaxmem.rig.stimuli import Stimulus


@dataclasses.dataclass(frozen=True)
class Trace:
    """One recorded variable: ``values`` (samples, cells) in ``unit`` at ``time`` (ms) of the ``cells`` (indices)."""

    values: np.ndarray
    time: np.ndarray
    cells: np.ndarray
    unit: str
    description: str


@dataclasses.dataclass(frozen=True)
class Measured:
    """One measure: ``values`` (cells,) in ``unit``; NaN for cells that failed and where there is nothing to measure.

    A measure of several entries per cell, such as spike times, has values (entries, cells).
    """

    values: np.ndarray
    unit: str
    description: str


@dataclasses.dataclass(frozen=True)
class Labels:
    """What each cell is called in one respect: ``values`` (cells,) are indices of the ``names``, single words."""

    values: np.ndarray
    names: tuple[str, ...]
    description: str

    @property
    def counts(self) -> dict[str, int]:
        """How many cells have each name."""
        return {name: int(np.sum(self.values == i)) for i, name in enumerate(self.names)}


@dataclasses.dataclass(frozen=True)
class Simulation:
    """What :func:`jaxmem.simulate` returns. Without a cell axis in the membrane, all arrays come without one.

    ``membrane``, ``stimulus``, ``changes``, ``integrator``, ``initial_state``, ``dt``, ``duration`` and ``precision`` are
    what was run, as given:
    they suffice to run it again, bit for bit. ``info`` says on what and how fast: device, versions, wall time.
    ``labels`` name the cells, where the experiment does: ``labels["group"]``.
    """

    membrane: Membrane
    stimulus: Stimulus | None
    changes: tuple[Change, ...]
    integrator: Integrator
    initial_state: State
    final_state: State
    dt: float
    duration: float
    precision: str
    recorded: dict[str, Trace]
    measured: dict[str, Measured]
    audit: Audit
    info: dict[str, Any]
    labels: dict[str, Labels] = dataclasses.field(default_factory=dict)

    @property
    def start(self) -> float:
        """Time of the first step, ms."""
        return float(self.initial_state.step) * self.dt

    @property
    def time(self) -> np.ndarray:
        """Sampling times (ms) of the first record; ``recorded[name].time`` has those of each."""
        if not self.recorded:
            raise ValueError("nothing was recorded: pass record=[jm.Record('v', every=1.0)]")
        return next(iter(self.recorded.values())).time

    @property
    def traces(self) -> dict[str, np.ndarray]:
        """Recorded variables: name -> (samples, cells)."""
        return {name: t.values for name, t in self.recorded.items()}

    @property
    def measures(self) -> dict[str, np.ndarray]:
        """Measures: name -> (cells,), or (entries, cells)."""
        return {name: m.values for name, m in self.measured.items()}

    @property
    def status(self) -> np.ndarray:
        """What became of each cell, see :class:`jaxmem.Status`."""
        return np.asarray(self.final_state.status)

    @property
    def failed_at(self) -> np.ndarray:
        """When a cell was found bad, ms; NaN for the others."""
        step = np.asarray(self.final_state.failed_at)
        return np.where(step >= 0, step * self.dt, np.nan)

    @property
    def failures(self) -> dict[str, int]:
        """How many cells failed, by reason."""
        codes, counts = np.unique(self.status, return_counts=True)
        return {Status(int(c)).reason: int(n) for c, n in zip(codes, counts, strict=True) if c != Status.OK}

    def save(
        self,
        path: Any,
        *,
        overwrite: bool = False,
        experiment: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Write one HDF5 file, whole or not at all; FileExistsError where it exists, unless ``overwrite``.

        ``experiment`` is the text of the experiment file, ``attributes`` what else the file shall say of where it comes
        from (``seed``, ``preset``, ``question``, ``title``).
        """
        from jaxmem.study.store import save  # h5py is imported by one module, and only when it is needed

        save(self, path, overwrite=overwrite, experiment=experiment, attributes=attributes)

    def to_xarray(self) -> Any:
        """The same variables, units and coordinates as an :class:`xarray.Dataset` (needs xarray)."""
        from jaxmem.study.store import to_xarray

        return to_xarray(self)
