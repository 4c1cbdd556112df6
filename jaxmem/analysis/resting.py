"""Cells that stand still: the steady state of each cell of a population, and the parameters that make it one.

Both are solved in float64 whatever the precision of the simulation, on the host's default device.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxmem.analysis.small_systems import solve
from jaxmem.membrane.check import check
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import map_declared, path_error
from jaxmem.membrane.state import Accounts, State, Status

ITERATIONS = 400
FIRST_STEP, LONGEST_STEP = 0.1, 1e15  # ms of pseudo-time
SMALLEST_MOVE = 1e-10  # mV, and relative change of concentration, at which a cell counts as converged


@dataclasses.dataclass(frozen=True)
class RestingState:
    """Where each cell comes to rest, with all its ions.

    ``v`` (cells,) in mV, ``concentrations`` in mM by path (``na.inside``), ``status`` (:class:`jaxmem.Status`),
    ``residual``: the largest ion current left (uA/cm^2), ``state``: the state to start a simulation from.
    """

    v: np.ndarray
    concentrations: dict[str, np.ndarray]
    status: np.ndarray
    residual: np.ndarray
    state: State


def _in_float64(function: Callable) -> Callable:
    """Run in float64 without touching the caller's configuration."""

    def wide(*args: Any, **kwargs: Any) -> Any:
        with jax.enable_x64(True):
            return function(*args, **kwargs)

    wide.__doc__, wide.__name__ = function.__doc__, function.__name__
    return wide


def _wide(membrane: Membrane) -> Membrane:
    return map_declared(lambda _, x: np.asarray(x, np.float64), membrane)


def _moving(membrane: Membrane) -> tuple[list[str], bool]:
    """The charged species with a dynamic concentration, and whether every ion that flows is among them."""
    v = jnp.zeros(1)
    env = membrane.environment({k: v for k in [*membrane.species, "electrode"]})
    asked: dict[str, Any] = {}

    def ask() -> None:
        states = {name: membrane.mechanisms[name].initial(v, env) for name in membrane.order}
        asked["flows"] = list(membrane.fluxes(v, states, env))
        asked["transfers"] = [edge for edge, _ in membrane.transfers(v, states, env)]

    jax.eval_shape(ask)
    dynamic = [k for k, s in membrane.species.items() if s.dynamic]
    odd = [k for k in dynamic if membrane.species[k].valence == 0] + ["/".join(edge) for edge in asked["transfers"]]
    if odd or membrane.water:
        raise ValueError(
            f"a steady state is found for membranes whose dynamic pools are ions moved by currents; this one has also {', '.join(odd) or 'water'}. "
            "Simulate until it stands still instead."
        )
    flowing = [k for k in asked["flows"] if membrane.species[k].valence]
    return [k for k in dynamic if k in flowing], all(k in dynamic for k in flowing)


@_in_float64
def resting_state(membrane: Membrane) -> RestingState:
    """The steady state that each cell goes to from its initial voltage and concentrations.

    All ion currents vanish, gates stand at their steady states, and the charge constraint C (v - v0) = -sum of charges
    carried picks the one state that the cell's impermeant charge allows. Found by pseudo-transient continuation: implicit
    Euler steps that grow until they are Newton steps. C. T. Kelley & D. E. Keyes (1998), SIAM J Numer Anal 35:508,
    doi:10.1137/S0036142996304796.

    A cell without one has status NO_STEADY_STATE, and its numbers are where the search ended. Stability is not examined:
    a cell that fires by itself has a steady state too. Raises ValueError for pools that are not ions (water, ATP, buffers).
    """
    check(membrane)
    wide = _wide(membrane)
    state = jax.tree.map(lambda x: np.asarray(x), wide.initial_state())
    ions, closed = _moving(wide)
    unknown, closing = (tuple(ions[:-1]), ions[-1]) if closed and ions else (tuple(ions), None)
    u, _, converged = jax.jit(_relax, static_argnums=(2, 3))(wide, jnp.asarray(state.v), unknown, closing)
    v, book = u[0], _book(wide, state, u, unknown, closing)
    env = wide.environment(book)
    states = {name: {s: jnp.zeros_like(v) + x for s, x in wide.mechanisms[name].initial(v, env).items()} for name in wide.order}
    flows = wide.fluxes(v, states, env)
    total = sum(flows[k].value for k in flows if wide.species[k].valence)
    residual = jnp.max(jnp.stack([jnp.abs(jnp.zeros_like(v) + x) for x in (total, *(flows[k].value for k in ions))]), axis=0)
    status = np.where(np.asarray(converged), Status.OK, Status.NO_STEADY_STATE).astype(np.int32)
    host = lambda tree: jax.tree.map(lambda x: np.asarray(x), tree)
    v, book, states = host((v, book, states))
    start = type(state.start)(v, state.v_low, states, state.last)
    none = {k: np.zeros_like(v) for k in book}
    rest = State(
        v=v, v_low=np.zeros_like(v), states=states, pending=none, total=book, total_low=none, trend=none, last=state.last,
        start=start, status=status, failed_at=np.where(status == Status.OK, -1, 0).astype(np.int32), step=state.step, lag=state.lag,
    )  # fmt: skip
    concentrations = {f"{k}.{side}": np.asarray(getattr(env, side)[k]) for k, side in wide.pools()}
    return RestingState(v, concentrations, status, np.asarray(residual), rest)


