"""The parameters that make a cell stand still."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxmem.analysis.setting import in_float64, moving_ions, widened
from jaxmem.analysis.small_systems import solve
from jaxmem.membrane.check import check
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import declared, map_declared, path_error
from jaxmem.membrane.species import pool_of

NEWTON_STEPS = 12  # currents are linear in conductances and nearly so in ln(concentration)
STILL = 1e-9  # of all that flows: what may be left of an ion's current
TOTAL = "the total current"
USUAL = {"na": ("na_leak.g", "na_leak.p"), "k": ("pump.i_max",), "cl": ("cl.inside",), TOTAL: ("leak.e", "leak.g")}


@in_float64
def balance(membrane: Membrane, v: ArrayLike = -70.0, solve_for: Sequence[str] | None = None) -> Membrane:
    """The same membrane with the unmeasured parameters chosen so that each cell stands still at ``v`` (mV).

    One parameter per dynamic ion makes that ion's current zero at v with the membrane's concentrations, gates at their
    steady states. Where an ion flows whose concentrations are clamped, one parameter more makes the total current zero;
    where all are clamped it is the only one. ``solve_for`` names them, in any order, by path: conductances,
    permeabilities, pump rates, reversal potentials, concentrations, ... By default: the ``na_leak`` (its g or p),
    ``pump.i_max`` for K+, ``cl.inside`` for Cl- (which puts a passive Cl- at equilibrium), the ``<ion>_leak`` of other
    ions, and for the total current the reversal potential of a ``leak``, or its conductance (as for the squid axon: A. L.
    Hodgkin & A. F. Huxley (1952), J Physiol 117:500, doi:10.1113/jphysiol.1952.sp004764, chose E_L so). Where there is a
    species ``other``, it takes up what a solved concentration changes the charge by. ``initial_v`` becomes v. What is
    exchanged without current (a bath, a buffer) is not looked at.

    Raises ValueError where the count does not fit, where a cell would need a number out of range (a conductance below
    zero), and where these parameters cannot make the currents vanish.
    """
    check(membrane)
    wide = widened(membrane)
    ions, closed = moving_ions(wide)
    wanted = [*ions, *([] if closed and ions else [TOTAL])]
    known = membrane.parameters()
    if solve_for is None:
        usual = (next((p for p in USUAL.get(k, (f"{k}_leak.g", f"{k}_leak.p")) if p in known), None) for k in wanted)
        solve_for = [p for p in usual if p is not None]
    for path in solve_for:
        if path not in known:
            raise path_error(path, list(known))
    if len(set(solve_for)) != len(solve_for) or len(solve_for) != len(wanted):
        raise ValueError(
            "one parameter per dynamic ion, and one for the total current where an ion is clamped: "
            f"{len(wanted)} currents ({', '.join(wanted)}) but {len(solve_for)} parameters ({', '.join(solve_for)})"
        )
    shape = np.broadcast_shapes(np.shape(v), *(np.shape(x) for x in jax.tree.leaves(wide)))
    rest = np.broadcast_to(np.asarray(v, np.float64), shape)
    x = [jnp.broadcast_to(jnp.asarray(known[p].value, jnp.float64), shape) for p in solve_for]
    y, left = jax.jit(_balance, static_argnums=(3, 4))(wide, rest, x, tuple(solve_for), tuple(wanted))
    found = {p: np.asarray(a) for p, a in zip(solve_for, y, strict=True)}
    _judge(membrane, found, np.asarray(left), rest)
    charge = {"inside": 0.0, "outside": 0.0}
    for path in found:
        name, side = pool_of(path)
        if name in membrane.species and side in charge:
            gained = found[path] - np.asarray(known[path].value)
            charge[side] = charge[side] + membrane.species[name].valence * gained
    if (other := membrane.species.get("other")) is not None and not other.counted_only:
        for side, gained in charge.items():
            if np.any(gained):
                found[f"other.{side}"] = np.asarray(getattr(other, side) - gained / other.valence)
    shrink = lambda a: float(a) if np.ndim(a) == 0 else a
    return membrane.with_parameters({p: shrink(a) for p, a in found.items()} | {"initial_v": shrink(np.asarray(v))})


def _judge(membrane: Membrane, found: dict[str, np.ndarray], left: np.ndarray, v: np.ndarray) -> None:
    """ValueError where a cell would need a number that it cannot have, or where currents are left."""
    limits = {path: declaration for path, _, declaration in declared(membrane)}
    stands = f"no cell can stand still at {v.flat[0]:g} mV"
    if v.size > 1 and np.ptp(v):
        stands = "not every cell can stand still"
    for path, a in found.items():
        low, high = limits[path].minimum, limits[path].maximum
        if limits[path].positive:
            low = np.nextafter(0, 1)
        bad = (a < (-np.inf if low is None else low)) | (a > (np.inf if high is None else high))
        if np.any(bad):
            raise ValueError(f"{stands}: {path} would have to be {a[bad].flat[0]:g} {limits[path].unit}")
    if np.any(bad := ~(left <= STILL)):
        raise ValueError(
            f"{stands} by {', '.join(found)} alone; is there one for each current, and do they start near enough?"
        )


def _balance(
    membrane: Membrane, v: jax.Array, x: list[jax.Array], paths: tuple[str, ...], wanted: tuple[str, ...]
) -> tuple[list[jax.Array], jax.Array]:
    """Newton in the parameters themselves, in the logarithm of concentrations; currents are linear in most of them.

    Returns the parameters and the largest current left, over all that flows.
    """
    logarithmic = [p.endswith((".inside", ".outside")) for p in paths]
    back = lambda y: [jnp.exp(a) if log else a for a, log in zip(y, logarithmic, strict=True)]
    zero = jnp.zeros_like(v)

    def currents(y: list[jax.Array]) -> tuple[list[jax.Array], jax.Array]:
        m = map_declared(lambda path, old: dict(zip(paths, back(y), strict=True)).get(path, old), membrane)
        env = m.environment({k: zero for k in [*m.species, "electrode"]})
        states = {name: dict(m.mechanisms[name].initial(v, env)) for name in m.order}
        each = [(k, c.value) for name in m.order for k, c in m.mechanisms[name].fluxes(v, states[name], env).items()]
        each = [(k, i) for k, i in each if m.species[k].valence]
        net = [sum((i for k, i in each if w in (k, TOTAL)), zero) for w in wanted]
        return net, sum((jnp.abs(i) for _, i in each), zero)

    def newton(_: Any, y: list[jax.Array]) -> list[jax.Array]:
        unit = lambda j: [jnp.ones_like(a) if i == j else jnp.zeros_like(a) for i, a in enumerate(y)]
        net = lambda y: currents(y)[0]
        columns = [jax.jvp(net, (y,), (unit(j),))[1] for j in range(len(y))]
        step, _ = solve([[columns[j][i] for j in range(len(y))] for i in range(len(y))], [-c for c in net(y)])
        return [a + b for a, b in zip(y, step, strict=True)]

    y = [jnp.log(a) if log else a for a, log in zip(x, logarithmic, strict=True)]
    y = jax.lax.fori_loop(0, NEWTON_STEPS, newton, y)
    net, gross = currents(y)
    return back(y), jnp.max(jnp.abs(jnp.stack(net)), 0) / jnp.where(gross > 0, gross, 1.0)
