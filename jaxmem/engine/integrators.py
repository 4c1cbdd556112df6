"""The step: the mechanisms' states half a step ahead of the voltage, then the voltage, then the book.

Second order at the cost of a first-order step: gates are advanced from t - dt/2 to t + dt/2 with the voltage at t, then
the voltage from t to t + dt with the gates at t + dt/2, each by the exact solution of its linear equation with a rational
function for the exponential, Markov schemes with one of their matrix (:mod:`jaxmem.engine.schemes`). The mean current
over the step, not the current at an end, goes into the book, so that charge is conserved to round-off. Staggering
in this form: M. Hines (1984), Int J Biomed Comput 15:69, doi:10.1016/0020-7101(84)90008-4; exponential gates: S. Rush &
H. Larsen (1978), IEEE Trans Biomed Eng 25:389, doi:10.1109/TBME.1978.326270.
"""

import abc
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from jaxmem.engine.fluctuations import Draws
from jaxmem.engine.relaxation import exchange, relaxation
from jaxmem.engine.schemes import redistribute
from jaxmem.membrane.environment import Environment
from jaxmem.membrane.mechanism import Current, Rates, Scheme, States
from jaxmem.membrane.membrane import Edge, Membrane
from jaxmem.membrane.species import pool_of
from jaxmem.membrane.state import Accounts
from jaxmem.rig.drive import Drive, Driver, Memory, Moment, Voltage


class Moving(eqx.Module):
    """What a step changes; fields as in :class:`jaxmem.membrane.state.State`."""

    v: jax.Array
    v_low: jax.Array
    states: dict[str, States]
    pending: Accounts
    last: Accounts
    lag: jax.Array
    rig: Memory


class Held(eqx.Module):
    """What stands still within a refresh interval: the membrane, the book at its start, the environment at its middle.

    ``early`` is the same membrane and environment half a step earlier, where its parameters change and gates lag: a gate's
    step is around the time of v, a current's begins there.
    """

    membrane: Membrane
    base: Accounts
    environment: Environment
    driver: Driver
    dt: jax.Array
    cell: jax.Array
    early: tuple[Membrane, Environment] | None = None

    @property
    def for_gates(self) -> tuple[Membrane, Environment]:
        return (self.membrane, self.environment) if self.early is None else self.early

    def whole(self, x: ArrayLike) -> jax.Array:
        """A number in the shape and precision of the run."""
        return jnp.broadcast_to(jnp.asarray(x, self.dt.dtype), self.cell.shape)


class Happened(eqx.Module):
    """What measures see of a step beside its voltages.

    ``spiked``: upward through 0 mV. ``flow``: charge that moved (nC/cm^2), outward per species, inward by "electrode".
    """

    spiked: jax.Array
    flow: Accounts


class Integrator(eqx.Module):
    """How one step is made: base of the integrators with a fixed step, which are objects without numbers.

    ``lagging`` says whether its gates lag the voltage by half a step within a run; where they do not, a state is collocated
    before the run. ``exchanges`` says whether its steps include the transfers of pools that are refreshed at intervals.
    """

    lagging: eqx.AbstractClassVar[bool]
    exchanges: eqx.AbstractClassVar[bool]

    @abc.abstractmethod
    def step(self, held: Held, moving: Moving, index: jax.Array) -> tuple[Moving, Happened]:
        """Step ``index`` of a run."""


