"""What several test files need: cells at random points, exact solutions, orders of convergence, audits."""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import jaxmem as jm
from jaxmem.units import FARADAY


def amplitudes(cells: int, low: float = 0.0, high: float = 12.0) -> np.ndarray:
    """A current density (uA/cm^2) for each cell, from silent to firing."""
    return np.linspace(low, high, cells)


def random_state(membrane: jm.Membrane, cells: int, seed: int = 0, v: tuple[float, float] = (-75.0, -55.0)) -> jm.State:
    """Voltages at random, gates at random in (0.05, 0.95), schemes at random occupancies that sum to 1."""
    rng = np.random.default_rng(seed)
    volts = rng.uniform(*v, cells)
    env = membrane.environment({name: jnp.zeros(cells) for name in [*membrane.species, "electrode"]})
    states: dict[str, dict[str, Any]] = {}
    for name in membrane.order:
        rest = membrane.mechanisms[name].initial(jnp.asarray(volts), env)
        kinetics = membrane.mechanisms[name].kinetics(jnp.asarray(volts), rest, env)
        schemes = [k.names for k in kinetics.values() if isinstance(k, jm.Scheme)]
        states[name] = {s: rng.uniform(0.05, 0.95, cells) for s in rest}
        for members in schemes:
            total = sum(states[name][s] for s in members)
            states[name] |= {s: states[name][s] / total for s in members}
    return membrane.initial_state(volts, states)


def point_of(state: jm.State) -> jm.Point:
    """A collocated state as a point of the differential equations."""
    assert float(state.lag) == 0.0, "the gates of this state lag its voltage"
    return jm.Point(jnp.asarray(state.v + state.v_low), state.states, state.book)


def exact(
    membrane: jm.Membrane, state: jm.State, times: np.ndarray, amplitude: Any = 0.0, rtol: float = 1e-9
) -> jm.Point:
    """``Membrane.derivative`` integrated by Dormand and Prince's method of order 8: points at ``times`` (ms)."""
    stimulus = jm.Current(jnp.asarray(amplitude), 0.0)

    @jax.jit
    def run(membrane: jm.Membrane, point: jm.Point, stimulus: jm.Current) -> jm.Point:
        return diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, args: args[0].derivative(y, args[1])),
            diffrax.Dopri8(),
            t0=0.0, t1=float(times[-1]), dt0=1e-3, y0=point, args=(membrane, stimulus),
            saveat=diffrax.SaveAt(ts=jnp.asarray(times)),
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=rtol),
            max_steps=200_000,
        ).ys  # fmt: skip

    return run(membrane, point_of(state), stimulus)


def variables(membrane: jm.Membrane, points: jm.Point) -> dict[str, np.ndarray]:
    """What a record would hold at these points, by the same names: v, states, concentrations, currents per ion."""
    env = membrane.environment(points.book)
    whole = lambda x: np.broadcast_to(np.asarray(x), points.v.shape)
    found = {"v": np.asarray(points.v)}
    for name in membrane.order:
        found |= {f"{name}.{s}": np.asarray(x) for s, x in points.states[name].items()}
        for ion, current in membrane.mechanisms[name].fluxes(points.v, points.states[name], env).items():
            found[f"{name}.i_{ion}"] = whole(current.value)
    for name, side in membrane.pools():
        found[f"{name}.{side}"] = whole(getattr(env, side)[name])
    return found


def orders(
    membrane: jm.Membrane, state: jm.State, duration: float, dt: float, amplitude: Any = 0.0
) -> dict[str, float]:
    """Order of convergence of every recorded variable to the exact solution, between ``dt`` and ``dt``/2.

    The interval of refresh is four steps, so it is refined with dt. The error is the root mean square over cells and
    sixty samples (fewer hit the flanks of a spike by chance). A variable that does not move has no order and is left
    out; one that is exact to round-off has infinite order.
    """
    steps = round(duration / dt)
    assert steps % 240 == 0, "sixty samples, each at the end of a refresh interval"
    times = np.linspace(duration / 60, duration, 60)
    true = variables(membrane, exact(membrane, state, times, amplitude))
    true = {name: x for name, x in true.items() if np.ptp(x, axis=0).max() > 1e-12 * max(1.0, np.abs(x).max())}
    program = eqx.filter_jit(
        lambda m, s, i, dt: jm.integrate(
            m,
            s,
            i,
            steps=steps,
            dt=dt,
            every=steps // 60,
            record=tuple(true),
            refresh=4,
            first_step=0,
            checkpoint=False,
        )
    )
    stimulus = jm.ConstantCurrent(jnp.asarray(amplitude))

    def error(parts: int) -> dict[str, float]:
        """In so many runs of a part of the duration, one after the other: one program serves every dt."""
        now, samples = state, []
        for _ in range(parts):
            run = program(membrane, now, stimulus, jnp.asarray(dt / parts))
            now = run.final_state
            samples.append(run.traces)
        assert np.all(np.asarray(now.status) == jm.Status.OK)
        every = lambda name: np.concatenate([np.asarray(t[name]) for t in samples])[parts - 1 :: parts]
        return {name: float(np.sqrt(np.mean((every(name) - x) ** 2))) for name, x in true.items()}

    coarse, fine = error(1), error(2)
    exact_to_rounding = {name: fine[name] < 1e-10 * np.abs(x).max() for name, x in true.items()}
    return {name: np.inf if exact_to_rounding[name] else float(np.log2(coarse[name] / fine[name])) for name in true}