def _book(membrane: Membrane, state: State, u: Sequence[jax.Array], unknown: Sequence[str], closing: str | None) -> Accounts:
    """The book at u = (v, charge carried by each unknown ion); the closing ion carries what the capacitor's charge demands."""
    book = {k: jnp.zeros_like(u[0]) for k in [*membrane.species, "electrode"]} | dict(zip(unknown, u[1:], strict=True))
    if closing is not None:
        book[closing] = -membrane.capacitance * (u[0] - state.v) - sum(u[1:])
    return book


def _relax(membrane: Membrane, v: jax.Array, unknown: tuple[str, ...], closing: str | None) -> tuple[list[jax.Array], jax.Array, jax.Array]:
    """(unknowns, size of the last move, converged) after pseudo-transient continuation, each cell at its own pace."""
    start = membrane.initial_state(v)
    ions = [*unknown, *([closing] if closing else [])]

    def concentrations(u: list[jax.Array]) -> list[jax.Array]:
        book = _book(membrane, start, u, unknown, closing)
        return [membrane.amount(k, side, book) for k, side in membrane.pools() if k in ions]

    def slope(u: list[jax.Array]) -> list[jax.Array]:
        """d/dt of the unknowns with gates at their steady states."""
        env = membrane.environment(_book(membrane, start, u, unknown, closing))
        states = {name: membrane.mechanisms[name].initial(u[0], env) for name in membrane.order}
        flows = membrane.fluxes(u[0], states, env)
        total = sum(flows[k].value for k in flows if membrane.species[k].valence)
        return [jnp.zeros_like(u[0]) + x for x in (-total / membrane.capacitance, *(flows[k].value for k in unknown))]

    def newton(u: list[jax.Array], h: jax.Array) -> list[jax.Array]:
        n = len(u)
        unit = lambda j: [jnp.ones_like(u[0]) if i == j else jnp.zeros_like(u[0]) for i in range(n)]
        columns = [jax.jvp(slope, (u,), (unit(j),))[1] for j in range(n)]
        matrix = [[(1 / h if i == j else 0.0) - columns[j][i] for j in range(n)] for i in range(n)]
        return solve(matrix, slope(u))

    def one(carry: tuple) -> tuple:
        u, h, moved, done, i = carry
        step = newton(u, h)
        new = [a + b for a, b in zip(u, step, strict=True)]
        before, after = concentrations(u), concentrations(new)
        ratio = [jnp.where(a > 0, jnp.abs(b / a - 1), jnp.inf) for a, b in zip(before, after, strict=True)]
        size = jnp.abs(step[0])
        worst = jnp.max(jnp.stack([size / 10, *(r / 0.3 for r in ratio)]), 0)  # at most 10 mV and 30 % at a time
        fine = jnp.isfinite(worst) & (worst < 1)
        moved = jnp.where(fine, jnp.max(jnp.stack([size, *ratio]), 0), moved)
        take = fine & ~done
        u = [jnp.where(take, b, a) for a, b in zip(u, new, strict=True)]
        arrived = take & (h >= LONGEST_STEP) & (moved < SMALLEST_MOVE)
        h = jnp.where(fine, jnp.minimum(h * jnp.where(worst < 0.3, 4.0, 1.5), LONGEST_STEP), jnp.maximum(h / 4, 1e-6))
        return u, h, moved, done | arrived, i + 1

    zero = jnp.zeros_like(v)
    begin = ([v, *(zero for _ in unknown)], zero + FIRST_STEP, zero + jnp.inf, zero > 0, 0)
    u, _, moved, done, _ = jax.lax.while_loop(lambda c: (c[4] < ITERATIONS) & ~jnp.all(c[3]), one, begin)
    return u, moved, done