def advance_states(
    membrane: Membrane,
    v: jax.Array,
    states: dict[str, States],
    env: Environment,
    h: ArrayLike,
    draws: Draws | None = None,
) -> dict[str, States]:
    """The mechanisms' states h (ms) later, at voltage v; where channels are counted and ``draws`` given, with their noise."""
    new = {}
    for name in membrane.order:
        x = new[name] = dict(states[name])
        for key, rates in membrane.mechanisms[name].kinetics(v, states[name], env).items():
            if isinstance(rates, Scheme):
                members = {s: states[name][s] for s in rates.names}
                x.update(redistribute(members, list(rates.edges.items()), h, within=rates.channels is None))
                if rates.channels is not None and draws is not None:
                    for (a, b), (forward, backward) in rates.edges.items():
                        flow = forward * states[name][a] + backward * states[name][b]
                        moved = draws.fluctuation(flow, forward + backward, rates.channels, rates.seed)
                        x |= {a: x[a] - moved, b: x[b] + moved}
                continue
            gain, rate = (
                (rates.opening, rates.opening + rates.closing) if isinstance(rates, Rates) else (rates.gain, rates.rate)
            )
            old = x[key]
            x[key] = old + h * relaxation(h * rate)[0] * (gain - rate * old)
            if isinstance(rates, Rates) and rates.channels is not None and draws is not None:
                flow = rates.opening * (1 - old) + rates.closing * old
                x[key] = x[key] + draws.fluctuation(flow, rate, rates.channels, rates.seed)
    return new


def transferred(membrane: Membrane, edges: list[Edge], book: Accounts, flow: Accounts, dt: ArrayLike) -> Accounts:
    """What transfers bring to each pool in dt (mM of the starting volume), while fluxes bring ``flow`` (half before, half after).

    Pairs exchange amounts per area, so pools of different depth keep their sum. What leaves to a bath or to a clamped
    concentration has an account of its own, ``pool|bath``.
    """
    if not edges:
        return {}
    pools = [p for p in dict.fromkeys(p for edge, _ in edges for p in edge) if p in book]
    per_depth = {p: membrane.inverse_depth(*pool_of(p)) for p in pools}
    middle = {k: x + 0.5 * flow[k] if k in flow else x for k, x in book.items()}
    before = {p: membrane.amount(*pool_of(p), middle) / per_depth[p] for p in pools}
    inner, outer = [], []
    for (a, b), (forward, backward) in edges:
        if b in before:
            inner.append(((a, b), (forward, backward)))
        else:
            outer.append(((a, f"{a}|bath"), (forward, backward * membrane.starting_level(b) / per_depth[a])))
    baths = tuple(dict.fromkeys(b for (_, b), _ in outer))
    before |= {b: jnp.zeros_like(book[b]) for b in baths}
    _, gained = exchange(before, [*inner, *outer], dt, baths)
    return {p: x * per_depth[p.split("|")[0]] for p, x in gained.items()}


class Staggered(Integrator):
    """The default: gates half a step ahead of the voltage; second order at the cost of first."""

    lagging: ClassVar[bool] = True
    exchanges: ClassVar[bool] = False

    def step(self, held: Held, moving: Moving, index: jax.Array) -> tuple[Moving, Happened]:
        """One step of dt.

        States first, by what they lag plus dt/2 (so that a collocated start and a change of dt need no special case),
        then v from C dv/dt = stimulus - I(v) linearised at v, then the charges.
        """
        surroundings = Surroundings.of(held, moving)
        drive, rig = held.driver.drive(Moment(index, held.dt, held.cell), moving.v, moving.rig)
        half, lag, (gates, _) = 0.5 * held.dt, moving.lag, held.for_gates
        draws = lambda first, second: Draws(index, held.cell, first, second)
        if isinstance(drive, Voltage):  # a jump of the command is between the two halves of the gates' step
            states = advance_states(gates, moving.v, moving.states, surroundings.now, lag, draws(lag, None))
            states = advance_states(gates, held.whole(drive.start), states, surroundings.now, half, draws(None, half))
        else:
            states = advance_states(gates, moving.v, moving.states, surroundings.now, lag + half, draws(lag, half))
        return move(held, moving, surroundings, drive, states, states, half, rig)


