"""The voltage clamp: ideal, or through a series resistance with the imperfections of a pipette."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxmem.membrane.mechanism import Current, Number, parameter
from jaxmem.rig.drive import Drive, Driver, Memory, Moment, Voltage
from jaxmem.rig.extent import earliest, latest
from jaxmem.rig.stimuli import Stimulus
from jaxmem.rig.timecourse import CourseOnGrid, TimeCourse, edge
from jaxmem.rig.waveform import Waveform, WaveformOnGrid

READINGS = {
    "command": ("mV", "command of the voltage clamp"),
    "clamp": ("uA/cm^2", "current that the clamp amplifier measures, outward positive"),
}


class VoltageClamp(Stimulus):
    """Holds the membrane at ``command`` (mV): a number, a :class:`TimeCourse` or a :class:`Waveform`.

    ``holding`` is where it stands before the first time of the command (and after a waveform); unless given, at the
    command's first value. Without ``series_resistance`` the clamp is ideal: v is the command, its jumps must lie on the
    grid of dt, and the current is what the membrane needs. With it the cell gets ``(command - v)/R - seal*v``, with
    R = series_resistance*(1 - compensation) in kOhm cm^2: whole-cell MOhm times the area (10 MOhm on 1000 um^2 are
    0.1 kOhm cm^2).

    ``prediction`` (p) charges the cell ahead of the resistance, by what the amplifier takes for its capacitance: a command
    that changes by dV also brings the charge p*cell_capacitance*dV, so that a step makes v jump by p of it where that
    estimate is right (Sigworth's supercharging, ref. below). In steps of dt the charge of a jump flows within one step;
    integrators that choose their steps cannot express it.

    It shows ``command`` and ``clamp``: the current into the cell, through the seal, and that which charges the
    pipette, uA/cm^2; outward through the membrane is positive. The instantaneous charge of a jump is in the book of the
    electrode (ideal clamp), and that of the pipette or of the prediction is not shown. F. J. Sigworth (1995), Electronic
    design of the patch clamp, in Single-Channel Recording, 2nd ed., doi:10.1007/978-1-4419-1229-9_4.
    """

    command: TimeCourse | Waveform | None
    holding: Number = parameter("mV", "voltage before the command begins", default=-65.0)
    series_resistance: Number | None = parameter(
        "kOhm*cm^2", "resistance between electrode and cell", default=None, positive=True
    )
    compensation: Number = parameter(
        "1", "part of the series resistance compensated", default=0.0, minimum=0.0, maximum=0.99
    )
    pipette_capacitance: Number = parameter(
        "uF/cm^2", "capacitance of the pipette per area of the cell", default=0.0, minimum=0.0
    )
    seal_conductance: Number = parameter("mS/cm^2", "leak of the seal, per area of the cell", default=0.0, minimum=0.0)
    prediction: Number | None = parameter(
        "1",
        "part of a change of the command that the membrane is charged by at once",
        default=None,
        minimum=0.0,
        maximum=1.0,
    )
    cell_capacitance: Number = parameter(
        "uF/cm^2", "capacitance of the cell as the amplifier estimates it", default=1.0, minimum=0.0
    )
    carrier: str | None = eqx.field(static=True, default=None)

    def __init__(
        self,
        command: TimeCourse | Waveform | Number | None = None,
        holding: Number | None = None,
        series_resistance: Number | None = None,
        compensation: Number = 0.0,
        pipette_capacitance: Number = 0.0,
        seal_conductance: Number = 0.0,
        carrier: str | None = None,
        prediction: Number | None = None,
        cell_capacitance: Number = 1.0,
    ):
        course = command if isinstance(command, TimeCourse | Waveform) else None
        if holding is None:
            holding = _first(course) if course is not None else command  # type: ignore[assignment]
        elif course is None and command is not None:
            course = TimeCourse([0.0], [command])
        if holding is None:
            raise ValueError("a voltage clamp needs a command or a holding potential (mV)")
        none = lambda x: x is None or (isinstance(x, int | float) and x == 0)
        ideal = none(series_resistance)
        if ideal and not none(prediction):
            raise ValueError(
                "an ideal clamp has nothing to predict: give it a series_resistance, or leave prediction out"
            )
        self.command, self.holding, self.carrier = course, holding, carrier
        self.series_resistance, self.compensation = None if ideal else series_resistance, compensation
        self.pipette_capacitance, self.seal_conductance = pipette_capacitance, seal_conductance
        self.prediction, self.cell_capacitance = None if none(prediction) else prediction, cell_capacitance

    @classmethod
    def steps(cls, holding: Number, levels: ArrayLike, start: Number, stop: Number, **fields: Any) -> "VoltageClamp":
        """From ``holding`` to ``levels`` (an array over cells: a family) at ``start``, and back at ``stop``."""
        return cls(TimeCourse([start, stop], [levels, holding]), holding, **fields)

    @classmethod
    def ramp(
        cls, holding: Number, first: Number, last: Number, start: Number, stop: Number, back: float = 1.0, **fields: Any
    ) -> "VoltageClamp":
        """A jump to ``first`` at ``start``, a straight line to ``last`` at ``stop``, and back within ``back`` ms."""
        course = TimeCourse([start, stop, stop + back], [first, last, holding], interpolation="linear")
        return cls(course, holding, **fields)

    @classmethod
    def tail(
        cls, holding: Number, prepulse: ArrayLike, test: ArrayLike, start: Number, switch: Number, stop: Number, **fields: Any
    ) -> "VoltageClamp":  # fmt: skip
        """``prepulse`` from ``start`` to ``switch``, then ``test`` until ``stop``: tail currents, inactivation, recovery."""
        return cls(TimeCourse([start, switch, stop], [prepulse, test, holding]), holding, **fields)

    @property
    def _g(self) -> Any:
        """What the electrode conducts after compensation, mS/cm^2."""
        assert self.series_resistance is not None
        return 1 / (self.series_resistance * (1 - self.compensation))

    @property
    def imposes_voltage(self) -> bool:
        return self.series_resistance is None

    @property
    def readings(self) -> dict[str, tuple[str, str]]:
        return dict(READINGS)

    def on_grid(self, dt: float) -> "ClampOnGrid | IdealOnGrid":
        """Raises ValueError where the command of an ideal clamp jumps between two steps."""
        if self.imposes_voltage:
            _check_grid(self.command, dt)
        command = None if self.command is None else self.command.on_grid(dt)
        fields = (command, self.holding, self.pipette_capacitance, self.seal_conductance)
        if self.imposes_voltage:
            return IdealOnGrid(*fields)
        return ClampOnGrid(
            *fields, self._g, None if self.prediction is None else self.prediction * self.cell_capacitance
        )

    def at(self, t: jax.Array, v: jax.Array) -> Drive:
        level: Any = self.holding
        if isinstance(self.command, TimeCourse):
            level = self.command.at(self.holding, t)
        elif self.command is not None:
            level = self.command.level(self.holding, t)
        if self.imposes_voltage:
            return Voltage(level, level, level)
        if self.prediction is not None:
            raise ValueError(
                "a clamp with prediction charges the cell at once where its command jumps, which only steps of dt can "
                "express; choose an integrator of fixed steps, or leave prediction out"
            )
        g = self._g
        return Current((level - v) * g - self.seal_conductance * v, -g - self.seal_conductance)

    @property
    def edges(self) -> list[ArrayLike]:
        return [] if self.command is None else self.command.edges

    @property
    def onset(self) -> float | None:
        return None if self.command is None else earliest(self.command.edges[0])

    @property
    def offset(self) -> float | None:
        return None if self.command is None else latest(self.command.edges[-1])


class ClampOnGrid(Driver):
    """A clamp through a resistance, in steps."""

    command: CourseOnGrid | WaveformOnGrid | None
    holding: Number = parameter("mV", "voltage before the command begins")
    pipette: Number = parameter("uF/cm^2", "capacitance of the pipette")
    seal: Number = parameter("mS/cm^2", "leak of the seal")
    g: Number = parameter("mS/cm^2", "1/(series resistance left after compensation)")
    predicted: Number | None = parameter("uF/cm^2", "charge per change of the command, ahead of it", default=None)

    def drive(self, moment: Moment, v: jax.Array, memory: Memory) -> tuple[Current, Memory]:
        _, mean, end = _course(self, moment, v)
        number = lambda x: jnp.asarray(x, v.dtype)
        g, seal = number(self.g), number(self.seal)
        current = (mean - v) * g - seal * v
        if self.predicted is not None and self.command is not None:
            before = self.command.level(number(self.holding), moment.step, v.dtype, after=False)
            current = current + number(self.predicted) * ((end - before) / number(moment.dt))
        return Current(current, -g - seal), memory

    def readings(self, moment: Moment, v: jax.Array, memory: Memory, injected: ArrayLike) -> dict[str, ArrayLike]:
        start, _, end = _course(self, moment, v)
        charged = self.pipette if self.predicted is None else self.pipette + self.predicted
        return {"command": start, "clamp": (start - v) * self.g + charged * ((end - start) / moment.dt)}


class IdealOnGrid(Driver):
    """An ideal clamp in steps."""

    command: CourseOnGrid | WaveformOnGrid | None
    holding: Number = parameter("mV", "voltage before the command begins")
    pipette: Number = parameter("uF/cm^2", "capacitance of the pipette")
    seal: Number = parameter("mS/cm^2", "leak of the seal")

    def drive(self, moment: Moment, v: jax.Array, memory: Memory) -> tuple[Voltage, Memory]:
        return Voltage(*_course(self, moment, v)), memory

    def readings(self, moment: Moment, v: jax.Array, memory: Memory, injected: ArrayLike) -> dict[str, ArrayLike]:
        start, _, end = _course(self, moment, v)
        return {"command": start, "clamp": injected + self.seal * start + self.pipette * ((end - start) / moment.dt)}


def _course(clamp: ClampOnGrid | IdealOnGrid, moment: Moment, v: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The command right after the step begins, its mean over the step, and the command just before its end."""
    holding = jnp.asarray(clamp.holding, v.dtype)
    if clamp.command is None:
        level = jnp.zeros_like(v) + holding
        return level, level, level
    whole = lambda x: jnp.zeros_like(v) + jnp.asarray(x, v.dtype)
    start = clamp.command.level(holding, moment.step, v.dtype)
    mean = clamp.command.mean(holding, moment.step, 1, v.dtype)
    return whole(start), whole(mean), whole(clamp.command.level(holding, moment.step + 1, v.dtype, after=False))


def _first(command: TimeCourse | Waveform) -> Any:
    if isinstance(command, TimeCourse):
        return command.knots[0].value
    first = command.values[0] * command.scale
    return float(first) if np.ndim(first) == 0 else first


def _check_grid(command: TimeCourse | Waveform | None, dt: float) -> None:
    """ValueError where a time of the command is no multiple of dt."""
    times: list[Any] = [] if command is None else [*command.edges]
    if isinstance(command, Waveform) and command.interpolation == "step":
        times.append(command.interval)
    if isinstance(command, Waveform) and command.interpolation == "linear":
        times = times[:1]
    for time in times:
        if isinstance(time, jax.core.Tracer) or not np.all(np.isfinite(np.asarray(time, float))):
            continue
        off = np.asarray(edge(time, dt)[1]) != 0
        if np.any(off):
            found = float(np.broadcast_to(np.asarray(time, float), off.shape)[off].flat[0]) if off.ndim else float(time)
            raise ValueError(
                f"an ideal voltage clamp jumps between steps only; {found:g} ms is no multiple of dt {dt:g} ms, the nearest "
                f"is {round(found / dt) * dt:g} ms (or take another dt, or give the clamp a series resistance)"
            )
