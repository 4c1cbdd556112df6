"""What a mechanism declares and returns, looked at without computing a number."""

import collections
from typing import Any

import jax
import jax.numpy as jnp

from jaxmem import units
from jaxmem.membrane.mechanism import Mechanism, Rates, Scheme
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import declared
from jaxmem.testing.specimen import NAME, environment, in_precision, outputs

METHODS = ("initial", "kinetics", "fluxes", "transfers", "events")


class MechanismError(AssertionError):
    """A mechanism that does not keep what the engine relies on; ``problems`` are sentences, and its text all of them."""

    def __init__(self, name: str, problems: list[str]):
        self.problems = list(dict.fromkeys(problems))
        super().__init__("\n".join([f"{name}: {len(self.problems)} problem(s)", *self.problems]))


class _Watched(dict):
    """States that note which of them were asked for."""

    def __init__(self, states: dict[str, Any]):
        super().__init__(states)
        self.used: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.used.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.used.add(name)
        return super().get(name, default)

    def values(self) -> Any:
        self.used |= set(self)
        return super().values()

    def items(self) -> Any:
        self.used |= set(self)
        return super().items()


def declarations(mechanism: Mechanism) -> list[str]:
    """Units that nobody can read, and parameters that nobody can understand."""
    problems = []
    for path, x, d in declared(mechanism):
        if jnp.ndim(x):
            problems.append(f"the parameter {path} is an array; give one number, cells are made of it here")
        try:
            units.cf(d.unit)
        except units.UnitError as error:
            problems.append(f"the parameter {path} has the unit {d.unit!r}, which jaxmem.units does not know: {error}")
        if not d.description.strip():
            problems.append(f"the parameter {path} has no description")
    return problems


def contract(membrane: Membrane) -> list[str]:
    """Names, shapes and types of what the methods return, for float32 numbers where float64 is allowed."""
    one = jnp.zeros(3, jnp.float32)
    it = membrane.mechanisms[NAME]
    problems: list[str] = []
    told: dict[str, Any] = {}

    def ask(membrane: Membrane, v: jax.Array) -> dict[str, Any]:
        env, it = environment(membrane, v), membrane.mechanisms[NAME]
        rest = it.initial(v, env)
        whole = {name: jnp.zeros_like(v) for name in rest}
        watched, used = _Watched(whole), {}
        kinetics = it.kinetics(v, watched, env)
        told["kinetics"], used["kinetics"] = kinetics, set(watched.used)
        for method in ("fluxes", "transfers"):
            watched = _Watched(whole)
            getattr(it, method)(v, watched, env)
            used[method] = watched.used
        watched = _Watched(whole)
        after = it.events(v > 0, watched)
        told.update({"rest": set(rest), "used": used, "after": set(after), "spiked": set(watched.used)})
        return outputs(membrane, v, whole) | {f"{name!r} after a spike": x for name, x in after.items()}

    wide = jax.tree.map(
        lambda x: jnp.full(3, x, jnp.float32) if jnp.ndim(x) == 0 else x, in_precision(membrane, "float32")
    )
    try:
        shapes = jax.eval_shape(ask, wide, one)
        jax.eval_shape(lambda v: jax.jvp(lambda v: ask(wide, v), (v,), (v,)), one)  # steady states need forward mode
    except KeyError as error:
        there = ", ".join(membrane.species)
        return [
            f"asks for {error.args[0]!r}, which is neither a state that initial() names (by default those of kinetics) nor "
            f"a species here ({there}); pass species={{...: jm.Species(...)}} if it is one"
        ]
    except Exception as error:
        return [f"cannot be computed for float32 arrays: {type(error).__name__}: {' '.join(str(error).split())[:300]}"]
    problems += _names(it, told, membrane)
    for name, x in shapes.items():
        if x.shape not in ((), one.shape):
            problems.append(
                f"{name} has the shape {x.shape} for voltages of shape {one.shape}; it has to be elementwise"
            )
        elif (jnp.zeros(1, jnp.float32) + jnp.zeros((), x.dtype)).dtype != jnp.float32 and not x.weak_type:
            problems.append(
                f"{name} is {x.dtype} where everything given is float32: an array of NumPy or a dtype is written into it"
            )
    return problems


def _names(it: Mechanism, told: dict[str, Any], membrane: Membrane) -> list[str]:
    """States and species by name: those that are moved, those that are used, those that exist."""
    problems = []
    moved = [s for name, k in told["kinetics"].items() for s in (k.names if isinstance(k, Scheme) else [name])]
    problems += [
        f"the state {s!r} is moved by two entries of kinetics" for s, n in collections.Counter(moved).items() if n > 1
    ]
    own_events = type(it).events is not Mechanism.events
    for s in sorted(told["rest"] - set(moved)):
        if not own_events:
            problems.append(f"initial() names the state {s!r}, which neither kinetics nor events ever changes")
    problems += [
        f"kinetics moves the state {s!r}, which initial() does not name" for s in sorted(set(moved) - told["rest"])
    ]
    if own_events and told["after"] != told["rest"]:
        problems.append(f"events() returns the states {sorted(told['after'])} instead of {sorted(told['rest'])}")
    used = set().union(*told["used"].values(), told["spiked"])
    for name, k in told["kinetics"].items():
        members = set(k.names) if isinstance(k, Scheme) else {name}
        if not members & used:
            what = f"the scheme {name!r} is" if isinstance(k, Scheme) else f"the state {name!r} is"
            problems.append(f"{what} computed and never used by fluxes, transfers or kinetics")
        if isinstance(k, Scheme) and any(a == b for a, b in k.edges):
            problems.append(f"the scheme {name!r} has an edge from a state to itself")
        if not isinstance(k, Rates | Scheme) and not hasattr(k, "gain"):
            problems.append(f"kinetics gives {name!r} as a {type(k).__name__}; it has to be Rates, Linear or Scheme")
    return problems
