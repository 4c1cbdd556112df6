"""What the solvers share: float64 whatever the caller's precision, and which ions a steady state is about."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import map_declared


def in_float64(function: Callable) -> Callable:
    """Run in float64 without touching the caller's configuration."""

    def wide(*args: Any, **kwargs: Any) -> Any:
        with jax.enable_x64(True):
            return function(*args, **kwargs)

    wide.__doc__, wide.__name__ = function.__doc__, function.__name__
    return wide


def widened(membrane: Membrane) -> Membrane:
    return map_declared(lambda _, x: np.asarray(x, np.float64), membrane)


def moving_ions(membrane: Membrane) -> tuple[list[str], bool]:
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
            "a steady state is found for membranes whose dynamic pools are ions moved by currents; this one has also "
            f"{', '.join(odd) or 'water'}. Simulate until it stands still instead."
        )
    flowing = [k for k in asked["flows"] if membrane.species[k].valence]
    return [k for k in dynamic if k in flowing], all(k in dynamic for k in flowing)
