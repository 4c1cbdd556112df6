"""The step: the mechanisms' states half a step ahead of the voltage, then the voltage, then the book.

Second order at the cost of a first-order step: gates are advanced from t - dt/2 to t + dt/2 with the voltage at t, then
the voltage from t to t + dt with the gates at t + dt/2, each by the exact solution of its linear equation with a rational
function for the exponential. The mean current over the step, not the current at an end, goes into the book, so that
charge is conserved to round-off. Staggering in this form: M. Hines (1984), Int J Biomed Comput 15:69,
doi:10.1016/0020-7101(84)90008-4; exponential gates: S. Rush & H. Larsen (1978), IEEE Trans Biomed Eng 25:389,
doi:10.1109/TBME.1978.326270.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from jaxmem.membrane.environment import Environment
from jaxmem.membrane.mechanism import Current, Rates, Scheme, States
from jaxmem.membrane.membrane import Edge, Membrane
from jaxmem.membrane.species import pool_of
from jaxmem.membrane.state import Accounts

Drive = Callable[[jax.Array, jax.Array], Current]


class Moving(eqx.Module):
    """What a step changes; fields as in :class:`jaxmem.membrane.state.State`."""

    v: jax.Array
    v_low: jax.Array
    states: dict[str, States]
    pending: Accounts
    last: Accounts
    lag: jax.Array


class Happened(eqx.Module):
    """What else came of a step: who spiked, and the charge moved (nC/cm^2) per species, outward positive.

    ``flow["electrode"]`` is what the electrode brought in, positive depolarises.
    """

    spiked: jax.Array
    flow: Accounts


class Held(eqx.Module):
    """What stands still within a refresh interval: the membrane, the book at its start, the environment at its middle."""

    membrane: Membrane
    base: Accounts
    environment: Environment
    stimulus: Any
    dt: jax.Array


def relaxation(z: ArrayLike, signed: bool = False) -> tuple[jax.Array, jax.Array]:
    """``(1 - exp(-z))/z``, the mean of a relaxing exponential over a step, and its lag ``(1 - mean)/z``.

    From the Pade [2/3] form of exp(-z): L-stable, always between 0 and 1, within 1e-4 mV of the exact exponential at dt
    0.025 ms. ``signed`` says that z may be negative (a negative slope conductance): there the form is reflected, by
    mean(-z) = mean(z) exp(z), because its denominator has a zero at z = -3.64; it is accurate to z of about -1 and stays
    positive and finite beyond.
    """
    top, low, lag = 60 + z * (6 + z), 60 + z * (36 + z * (9 + z)), 30 + z * (8 + z)
    if signed:
        back = z < 0
        top = 60 + z * (z + jnp.where(back, -6.0, 6.0))
        low = 60 + z * jnp.where(back, 24 + 3 * z, 36 + z * (9 + z))
        lag = 30 + z * jnp.where(back, 2.0, 8 + z)
    inverse = 1 / low
    return inverse * top, inverse * lag


def exchange(
    x: dict[str, jax.Array], edges: list[Edge], dt: ArrayLike, baths: tuple[str, ...] = ()
) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """Pairs exchange exactly, one pair after the other and back again: second order, sums kept, never negative.

    ``edges``: ((a, b), (forward, backward)) in 1/ms. Where b is one of the ``baths``, backward is a gain of a per time,
    whatever the bath holds. Returns what each holds afterwards and what each gained: summed apart, because in float32 the
    difference of two contents is only as exact as the contents, not as what moved.
    """
    sweep = [(e, 0.5) for e in edges[:-1]] + [(e, 1.0) for e in edges[-1:]] + [(e, 0.5) for e in edges[-2::-1]]
    gained = {name: jnp.zeros_like(amount) for name, amount in x.items()}
    for ((a, b), (forward, backward)), part in sweep:
        h = part * dt
        rate, back = (forward, backward) if b in baths else (forward + backward, backward * x[b])
        moved = h * relaxation(h * rate)[0] * (forward * x[a] - back)
        x = {**x, a: x[a] - moved, b: x[b] + moved}
        gained = {**gained, a: gained[a] - moved, b: gained[b] + moved}
    return x, gained


def advance_states(
    membrane: Membrane, v: jax.Array, states: dict[str, States], env: Environment, h: ArrayLike
) -> dict[str, States]:
    """The mechanisms' states h (ms) later, at voltage v."""
    new = {}
    for name in membrane.order:
        x = new[name] = dict(states[name])
        for key, rates in membrane.mechanisms[name].kinetics(v, states[name], env).items():
            if isinstance(rates, Scheme):
                x.update(exchange({s: states[name][s] for s in rates.names}, list(rates.edges.items()), h)[0])
                continue
            gain, rate = (
                (rates.opening, rates.opening + rates.closing) if isinstance(rates, Rates) else (rates.gain, rates.rate)
            )
            x[key] = x[key] + h * relaxation(h * rate)[0] * (gain - rate * x[key])
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


