"""What an amplifier shows of a simulation."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from jaxmem.engine.simulation import Simulation, Trace
from jaxmem.rig.amplifier import Amplifier
from jaxmem.rig.random import Source

PURPOSE = 0x414D504C  # keeps these numbers apart from those of a noise current with the same seed
RECORD = "reading"  # what stands before the names of what is shown
OVERSAMPLING = 5  # samples per period of the corner, at least


def readings(simulation: Simulation, amplifier: Amplifier) -> dict[str, Trace]:
    """``reading.v`` (current clamp, from recorded ``v`` and ``stimulus``) or ``reading.i`` (voltage clamp, from ``clamp``).

    Needs these variables recorded, every cell at the same times; for a filter at five times its corner at least. Raises
    ValueError where they are not.
    """
    if amplifier.mode == "voltage_clamp":
        shown = _recorded(simulation, "clamp")
        values = np.asarray(shown.values, float)
        name, what = f"{RECORD}.i", "current that the amplifier shows, outward positive"
    else:
        shown = _recorded(simulation, "v")
        values = np.asarray(shown.values, float) + _of(amplifier.junction_potential, shown)
        if np.any(np.asarray(amplifier.bridge_error)):
            injected = _recorded(simulation, "stimulus")
            if not np.array_equal(injected.time, shown.time) or not np.array_equal(injected.cells, shown.cells):
                raise ValueError("v and stimulus must be recorded together, in one record, to show a bridge error")
            values = values + _of(amplifier.bridge_error, shown) * np.asarray(injected.values, float)
        name, what = f"{RECORD}.v", "voltage that the amplifier shows"
    if amplifier.corner is not None:
        values = _filtered(values, shown.time, amplifier.corner)
    if np.any(np.asarray(amplifier.noise)):
        every = float(shown.time[1] - shown.time[0]) if shown.time.size > 1 else simulation.dt
        sample = np.round(shown.time / every).astype(np.int32)[:, None]
        cells = np.broadcast_to(shown.cells.astype(np.int32), (sample.size, shown.cells.size))
        source = Source.of(amplifier.seed, PURPOSE)
        noise, _ = source.normals(jnp.asarray(cells), jnp.asarray(np.broadcast_to(sample, cells.shape)), jnp.float32)
        values = values + _of(amplifier.noise, shown) * np.asarray(noise, float).reshape(values.shape)
    return {name: dataclasses.replace(shown, values=values, description=what)}


def _recorded(simulation: Simulation, name: str) -> Trace:
    if name not in simulation.recorded:
        raise ValueError(f"the amplifier reads {name!r}, which was not recorded: add it to record")
    return simulation.recorded[name]


def _of(number: object, trace: Trace) -> np.ndarray:
    """A number of the recorded cells."""
    x = np.asarray(number, float)
    return x[..., trace.cells] if x.ndim else x


def check_rate(rate: float, corner: float) -> None:
    """ValueError where so many samples/s are too few for a filter at ``corner`` (Hz)."""
    if rate < OVERSAMPLING * corner * (1 - 1e-9):
        raise ValueError(
            f"a filter at {corner:g} Hz needs {OVERSAMPLING} samples to its period: record every "
            f"{1000.0 / (OVERSAMPLING * corner):.4g} ms or less (found {rate:g} samples/s)"
        )


def _filtered(values: np.ndarray, time: np.ndarray, corner: float) -> np.ndarray:
    """A causal 4-pole Bessel low-pass, in its steady state at the first sample."""
    from scipy.signal import bessel, sosfilt, sosfilt_zi

    rate = 1000.0 / float(time[1] - time[0]) if time.size > 1 else 0.0
    check_rate(rate, corner)
    sos = bessel(4, corner, fs=rate, output="sos", norm="mag")
    start = sosfilt_zi(sos)[(..., *[None] * (values.ndim - 1))] * values[0]
    return sosfilt(sos, values, axis=0, zi=start)[0]
