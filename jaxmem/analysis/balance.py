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
from jaxmem.membrane.parameters import map_declared, path_error

NEWTON_STEPS = 8  # currents are linear in conductances and nearly so in ln(concentration)


@in_float64
def balance(membrane: Membrane, v: ArrayLike = -70.0, solve_for: Sequence[str] | None = None) -> Membrane:
    """The same membrane with the unmeasured parameters chosen so that each cell stands still at ``v`` (mV).

    One parameter per dynamic ion makes that ion's current zero at v with the membrane's concentrations. By default: the
    ``na_leak`` (its g or p), ``pump.i_max`` for K+, and ``cl.inside`` for Cl- (which puts a passive Cl- at equilibrium;
    where there is a species ``other``, it takes up the difference in charge). ``initial_v`` becomes v.

    Raises ValueError where the count does not fit, or where a cell would need a negative number.
    """
    check(membrane)
    wide = widened(membrane)
    ions, _ = moving_ions(wide)
    known = membrane.parameters()
    if solve_for is None:
        usual = {"na": ("na_leak.g", "na_leak.p"), "k": ("pump.i_max",), "cl": ("cl.inside",)}
        solve_for = [p for ion in ions for p in usual.get(ion, ()) if p in known]
    for path in solve_for:
        if path not in known:
            raise path_error(path, list(known))
    if len(solve_for) != len(ions) or not ions:
        raise ValueError(
            f"one parameter per dynamic ion: {len(ions)} ions ({', '.join(ions)}) "
            f"but {len(solve_for)} parameters ({', '.join(solve_for)})"
        )
    shape = np.broadcast_shapes(np.shape(v), *(np.shape(x) for x in jax.tree.leaves(wide)))
    rest = np.broadcast_to(np.asarray(v, np.float64), shape)
    x = [jnp.broadcast_to(jnp.asarray(known[p].value, jnp.float64), shape) for p in solve_for]
    x = jax.jit(_balance, static_argnums=(3, 4))(wide, rest, x, tuple(solve_for), tuple(ions))
    found = {p: np.asarray(a) for p, a in zip(solve_for, x, strict=True)}
    for path, a in found.items():
        if not np.all(np.isfinite(a)) or np.any(a < 0):
            worst = np.nanmin(a)
            raise ValueError(
                f"no cell can stand still at {np.asarray(v).flat[0]:g} mV: {path} would have to be {worst:g}"
            )
    if "cl.inside" in found and "other" in membrane.species:
        other = membrane.species["other"]
        found["other.inside"] = np.asarray(
            other.inside + (found["cl.inside"] - known["cl.inside"].value) / other.valence
        )
    shrink = lambda a: float(a) if np.ndim(a) == 0 else a
    return membrane.with_parameters({p: shrink(a) for p, a in found.items()} | {"initial_v": shrink(np.asarray(v))})


def _balance(
    membrane: Membrane, v: jax.Array, x: list[jax.Array], paths: tuple[str, ...], ions: tuple[str, ...]
) -> list[jax.Array]:
    """Newton in the parameters themselves, in the logarithm of concentrations; currents are linear in most of them."""
    logarithmic = [p.endswith((".inside", ".outside")) for p in paths]
    back = lambda y: [jnp.exp(a) if log else a for a, log in zip(y, logarithmic, strict=True)]

    def currents(y: list[jax.Array]) -> list[jax.Array]:
        m = map_declared(lambda path, old: dict(zip(paths, back(y), strict=True)).get(path, old), membrane)
        env = m.environment({k: jnp.zeros_like(v) for k in [*m.species, "electrode"]})
        states = {name: m.mechanisms[name].initial(v, env) for name in m.order}
        flows = m.fluxes(v, states, env)
        return [jnp.zeros_like(v) + flows[k].value for k in ions]

    def newton(_: Any, y: list[jax.Array]) -> list[jax.Array]:
        unit = lambda j: [jnp.ones_like(a) if i == j else jnp.zeros_like(a) for i, a in enumerate(y)]
        columns = [jax.jvp(currents, (y,), (unit(j),))[1] for j in range(len(y))]
        step, _ = solve([[columns[j][i] for j in range(len(y))] for i in range(len(y))], [-c for c in currents(y)])
        return [a + b for a, b in zip(y, step, strict=True)]

    y = [jnp.log(a) if log else a for a, log in zip(x, logarithmic, strict=True)]
    return back(jax.lax.fori_loop(0, NEWTON_STEPS, newton, y))