def book(state: jm.State) -> dict[str, np.ndarray]:
    """Every account in float64."""
    wide = lambda x: np.asarray(x, np.float64)
    return {k: wide(state.total[k]) + (wide(state.total_low[k]) + wide(state.pending[k])) for k in state.total}


def charge_error(sim: jm.Simulation) -> np.ndarray:
    """Audit (a), from the accounts alone: what v and the book disagree by, over all charge that moved."""
    before, after = book(sim.initial_state), book(sim.final_state)
    voltage = lambda s: np.asarray(s.v, np.float64) + np.asarray(s.v_low, np.float64)
    moved = {k: after[k] - before[k] for k in after}
    ions = [moved[k] for k, s in sim.membrane.species.items() if s.valence != 0]
    on_capacitor = np.asarray(sim.membrane.capacitance, np.float64) * (
        voltage(sim.final_state) - voltage(sim.initial_state)
    )
    return abs(moved["electrode"] - sum(ions) - on_capacitor) / (abs(moved["electrode"]) + sum(abs(q) for q in ions))


def gained_by_flux(sim: jm.Simulation, name: str, side: str = "inside") -> np.ndarray:
    """What fluxes and the electrode brought to a pool, mM of its starting volume: from charge, valence and geometry."""
    species, geometry, moved = sim.membrane.species[name], sim.membrane.geometry, book(sim.final_state)
    area, volume = np.asarray(geometry.area, np.float64), np.asarray(geometry.volume, np.float64)  # um^2, um^3
    if side == "inside":
        pool = volume if species.depth is None else area * np.asarray(species.depth, np.float64)
    else:
        fraction = np.asarray(geometry.outside_volume_fraction, np.float64)
        pool = volume * fraction / (1 - fraction)
    outward = moved[name] - (moved["electrode"] if name == sim.membrane.carrier and side == "inside" else 0.0)
    moles = outward * 1e-9 * (area * 1e-8) / ((species.valence or 1) * FARADAY)  # nC/cm^2 -> C -> mol
    return (-1.0 if side == "inside" else 1.0) * moles / (pool * 1e-15) * 1e3  # mol/L -> mM


def mass_error(sim: jm.Simulation, concentrations: dict[str, np.ndarray], volume: Any = 1.0) -> dict[str, np.ndarray]:
    """Audit (b) per pool: recorded concentration against start, charge and transfers, over what moved or was there."""
    errors, moved = {}, book(sim.final_state)
    for name, side in sim.membrane.pools():
        if name == sim.membrane.water:
            continue
        pool = f"{name}.{side}"
        flux, transfer = gained_by_flux(sim, name, side), moved.get(pool, 0.0)
        start = np.asarray(getattr(sim.membrane.species[name], side), np.float64)
        has = np.asarray(concentrations[pool], np.float64) * (volume if side == "inside" else 1.0)
        errors[pool] = abs(has - (start + flux + transfer)) / np.maximum(start, abs(flux) + abs(transfer))
    return errors


def relative(a: Any, b: Any, floor: float = 0.0) -> float:
    """The largest difference of two arrays over the larger of the two (and of ``floor``)."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    scale = np.maximum(np.maximum(abs(a), abs(b)), floor)
    return float(np.max(abs(a - b) / np.where(scale > 0, scale, 1.0)))


def steps_down(function: Callable[[Any], Any], x: Any, h: float) -> np.ndarray:
    """Derivative by a fourth-order central difference."""
    f = lambda k: np.asarray(function(x + k * h), np.float64)
    return (8 * (f(1) - f(-1)) - (f(2) - f(-2))) / (12 * h)
