"""The numbers of a mechanism: finite, smooth, exact in their slopes and gradients, alike in both precisions."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.membrane.check import MembraneError, check
from jaxmem.membrane.mechanism import Mechanism, Rates, Scheme
from jaxmem.membrane.parameters import map_declared
from jaxmem.membrane.species import Species
from jaxmem.testing.contract import MechanismError, contract, declarations
from jaxmem.testing.specimen import (
    NAME,
    NODES,
    Specimen,
    alone,
    environment,
    lattice,
    outputs,
    specimen,
    usual_species,
)  # fmt: skip

WIDE, NARROW = "float64", "float32"
SLOPE = {WIDE: 1e-9, NARROW: 1e-3}  # of the largest slope nearby, between slope and derivative
SMOOTH = {WIDE: 1e-5, NARROW: 2e-3}  # between a value and what its neighbours within 0.06 mV let expect
SMOOTH_GRADIENT = {WIDE: 1e-3, NARROW: 5e-2}
AGREEMENT = 2e-3  # between both precisions
DIFFERENCE = 1e-6  # between a gradient and a fourth-order difference in float64
GUARD = "; a removable 0/0 needs jaxmem.electrochemistry.exprel_inverse or a series inside and a double where outside"


@dataclasses.dataclass(frozen=True)
class MechanismReport:
    """What was looked at, and the worst that was found (relative): of slopes, gradients, and between precisions."""

    mechanism: str
    states: tuple[str, ...]
    currents: tuple[str, ...]
    parameters: tuple[str, ...]
    points: int
    slope_error: float
    gradient_error: float
    precision_gap: float

    def __str__(self) -> str:
        return (
            f"{self.mechanism}: states {', '.join(self.states) or 'none'}; currents {', '.join(self.currents) or 'none'}; "
            f"parameters {', '.join(self.parameters)}. At {self.points:,} points: slope within {self.slope_error:.1e}, "
            f"gradients within {self.gradient_error:.1e}, float32 within {self.precision_gap:.1e}"
        )


def check_mechanism(
    mechanism: Mechanism,
    *,
    species: Mapping[str, Species] | None = None,
    celsius: float = 30.0,
    v: tuple[float, float] = (-150.0, 100.0),
    smooth: bool = True,
    seed: int = 0,
) -> MechanismReport:
    """Look for everything that can be wrong with a mechanism; call it in a test of your own.

    The mechanism is put alone into a membrane with these ``species`` (:func:`usual_species` unless given) and asked at
    every 0.1 mV from ``v[0]`` to ``v[1]``, at the neighbouring numbers and near by, with random states, in float32 and
    float64 (whatever JAX is set to). Checked are: units and names; values and derivatives finite, in v, in every state
    and every parameter; no jump and no lost digits, in value and derivative (not with ``smooth=False``, for rates that
    are published in pieces); ``slope`` against the derivative; derivatives against differences in float64; both
    precisions alike; no promotion of float32; rates not negative, gates within 0 and 1, schemes summing to 1; the
    current of a single ion zero at its reversal and outward above; each cell's numbers independent of the others'.

    Returns a :class:`MechanismReport`. Raises :class:`MechanismError`, an AssertionError that lists all that is wrong.
    """
    name = type(mechanism).__name__
    with jax.enable_x64(True):
        membrane = alone(mechanism, usual_species() if species is None else species, celsius)
        problems = declarations(mechanism)
        arrays = [text for text in problems if " is an array; " in text]
        if not (fatal := arrays or contract(membrane)):
            try:
                check(membrane)
            except MembraneError as error:
                fatal = str(error).replace(f"mechanism {NAME!r}", "it").splitlines()
            except Exception as error:  # every number of a mechanism stands for one cell there, or for all
                told = f"{type(error).__name__}: {' '.join(str(error).split())}"
                fatal = [f"cannot be put into a membrane: {told} (tables of numbers are static fields, as tuples)"]
        if fatal:
            raise MechanismError(name, problems + fatal)  # which says a thing once
        points = lattice(membrane, *v)
        looks = {p: _Look(specimen(membrane, points, p, seed)) for p in (WIDE, NARROW)}
        worst = {"slope": 0.0}
        for precision, look in looks.items():
            found = len(problems)
            problems += look.finite(precision)
            if smooth and len(problems) == found:
                problems += look.smooth(precision)
            wrong, error = look.slopes(precision)
            problems += wrong
            worst["slope"] = max(worst["slope"], error / SLOPE[precision] * SLOPE[WIDE])
            problems += look.alone(precision)
        problems += looks[WIDE].kinetics() + looks[WIDE].signs() + looks[WIDE].events()
        wrong, gradient = looks[WIDE].differences()
        problems += wrong
        wrong, gap = _agreement(looks[WIDE], looks[NARROW])
        problems += wrong
        if problems:
            raise MechanismError(name, problems)
        own = tuple(p.removeprefix(f"{NAME}.") for p in looks[WIDE].s.values if p.startswith(f"{NAME}."))
        currents = tuple(k.split("'")[1] for k in looks[WIDE].values if k.startswith("the current of"))
        return MechanismReport(
            name, tuple(looks[WIDE].s.states), currents, own, int(looks[WIDE].s.v.size), worst["slope"], gradient, gap
        )


Numbers = dict[str, np.ndarray]


class _Look:
    """A specimen, what it says there, and the derivatives of that: by output, then by "v", state or parameter."""

    def __init__(self, s: Specimen):
        self.s = s

        def at(values: Any, v: jax.Array, states: Any) -> dict[str, jax.Array]:
            membrane = map_declared(lambda path, old: values.get(path, old), s.membrane)
            return {k: jnp.zeros_like(v) + x for k, x in outputs(membrane, v, states).items()}

        def both(where: Any, weights: Any) -> Any:
            values, back = jax.vjp(lambda w: at(*w), where)
            return values, back(weights)[0]

        here = (s.values, s.v, s.states)
        names = jax.eval_shape(lambda w: at(*w), here)
        self._none = {k: np.zeros_like(s.v) for k in names}
        self._both = jax.jit(both)
        self.derivatives: dict[str, Numbers] = {}
        for name in names:
            self.values, (values, v, states) = jax.tree.map(
                np.asarray, self._both(here, self._none | {name: np.ones_like(s.v)})
            )
            found = {"v": v} | {f"the state {k!r}": x for k, x in states.items()}
            self.derivatives[name] = found | {p.removeprefix(f"{NAME}."): x for p, x in values.items()}
        self.by_v = {name: found["v"] for name, found in self.derivatives.items()}

    def at(self, values: Any = None, v: Any = None, states: Any = None) -> Numbers:
        """What it says elsewhere."""
        where = (values or self.s.values, self.s.v if v is None else v, self.s.states if states is None else states)
        return jax.tree.map(np.asarray, self._both(where, self._none)[0])

    def _worst(self, wrong: np.ndarray, say: Callable[[int], str]) -> list[str]:
        """A sentence for the first point of the trouble, with how much more there is of it."""
        at = np.flatnonzero(wrong)
        if not at.size:
            return []
        voltages = np.unique(np.round(np.asarray(self.s.v, np.float64)[at], 1)).size
        more = f" (and at {voltages - 1} other voltages)" if voltages > 1 else ""
        return [f"{say(int(at[0]))} at v = {float(self.s.v[at[0]]):.10g} mV{more}"]

    def finite(self, precision: str) -> list[str]:
        problems = []
        for name, x in self.values.items():
            problems += self._worst(~np.isfinite(x), lambda i, x=x, name=name: f"{name} is {x[i]:g} in {precision}")
        for name, found in self.derivatives.items():
            for way, x in found.items() if np.all(np.isfinite(self.values[name])) else ():
                say = lambda i, x=x, name=name, way=way: (
                    f"the derivative of {name} with respect to {way} is {x[i]:g} in {precision}"
                )
                problems += self._worst(~np.isfinite(x), say)
        return [text + GUARD * (" nan " in text) for text in problems]

    def smooth(self, precision: str) -> list[str]:
        """Each value against the cubic through its neighbours on both sides, which no 0/0 can reach."""
        v = self.s.rows(self.s.v)
        n = len(NODES)
        weights = np.ones((n, *v.shape))
        for i in range(n):
            for j in range(n):
                if i != j:
                    weights[i] *= (v - v[:, [j]]) / (v[:, [i]] - v[:, [j]])
        problems = []
        for what, found, allowed in (
            ("", self.values, SMOOTH[precision]),
            ("the derivative with respect to v of ", self.by_v, SMOOTH_GRADIENT[precision]),
        ):
            for name, x in found.items():
                f, g = self.s.rows(x), self.s.rows(self.by_v[name])
                expected = sum(weights[i] * f[:, [i]] for i in range(n))
                nodes = abs(f[:, :n]).max(1, keepdims=True)
                if what:
                    beside = abs(self.s.rows(self.values[name])[:, :n]).max(1, keepdims=True) / 20
                else:
                    beside = abs(g[:, :n]).max(1, keepdims=True)
                floor = (1e-13 if precision == WIDE else 1e-6) * abs(f).max() / allowed
                wrong = abs(f - expected) > allowed * (nodes + beside + floor)
                say = lambda i, name=name, what=what, f=f, e=expected: (
                    f"{what}{name} is {f.flat[i]:.6g} in {precision}, but its neighbours let expect {e.flat[i]:.6g},"
                )
                problems += [text + GUARD for text in self._worst(wrong.ravel(), say)]
        return problems

    def slopes(self, precision: str) -> tuple[list[str], float]:
        problems, worst = [], 0.0
        for name in self.values:
            if not name.startswith("the current of"):
                continue
            told, true = self.values[name.replace("current", "slope")], self.by_v[name]
            scale = np.maximum(abs(true), abs(told)) + 1e-3 * np.nanmax(abs(true), initial=0.0)
            error = abs(told - true) / np.where(scale > 0, scale, 1.0)
            worst = max(worst, float(np.nanmax(error, initial=0.0)))
            say = lambda i, name=name, told=told, true=true: (
                f"{name.replace('current', 'slope')} is {told[i]:.6g}, but the derivative of the current with respect to v "
                f"is {true[i]:.6g} mS/cm^2 in {precision},"
            )
            problems += self._worst(error > SLOPE[precision], say)
        return problems, worst

    def alone(self, precision: str) -> list[str]:
        """In another order and other company each point has to say the same."""
        order = np.arange(self.s.v.size)[::-1].copy()
        order[::3] = 0
        other = self.at(*jax.tree.map(lambda x: x[order], (self.s.values, self.s.v, self.s.states)))
        problems = []
        for name, x in self.values.items():
            gap = abs(other[name] - x[order]) > (1e-9 if precision == WIDE else 1e-4) * abs(x[order])
            if np.any(gap):
                problems.append(f"{name} of a cell depends on the other cells in {precision}; it has to be elementwise")
        return problems

    def kinetics(self) -> list[str]:
        problems = []
        kinetics = self.s.kinetics
        gates = {name for name, k in kinetics.items() if isinstance(k, Rates)}
        schemes = {name: k.names for name, k in kinetics.items() if isinstance(k, Scheme)}
        members = gates | {s for names in schemes.values() for s in names}
        for name, x in self.values.items():
            if name.startswith(("the opening", "the closing", "the rate", "the transfer from")) and "bath" not in name:
                say = lambda i, name=name, x=x: f"{name} is negative: {x[i]:.6g} 1/ms"
                problems += self._worst(x < 0, say)
            if name.startswith("the initial ") and name.removeprefix("the initial ").strip("'") in members:
                say = lambda i, name=name, x=x: f"{name} is not between 0 and 1: {x[i]:.6g}"
                problems += self._worst((x < -1e-12) | (x > 1 + 1e-12), say)
        for name, states in schemes.items():
            total: Any = sum(self.values[f"the initial {s!r}"] for s in states)
            say = lambda i, name=name, total=total: (
                f"the initial states of the scheme {name!r} sum to {total[i]:.9g}, not 1,"
            )
            problems += self._worst(abs(total - 1) > 1e-9, say)
        return problems

    def signs(self) -> list[str]:
        """A current through an open channel for one ion is zero where nothing drives it, and outward above."""
        charged = [
            ion for ion, s in self.s.membrane.species.items() if s.valence and f"the current of {ion!r}" in self.values
        ]
        others = [k for k in self.values if k.startswith("the current of")]
        if len(charged) != 1 or len(others) != 1:
            return []
        name, declared = others[0], f"{NAME}.e" in self.s.values
        env = environment(self.s.membrane, jnp.zeros(1))
        known = self.s.membrane.parameters()
        if not declared and charged[0] not in env.e:
            return []
        e = float(known[f"{NAME}.e"].value if declared else np.asarray(env.e[charged[0]]).ravel()[0])
        there = self.at(v=np.full_like(self.s.v, e))
        current, v = self.values[name], np.asarray(self.s.v)
        left = np.nanmax(abs(there[name]))
        if left > 1e-9 * np.nanmax(abs(current)):
            told = f"{name} is {left:.4g} uA/cm^2 at its reversal potential e = {e:g} mV, where it should be 0"
            return [told] if declared else []  # without an e it may be a pump
        say = lambda i: (
            f"{name} is {current[i]:.4g} uA/cm^2 (outward positive), but its reversal potential is {e:g} mV,"
        )
        return self._worst(current * np.sign(v - e) < -1e-12 * np.nanmax(abs(current)), say)

    def events(self) -> list[str]:
        it = self.s.membrane.mechanisms[NAME]
        if type(it).events is Mechanism.events:
            return []
        problems = []
        spiked = np.arange(self.s.v.size) % 2 == 0
        after = it.events(jnp.asarray(spiked), {k: jnp.asarray(x) for k, x in self.s.states.items()})
        for name, x in self.s.states.items():
            new, quiet = np.broadcast_to(np.asarray(after[name]), x.shape), ~np.asarray(spiked)
            if not np.all(np.isfinite(new)):
                problems.append(f"the state {name!r} is not finite after a spike")
            if np.any(new[quiet] != np.asarray(x)[quiet]):
                problems.append(f"events() changes the state {name!r} of cells that did not spike")
        return problems

    def differences(self) -> tuple[list[str], float]:
        """Derivatives in v and every parameter against fourth-order central differences."""
        problems, worst, s = [], 0.0, self.s
        steps = {"v": 1e-3} | {path: 1e-4 * float(abs(x[0])) for path, x in s.values.items() if x[0]}
        for path, step in steps.items():
            way = path.removeprefix(f"{NAME}.")

            def shifted(k: int, path: str = path, step: float = step) -> Numbers:
                if path == "v":
                    return self.at(v=s.v + k * step)
                return self.at(s.values | {path: s.values[path] + k * step})

            far, near, back, behind = (shifted(k) for k in (2, 1, -1, -2))
            for name, found in self.derivatives.items():
                # beside the voltages that people write down, at which a difference would mix both sides
                first = lambda x: s.rows(x)[:, 0]
                with np.errstate(invalid="ignore"):
                    true = first(8 * (near[name] - back[name]) - (far[name] - behind[name])) / (12 * step)
                    size = abs(true) + np.nanmax(abs(true), initial=0.0)
                    f = abs(first(self.values[name]))  # whose rounding the difference divides by the step
                    noise = (1e-14 * f + 1e-15 * np.nanmax(f, initial=0.0)) / step
                    gap = np.maximum(abs(first(found[way]) - true) - noise, 0)
                    error = np.where(gap > 0, gap / np.where(size > 0, size, 1), 0.0)
                worst = max(worst, float(np.nanmax(error, initial=0.0)))
                wrong = np.zeros((error.size, s.offsets), bool)
                wrong[:, 0] = error > DIFFERENCE
                say = lambda i, name=name, x=found[way], true=true, way=way: (
                    f"the derivative of {name} with respect to {way} is {x[i]:.6g}, but a difference gives "
                    f"{true[i // s.offsets]:.6g},"
                )
                problems += self._worst(wrong.ravel(), say)
        return problems, worst


def _agreement(wide: _Look, narrow: _Look) -> tuple[list[str], float]:
    """float64 at the voltages and states of float32."""
    as_wide = jax.tree.map(lambda x: x.astype(np.float64), (narrow.s.v, narrow.s.states))
    true = wide.at(None, *as_wide)
    problems, worst = [], 0.0
    for name, x in narrow.values.items():
        scale = abs(true[name]) + 1e-4 * np.nanmax(abs(true[name]), initial=0.0)
        error = abs(x - true[name]) / np.where(scale > 0, scale, 1.0)
        worst = max(worst, float(np.nanmax(error, initial=0.0)))
        say = lambda i, name=name, x=x: f"{name} is {x[i]:.6g} in float32, but {true[name][i]:.6g} in float64,"
        problems += narrow._worst(error > AGREEMENT, say)
    return problems, worst