def staggered(held: Held, moving: Moving, step: jax.Array) -> tuple[Moving, Happened]:
    """One step of the default integrator; also whether each cell spiked (upward through 0 mV) and what flowed.

    States first, by what they lag plus dt/2 (so that a collocated start and a change of dt need no special case), then v
    from C dv/dt = stimulus - I(v) linearised at v, then the charges: the mean current over the step is value + slope*
    (mean excursion of v), and the excursion's mean is push*lag(z) exactly, whence C*(change of v) = dt*(stimulus - sum of
    mean currents) identically.
    """
    m, dt, small = held.membrane, held.dt, held.membrane.every_step
    now = middle = held.environment
    book: Accounts = {}
    if small:
        book = {k: held.base[k] + moving.pending[k] for k in held.base}
        now = m.environment(book, small, held.environment)
        ahead = {k: x + 0.5 * moving.last[k] if k in moving.last else x for k, x in book.items()}
        middle = m.environment(ahead, small, held.environment)
    states = advance_states(m, moving.v, moving.states, now, moving.lag + 0.5 * dt)

    flows = m.fluxes(moving.v, states, middle)
    charged = [c for ion, c in flows.items() if m.species[ion].valence]
    given = held.stimulus.mean(step, dt, moving.v)
    # a stimulus keeps float64 on the host; what it delivers is of the run's precision, and the book counts just that
    drive = Current(jnp.asarray(given.value, moving.v.dtype), jnp.asarray(given.slope, moving.v.dtype))
    value = sum(c.value for c in charged) - drive.value
    slope = sum(c.slope for c in charged) - drive.slope
    push = -(dt / m.capacitance) * value
    # XLA on a CPU would work the currents out again for each of their uses; what is behind a barrier is kept
    push, z = jax.lax.optimization_barrier((push, (dt / m.capacitance) * slope))
    mean, lag = relaxation(z, signed=True)
    excursion = jax.lax.optimization_barrier(push * lag)
    flow = {k: dt * _mean_over_step(c, excursion) for k, c in {**flows, "electrode": drive}.items()}
    crossed = dict(flow)
    change = push * mean + moving.v_low
    v = moving.v + change

    if small:
        edges = [e for e in m.transfers(moving.v + excursion, states, middle) if touches(e, small)]
        flow |= transferred(m, edges, book, flow, dt)
    pending = {k: q + flow[k] if k in flow else q for k, q in moving.pending.items()}
    last = {k: flow.get(k, x) for k, x in moving.last.items()}
    spiked = (moving.v < 0) & (v >= 0)
    states = {name: m.mechanisms[name].events(spiked, states[name]) for name in m.order}
    # v + v_low loses nothing; v alone in float32 would lose 7 nC/cm2 a minute at rest
    return Moving(v, change - (v - moving.v), states, pending, last, 0.5 * dt), Happened(spiked, crossed)


def _mean_over_step(current: Current, excursion: jax.Array) -> ArrayLike:
    """The mean of a linear current whose voltage is on average ``excursion`` away from where it was taken."""
    constant = isinstance(current.slope, float) and current.slope == 0  # XLA keeps a product with 0: it might be NaN
    return current.value if constant else current.value + current.slope * excursion


def touches(edge: Edge, species: list[str]) -> bool:
    """Whether a transfer has an end in a pool of one of these species."""
    return any(pool_of(pool)[0] in species for pool in edge[0])
