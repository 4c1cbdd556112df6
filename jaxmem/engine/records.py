"""What is recorded: which variables, how often, of which cells. Only what is asked for leaves the loop.

Variables are paths: ``v``, a state ``sodium.m``, a concentration ``na.inside``, a reversal potential ``na.e``, a current
``pump.i_na`` (of one mechanism, carried by one ion) or ``i_na`` (of all), ``stimulus``; or a group: ``states``,
``concentrations``, ``reversals``, ``currents``.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.engine.interval import collocated
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import path_error
from jaxmem.membrane.state import Point, State
from jaxmem.rig.drive import Drive, Moment, Voltage
from jaxmem.rig.protocol import ProtocolOnGrid
from jaxmem.rig.stimuli import Stimulus

GROUPS = ("states", "concentrations", "reversals", "currents")


@dataclasses.dataclass(frozen=True)
class Record:
    """``variables`` (a path, or several) sampled ``every`` so many ms, of ``cells`` (indices; None: all of them).

    A variable that two records share needs a ``name`` for one of them, which is put before it (``detail.v``).
    """

    variables: str | Sequence[str]
    every: float = 1.0
    cells: Any = None
    name: str | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.variables,) if isinstance(self.variables, str) else tuple(self.variables)


def variables_of(membrane: Membrane, state: State, stimulus: Stimulus | None = None) -> dict[str, tuple[str, str]]:
    """Every variable that can be recorded, also of this stimulus: path -> (unit, long name)."""
    shapes = _paths(jax.tree.structure((membrane, state)))
    told = {"v": ("mV", "membrane potential"), "stimulus": ("uA/cm^2", "stimulus current density")}
    for path in shapes:
        name, _, what = path.rpartition(".")
        if what in ("inside", "outside"):
            told[path] = ("mM", f"{name} concentration {what}")
        elif what == "e" and name in membrane.species:
            told[path] = ("mV", f"Nernst potential of {name}")
        elif path.startswith("i_"):
            told[path] = ("uA/cm^2", f"current carried by {path[2:]}, outward positive")
        elif what.startswith("i_") and name in membrane.mechanisms:
            told[path] = ("uA/cm^2", f"current of {name} carried by {what[2:]}, outward positive")
        elif path != "v":
            told[path] = ("1", f"state {what} of {name}")
    return told if stimulus is None else told | stimulus.readings


@functools.lru_cache(maxsize=32)
def _paths(structure: Any) -> tuple[str, ...]:
    """The names of :func:`variables_at`, which depend on the structure of (membrane, state) alone."""
    example = jax.tree.unflatten(structure, [jax.ShapeDtypeStruct((), np.float32)] * structure.num_leaves)
    return tuple(jax.eval_shape(lambda m, s: variables_at(m, collocated(m, s)), *example))


def expand(paths: Sequence[str], known: dict[str, tuple[str, str]]) -> list[str]:
    """Groups replaced by their members; an unknown path is an error that names the nearest."""
    inside = {
        "concentrations": lambda p: p.endswith((".inside", ".outside")),
        "reversals": lambda p: p.endswith(".e"),
        "currents": lambda p: p.rpartition(".")[2].startswith("i_"),
    }
    inside["states"] = lambda p: "." in p and not any(test(p) for test in list(inside.values())[:3])
    found: list[str] = []
    for path in paths:
        if path in GROUPS:
            found += [p for p in known if inside[path](p)]
        elif path in known:
            found.append(path)
        else:
            raise path_error(path, [*known, *GROUPS], "variable to record")
    return list(dict.fromkeys(found))


def sample(
    membrane: Membrane, state: State, protocol: ProtocolOnGrid, dt: jax.Array, paths: tuple[str, ...]
) -> dict[str, jax.Array]:
    """The variables at the time of v, to second order; ``stimulus`` is its mean over the step that begins now.

    Of an ideal clamp it is the current that the membrane takes just after the step began, without the instantaneous
    charge of the capacitor where the command jumps (which the book holds).
    """
    if not paths:
        return {}
    membrane = protocol.at(membrane, jnp.asarray(state.step), state.v)
    found = {"v": state.v}
    known = variables_of(membrane, state)
    shown = [p for p in paths if p not in known]  # by an instrument of the rig
    if any(p not in ("v", "stimulus", *shown) for p in paths):
        found |= variables_at(membrane, collocated(membrane, state))
    if shown or "stimulus" in paths:
        whole = lambda x: jnp.zeros_like(state.v) + x
        moment = Moment(jnp.asarray(state.step), dt, state.cell)
        drive, _ = protocol.driver.drive(moment, state.v, state.rig)
        found["stimulus"] = whole(_injected(membrane, state, drive, dt))
        read = protocol.driver.readings(moment, state.v, state.rig, found["stimulus"]) if shown else {}
        found |= {name: whole(x) for name, x in read.items()}
    return {path: found[path] for path in paths}


def _injected(membrane: Membrane, state: State, drive: Drive, dt: jax.Array) -> Any:
    if not isinstance(drive, Voltage):
        return drive.value
    point = collocated(membrane, state)
    v = jnp.zeros_like(state.v) + drive.start
    still = membrane.derivative(Point(v, point.states, point.book))
    return membrane.capacitance * ((drive.end - drive.start) / dt - still.v)


def variables_at(membrane: Membrane, point: Point) -> dict[str, jax.Array]:
    """Everything that can be recorded at a point, but the stimulus."""
    env = membrane.environment(point.book)
    whole = lambda x: jnp.zeros_like(point.v) + x
    found = {"v": point.v}
    for name in membrane.order:
        found |= {f"{name}.{s}": x for s, x in point.states[name].items()}
        currents = membrane.mechanisms[name].fluxes(point.v, point.states[name], env)
        found |= {f"{name}.i_{ion}": whole(c.value) for ion, c in currents.items()}
        for ion, c in currents.items():
            found[f"i_{ion}"] = found.get(f"i_{ion}", 0.0) + whole(c.value)
    for name, side in membrane.pools():
        found[f"{name}.{side}"] = whole(getattr(env, side)[name])
    found |= {f"{name}.e": whole(env.e[name]) for name in env.e}
    return found


def steps_between(every: float, dt: float, where: str) -> int:
    """``every`` in whole steps of dt; otherwise ValueError, with the nearest that would do."""
    steps = every / dt
    if not steps > 0 or not np.isfinite(steps):
        raise ValueError(f"{where}: a sampling interval must be above 0 ms; found {every:g}")
    if abs(steps - round(steps)) > 1e-6 * max(1.0, steps) or round(steps) < 1:
        below, above = max(1, int(steps)), int(steps) + 1
        near = below * dt if abs(below - steps) <= abs(above - steps) else above * dt
        fits = every / max(1, round(steps))
        raise ValueError(
            f"{where}: dt {dt:g} ms does not divide {every:g} ms; the nearest interval that fits is {near:g} ms, "
            f"or take dt = {fits:.6g} ms"
        )
    return round(steps)