class Surroundings(eqx.Module):
    """Environments that gates (``now``) and currents (``middle`` of the step) see, and the ``book`` where they changed."""

    now: Environment
    middle: Environment
    book: Accounts

    @classmethod
    def of(cls, held: Held, moving: Moving) -> "Surroundings":
        small, (gates, early) = held.membrane.every_step, held.for_gates
        if not small:
            return cls(early, held.environment, {})
        book = {k: held.base[k] + moving.pending[k] for k in held.base}
        ahead = {k: x + 0.5 * moving.last[k] if k in moving.last else x for k, x in book.items()}
        return cls(
            gates.environment(book, small, early), held.membrane.environment(ahead, small, held.environment), book
        )


def move(
    held: Held,
    moving: Moving,
    surroundings: Surroundings,
    drive: Drive,
    states: dict[str, States],
    after: dict[str, States],
    lag: ArrayLike,
    rig: Memory,
) -> tuple[Moving, Happened]:
    """The voltage and the book over one step, by the currents of ``states``; ``after`` are the states it ends with.

    The mean current over the step is value + slope*(mean excursion of v), and the excursion's mean is push*lag(z) exactly,
    whence C*(change of v) = dt*(stimulus - sum of mean currents) identically. Where the voltage is imposed, that sum
    defines the stimulus.
    """
    m, dt, small = held.membrane, held.dt, held.membrane.every_step
    v = held.whole(drive.start) if isinstance(drive, Voltage) else moving.v
    flows = m.fluxes(v, states, surroundings.middle)
    charged = [k for k in flows if m.species[k].valence]
    if isinstance(drive, Voltage):
        excursion = held.whole(drive.mean) - v
        flow = {k: dt * _mean_over_step(c, excursion) for k, c in flows.items()}
        end = held.whole(drive.end)
        flow["electrode"] = m.capacitance * (end - moving.v - moving.v_low) + sum(flow[k] for k in charged)
        low = jnp.zeros_like(end)
    else:
        # a stimulus keeps float64 on the host; what it delivers is of the run's precision, and the book counts just that
        given = Current(jnp.asarray(drive.value, v.dtype), jnp.asarray(drive.slope, v.dtype))
        value = sum(flows[k].value for k in charged) - given.value
        slope = sum(flows[k].slope for k in charged) - given.slope
        push = -(dt / m.capacitance) * value
        # XLA on a CPU would work the currents out again for each of their uses; what is behind a barrier is kept
        # (one barrier for each: JAX 0.12 cannot transpose a common one where only one of the two has a derivative)
        push, z = (jax.lax.optimization_barrier(x) for x in (push, (dt / m.capacitance) * slope))
        mean, part = relaxation(z, signed=True)
        excursion = jax.lax.optimization_barrier(push * part)
        flow = {k: dt * _mean_over_step(c, excursion) for k, c in {**flows, "electrode": given}.items()}
        change = push * mean + moving.v_low
        end = v + change
        low = change - (end - v)  # v + v_low loses nothing; v alone in float32 would lose 7 nC/cm2 a minute at rest

    crossed = dict(flow)
    if small:
        edges = [e for e in m.transfers(v + excursion, states, surroundings.middle) if touches(e, small)]
        flow |= transferred(m, edges, surroundings.book, flow, dt)
    pending = {k: q + flow[k] if k in flow else q for k, q in moving.pending.items()}
    last = {k: flow.get(k, x) for k, x in moving.last.items()}
    spiked = (moving.v < 0) & (end >= 0)
    after = {name: m.mechanisms[name].events(spiked, after[name]) for name in m.order}
    return Moving(end, low, after, pending, last, lag, rig), Happened(spiked, crossed)


def _mean_over_step(current: Current, excursion: jax.Array) -> ArrayLike:
    """The mean of a linear current whose voltage is on average ``excursion`` away from where it was taken."""
    constant = isinstance(current.slope, float) and current.slope == 0  # XLA keeps a product with 0: it might be NaN
    return current.value if constant else current.value + current.slope * excursion


def touches(edge: Edge, species: list[str]) -> bool:
    """Whether a transfer has an end in a pool of one of these species."""
    return any(pool_of(pool)[0] in species for pool in edge[0])
