"""Everything that is wrong with a membrane (or a stimulus), said at once and before anything runs."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.membrane.membrane import Membrane, out_of_range
from jaxmem.membrane.parameters import cell_count, declared


class MembraneError(ValueError):
    """A membrane that cannot be simulated; the text lists every problem."""


def check(tree: Any) -> None:
    """Raise MembraneError where a number is out of range, lengths disagree or a mechanism names what is not there."""
    problems = [
        f"{path} {p}"
        for path, x, d in declared(tree)
        if not isinstance(x, jax.core.Tracer) and (p := out_of_range(x, d))
    ]
    try:
        cell_count(tree)
    except ValueError as error:
        problems.append(str(error))
    if not problems and isinstance(tree, Membrane):
        problems = _mechanisms(jax.tree.structure(tree)) + ["a population needs at least one cell"] * (tree.cells == 0)
    if problems:
        raise MembraneError("\n".join(problems))


@functools.lru_cache(maxsize=32)
def _mechanisms(structure: Any) -> list[str]:
    """Each mechanism is asked once, without computing: does it find its ions, and do the species exist?

    That depends on the structure of the membrane alone, not on its numbers.
    """
    problems = []
    membrane = jax.tree.unflatten(structure, [np.float32(1)] * structure.num_leaves)
    pools = {
        f"{name}.{side}" for name, s in membrane.species.items() if not s.counted_only for side in ("inside", "outside")
    }
    alive = {f"{name}.{side}" for name, side in membrane.pools()}
    for name in membrane.order:
        mechanism = membrane.mechanisms[name]

        one: dict[str, tuple] = {}

        def ask(mechanism: Any = mechanism, one: dict[str, tuple] = one) -> None:
            v = jnp.zeros(1)
            env = membrane.environment({k: jnp.zeros(1) for k in [*membrane.species, "electrode"]})
            states = mechanism.initial(v, env)
            mechanism.kinetics(v, states, env)
            one["fluxes"] = tuple(mechanism.fluxes(v, states, env))
            one["transfers"] = tuple(mechanism.transfers(v, states, env))

        try:
            jax.eval_shape(ask)
        except KeyError as error:
            there = [k for k, s in membrane.species.items() if not s.counted_only]
            problems.append(
                f"mechanism {name!r} needs {error.args[0]!r}, which this membrane does not offer "
                f"(species with concentrations: {', '.join(there) or 'none'}; states: as its initial() names them)"
            )
            continue
        problems += [
            f"mechanism {name!r} carries {ion!r}, which is not among the species"
            for ion in one["fluxes"]
            if ion not in membrane.species
        ]
        for a, b in one["transfers"]:
            if a not in alive:
                problems.append(
                    f"mechanism {name!r} transfers from {a!r}, which is no dynamic pool; name first the pool that changes"
                )
            if b != "bath" and b not in pools:
                problems.append(f"mechanism {name!r} transfers to {b!r}, which is neither a pool nor 'bath'")
    return problems