@_in_float64
def balance(membrane: Membrane, v: ArrayLike = -70.0, solve_for: Sequence[str] | None = None) -> Membrane:
    """The same membrane with the unmeasured parameters chosen so that each cell stands still at ``v`` (mV).

    One parameter per dynamic ion makes that ion's current zero at v with the membrane's concentrations. By default: the
    ``na_leak`` (its g or p), ``pump.i_max`` for K+, and ``cl.inside`` for Cl- (which puts a passive Cl- at equilibrium;
    where there is a species ``other``, it takes up the difference in charge). ``initial_v`` becomes v.

    Raises ValueError where the count does not fit, or where a cell would need a negative number.
    """
    check(membrane)
    wide = _wide(membrane)
    ions, _ = _moving(wide)
    known = membrane.parameters()
    if solve_for is None:
        usual = {"na": ("na_leak.g", "na_leak.p"), "k": ("pump.i_max",), "cl": ("cl.inside",)}
        solve_for = [p for ion in ions for p in usual.get(ion, ()) if p in known]
    for path in solve_for:
        if path not in known:
            raise path_error(path, list(known))
    if len(solve_for) != len(ions) or not ions:
        raise ValueError(f"one parameter per dynamic ion: {len(ions)} ions ({', '.join(ions)}) but {len(solve_for)} parameters ({', '.join(solve_for)})")
    shape = np.broadcast_shapes(np.shape(v), *(np.shape(x) for x in jax.tree.leaves(wide)))
    rest = np.broadcast_to(np.asarray(v, np.float64), shape)
    x = [jnp.broadcast_to(jnp.asarray(known[p].value, jnp.float64), shape) for p in solve_for]
    x = jax.jit(_balance, static_argnums=(3, 4))(wide, rest, x, tuple(solve_for), tuple(ions))
    found = {p: np.asarray(a) for p, a in zip(solve_for, x, strict=True)}
    for path, a in found.items():
        if not np.all(np.isfinite(a)) or np.any(a < 0):
            raise ValueError(f"no cell can stand still at {np.asarray(v).flat[0]:g} mV: {path} would have to be {a.flat[np.argmin(np.where(np.isfinite(a), a, -np.inf))]:g}")
    if "cl.inside" in found and "other" in membrane.species:
        other = membrane.species["other"]
        found["other.inside"] = np.asarray(other.inside + (found["cl.inside"] - known["cl.inside"].value) / other.valence)
    shrink = lambda a: float(a) if np.ndim(a) == 0 else a
    return membrane.with_parameters({p: shrink(a) for p, a in found.items()} | {"initial_v": shrink(np.asarray(v))})


def _balance(membrane: Membrane, v: jax.Array, x: list[jax.Array], paths: tuple[str, ...], ions: tuple[str, ...]) -> list[jax.Array]:
    """Newton in the parameters themselves, in the logarithm of concentrations; currents are linear in most of them."""
    logarithmic = [p.endswith((".inside", ".outside")) for p in paths]
    back = lambda y: [jnp.exp(a) if log else a for a, log in zip(y, logarithmic, strict=True)]

    def currents(y: list[jax.Array]) -> list[jax.Array]:
        m = map_declared(lambda path, old: dict(zip(paths, back(y), strict=True)).get(path, old), membrane)
        env = m.environment({k: jnp.zeros_like(v) for k in [*m.species, "electrode"]})
        states = {name: m.mechanisms[name].initial(v, env) for name in m.order}
        flows = m.fluxes(v, states, env)
        return [jnp.zeros_like(v) + flows[k].value for k in ions]

    def newton(_: int, y: list[jax.Array]) -> list[jax.Array]:
        unit = lambda j: [jnp.ones_like(a) if i == j else jnp.zeros_like(a) for i, a in enumerate(y)]
        columns = [jax.jvp(currents, (y,), (unit(j),))[1] for j in range(len(y))]
        step = solve([[columns[j][i] for j in range(len(y))] for i in range(len(y))], [-c for c in currents(y)])
        return [a + b for a, b in zip(y, step, strict=True)]

    y = [jnp.log(a) if log else a for a, log in zip(x, logarithmic, strict=True)]
    return back(jax.lax.fori_loop(0, 8, newton, y))

