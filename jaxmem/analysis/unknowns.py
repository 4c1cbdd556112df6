"""What a steady state is sought in: as few unknowns as the membrane's conservation laws leave.

The voltage, the logarithm of every dynamic amount, and those states that cannot be eliminated. Gates and schemes whose
rates depend on voltage and concentrations alone stand at their steady states. Each conservation law (the charge on the
capacitor and what ions carried; an ion inside and outside; a buffer free and bound) makes one amount follow from others.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Var

from jaxmem.membrane.mechanism import Current, Scheme, States, steady_states
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.species import pool_of
from jaxmem.membrane.state import Accounts, Point, State

Pool = tuple[str, str]
Vector = tuple[jax.Array, ...]
LEAST = 1e-9  # mM: what an empty pool starts with, for its logarithm's sake


@dataclasses.dataclass(frozen=True)
class Unknowns:
    """The layout of the vector of unknowns: v, then ln(amount/start) of each pool in ``followed``, then ``states``.

    ``tied`` pools follow from the others: ``((pool, ((index of unknown, factor), ...)), ...)`` where the charge that came
    with a pool is the sum of factor times charge of the unknowns (index 0: the capacitor). ``states`` are (mechanism,
    state); ``closing`` says which state is one minus the others. ``eliminated`` mechanisms stand at their steady states.
    """

    followed: tuple[Pool, ...]
    tied: tuple[tuple[Pool, tuple[tuple[int, float], ...]], ...]
    states: tuple[tuple[str, str], ...]
    closing: tuple[tuple[str, str, tuple[str, ...]], ...]
    eliminated: tuple[str, ...]
    accounts: tuple[str, ...]

    def __len__(self) -> int:
        return 1 + len(self.followed) + len(self.states)

    @property
    def conserved(self) -> int:
        """How many independent conservation laws tie the amounts to each other and to the voltage."""
        return sum(bool(terms) for _, terms in self.tied)


@dataclasses.dataclass(frozen=True)
class Structure:
    """What a membrane is made of, without its numbers: which species flow, what exchanges, how states depend."""

    flows: tuple[str, ...]
    currents: tuple[tuple[tuple[str, Fraction], ...], ...]  # what moves in step: species and factor
    transfers: tuple[tuple[str, str], ...]
    schemes: dict[str, tuple[tuple[str, ...], ...]]  # per mechanism, the names of each scheme's states
    states: dict[str, tuple[str, ...]]
    coupled: tuple[str, ...]  # mechanisms whose rates depend on their own states


@functools.lru_cache(maxsize=64)
def _structure(tree: Any) -> Structure:
    """Each mechanism is asked once, without computing."""
    found: dict[str, Any] = {"schemes": {}, "states": {}, "coupled": [], "currents": ()}

    def ask(leaves: list[jax.Array]) -> None:
        membrane = jax.tree.unflatten(tree, leaves)
        v = jnp.zeros(1)
        env = membrane.environment({k: v for k in [*membrane.species, "electrode"]})
        states = {name: membrane.mechanisms[name].initial(v, env) for name in membrane.order}
        for name in membrane.order:
            mechanism = membrane.mechanisms[name]
            try:
                kinetics = mechanism.kinetics(v, {}, env)
            except KeyError:
                kinetics = mechanism.kinetics(v, states[name], env)
                found["coupled"].append(name)
            found["schemes"][name] = tuple(k.names for k in kinetics.values() if isinstance(k, Scheme))
            found["states"][name] = tuple(sorted(states[name]))
            found["currents"] += _in_step(lambda m=mechanism, s=states[name]: m.fluxes(v, s, env))
        found["flows"] = tuple(membrane.fluxes(v, states, env))
        found["transfers"] = tuple(edge for edge, _ in membrane.transfers(v, states, env))

    jax.eval_shape(ask, [jax.ShapeDtypeStruct((), np.float32)] * tree.num_leaves)
    return Structure(**(found | {"coupled": tuple(found["coupled"])}))


def _in_step(fluxes: Callable[[], Mapping[str, Current]]) -> tuple[tuple[tuple[str, Fraction], ...], ...]:
    """The species that one mechanism moves, grouped where one current is written as the negative of another (ATP and ADP of
    a pump, the ions of a cotransporter): what they carry is tied by a conservation law of its own."""
    species: list[str] = []

    def values() -> list[jax.Array]:
        flows = fluxes()
        species.extend(flows)
        return [jnp.asarray(c.value) for c in flows.values()]

    traced = jax.make_jaxpr(values)().jaxpr
    made = {equation.outvars[0]: equation for equation in traced.eqns}
    groups: dict[Any, list[tuple[str, Fraction]]] = {}
    for name, out in zip(species, traced.outvars, strict=True):
        source, sign = out, 1
        while isinstance(source, Var) and source in made and made[source].primitive.name == "neg":
            source, sign = made[source].invars[0], -sign
        key = source if isinstance(source, Var) else name  # a plain number is nobody else's
        groups.setdefault(key, []).append((name, Fraction(sign)))
    return tuple(tuple(group) for group in groups.values())


def structure_of(membrane: Membrane) -> Structure:
    return _structure(jax.tree.structure(membrane))


def clamped_unknowns(membrane: Membrane, full: bool = False) -> Unknowns:
    """The layout where every amount stays as it is: the voltage and the states that cannot be eliminated, or all."""
    s = structure_of(membrane)
    still = tuple((pool, ()) for pool in membrane.pools())
    return _layout(s, (), still, _baths(membrane, s), full)


def unknowns(membrane: Membrane, full: bool = False) -> Unknowns:
    """The layout for this membrane; ``full``: with every state, as stability wants it."""
    s = structure_of(membrane)
    order = sorted(membrane.pools(), key=lambda p: (p[1] == "outside", p[0] == membrane.carrier, p[0]))
    followed: list[Pool] = []
    rows: list[list[Fraction]] = [_row(membrane, s, None)]
    tied = []
    for pool in order:
        row = _row(membrane, s, pool)
        combination = _combination(rows, row)
        if combination is None:
            rows.append(row)
            followed.append(pool)
        else:
            tied.append((pool, tuple((i, float(c)) for i, c in enumerate(combination) if c)))
    return _layout(s, tuple(followed), tuple(tied), _baths(membrane, s), full)


def _baths(membrane: Membrane, s: Structure) -> tuple[str, ...]:
    """Accounts of what pools give to a bath or to a clamped pool."""
    return tuple(dict.fromkeys(f"{a}|bath" for a, b in s.transfers if pool_of(b) not in membrane.pools()))


def _layout(s: Structure, followed: tuple[Pool, ...], tied: tuple, accounts: tuple[str, ...], full: bool) -> Unknowns:
    states, closing = [], []
    kept = [name for name in s.states if full or name in s.coupled]
    for name in kept:
        last = {scheme[-1]: scheme[:-1] for scheme in s.schemes[name]}
        states += [(name, x) for x in s.states[name] if x not in last]
        closing += [(name, x, others) for x, others in last.items()]
    return Unknowns(
        followed,
        tied,
        tuple(states),
        tuple(closing),
        tuple(n for n in s.states if n not in kept and s.states[n]),
        accounts,
    )


def _row(membrane: Membrane, s: Structure, pool: Pool | None) -> list[Fraction]:
    """How a pool (None: the capacitor) takes part in each current and transfer, in units of charge."""
    charge = lambda p: Fraction((membrane.species[p[0]].valence or 1) * (1 if p[1] == "inside" else -1))
    row = []
    for moved in s.currents:
        charged = sum((factor for ion, factor in moved if membrane.species[ion].valence), Fraction(0))
        row.append(-charged if pool is None else sum((f for ion, f in moved if ion == pool[0]), Fraction(0)))
    for a, b in s.transfers:
        # what pool a loses, in its own units of charge, pool b gains in its
        gives, gains = pool_of(a), pool_of(b)
        took_part = Fraction(0)
        if pool == gives:
            took_part = Fraction(-1)
        elif pool == gains and pool is not None:
            took_part = charge(gains) / charge(gives)
        row.append(took_part)
    return row


def _combination(rows: list[list[Fraction]], row: list[Fraction]) -> list[Fraction] | None:
    """Factors with which ``rows`` add up to ``row``, None where they do not; exact."""
    n = len(rows)
    work = [[*(r[k] for r in rows), row[k]] for k in range(len(row))]  # one equation per column
    pivots: list[int] = []
    for j in range(n):
        found = next((i for i in range(len(pivots), len(work)) if work[i][j]), None)
        if found is None:
            continue
        top = len(pivots)
        work[top], work[found] = work[found], work[top]
        scale = work[top][j]
        work[top] = [x / scale for x in work[top]]
        for i in range(len(work)):
            if i != top and work[i][j]:
                work[i] = [x - work[i][j] * y for x, y in zip(work[i], work[top], strict=True)]
        pivots.append(j)
    if any(equation[n] for equation in work[len(pivots) :]):
        return None
    factors = [Fraction(0)] * n
    for i, j in enumerate(pivots):
        factors[j] = work[i][n]
    return factors


# ------------------------------------------------------------------ from unknowns to the membrane and back
def start_of(membrane: Membrane, layout: Unknowns, state: State) -> Vector:
    """The unknowns at a state."""
    return start_from(membrane, layout, Point(state.v, state.states, state.book))


def start_from(membrane: Membrane, layout: Unknowns, here: Point) -> Vector:
    """The unknowns at a point."""
    amount = lambda p: jnp.maximum(membrane.amount(p[0], p[1], here.book), LEAST)
    u = [here.v, *(jnp.log(amount(p) / reference(membrane, p)) for p in layout.followed)]
    u += [here.states[name][x] for name, x in layout.states]
    return tuple(jnp.broadcast_to(x, jnp.shape(here.v)) for x in u)


def reference(membrane: Membrane, pool: Pool) -> jax.Array:
    """The amount (mM) that a pool's logarithm is relative to."""
    return jnp.maximum(jnp.asarray(getattr(membrane.species[pool[0]], pool[1])), LEAST)


def amounts(membrane: Membrane, layout: Unknowns, u: Vector) -> dict[Pool, jax.Array]:
    """The amount of every dynamic pool (mM of the starting volume), tied ones from the conservation laws."""
    found: dict[Pool, jax.Array] = {}
    carried: list[Any] = [membrane.capacitance * (u[0] - membrane.initial_v)]
    for pool, w in zip(layout.followed, u[1:], strict=False):
        at_start = getattr(membrane.species[pool[0]], pool[1])
        found[pool] = reference(membrane, pool) * jnp.exp(w)
        used = any(i == len(carried) for _, terms in layout.tied for i, _ in terms)
        carried.append((found[pool] - at_start) / membrane.per_charge(*pool) if used else None)
    for pool, terms in layout.tied:
        moved = sum((c * carried[i] for i, c in terms), jnp.zeros_like(u[0]))
        found[pool] = getattr(membrane.species[pool[0]], pool[1]) + membrane.per_charge(*pool) * moved
    return found


def point(membrane: Membrane, layout: Unknowns, u: Vector) -> Point:
    """The point in state space that the unknowns stand for."""
    zero = jnp.zeros_like(u[0])
    book = {k: zero for k in [*membrane.species, "electrode", *layout.accounts]}
    for (name, side), a in amounts(membrane, layout, u).items():
        book[f"{name}.{side}"] = zero + (a - getattr(membrane.species[name], side))
    env = membrane.environment(book)
    given: dict[str, States] = {}
    for (name, x), value in zip(layout.states, u[1 + len(layout.followed) :], strict=True):
        given.setdefault(name, {})[x] = value
    for name, x, others in layout.closing:
        mine = given.setdefault(name, {})
        mine[x] = 1 - sum((mine[o] for o in others), zero)
    states = {name: given[name] if name in given else standing(membrane, name, u[0], env) for name in membrane.order}
    return Point(u[0], states, book)


def standing(membrane: Membrane, name: str, v: jax.Array, env: Any) -> States:
    """The states of a mechanism where its rates leave them."""
    return {x: jnp.zeros_like(v) + y for x, y in steady_states(membrane.mechanisms[name].kinetics(v, {}, env)).items()}


def changes(membrane: Membrane, layout: Unknowns, u: Vector) -> Vector:
    """d/dt of the unknowns, per ms."""
    here = point(membrane, layout, u)
    there = membrane.derivative(here)
    out = [there.v]
    known = amounts(membrane, layout, u)
    for name, side in layout.followed:
        change = membrane.per_charge(name, side) * there.book[name] + there.book[f"{name}.{side}"]
        out.append(change / known[name, side])
    out += [there.states[name][x] for name, x in layout.states]
    return tuple(jnp.zeros_like(u[0]) + x for x in out)


def imbalance(membrane: Membrane, layout: Unknowns, u: Vector, change: Vector) -> jax.Array:
    """The largest current (uA/cm^2) that ``change``, d/dt of the unknowns, stands for: of the membrane, or of a pool."""
    left = [membrane.capacitance * change[0]]
    for pool, w, rate in zip(layout.followed, u[1:], change[1:], strict=False):
        per_charge = jnp.asarray(membrane.per_charge(*pool))
        left.append(rate * reference(membrane, pool) * jnp.exp(w) / jnp.where(per_charge == 0, 1.0, per_charge))
    return functools.reduce(jnp.maximum, [jnp.abs(jnp.zeros_like(u[0]) + x) for x in left])


def settled_book(membrane: Membrane, layout: Unknowns, u: Vector, names: tuple[str, ...]) -> Accounts:
    """The book of a run that came to these unknowns: charge where only charge moves, the rest as transferred."""
    book = {k: jnp.zeros_like(u[0]) for k in names}
    held = amounts(membrane, layout, u)
    at_start = lambda p: getattr(membrane.species[p[0]], p[1])
    for pool, a in held.items():
        if f"{pool[0]}.{pool[1]}" not in names and (pool[1] == "inside" or (pool[0], "inside") not in held):
            book[pool[0]] = (a - at_start(pool)) / membrane.per_charge(*pool)
    for (name, side), a in held.items():
        other = (name, "inside" if side == "outside" else "outside")
        if f"{name}.{side}" not in names:
            continue
        if other in held and f"{name}.{other[1]}" not in names:
            book[name] = (held[other] - at_start(other)) / membrane.per_charge(*other)
        book[f"{name}.{side}"] = a - at_start((name, side)) - membrane.per_charge(name, side) * book[name]
    baths = [k for k in names if k.endswith("|bath")]
    for k in baths:  # what each pool got; what pools got from each other came by the first
        book[k] = -book[k.removesuffix("|bath")]
    if baths:
        inverse = lambda k: jnp.asarray(membrane.inverse_depth(*pool_of(k.removesuffix("|bath"))))
        weight = lambda k: jnp.where(
            inverse(k) > 0, inverse(baths[0]) / jnp.where(inverse(k) > 0, inverse(k), 1.0), 0.0
        )
        book[baths[0]] = book[baths[0]] - sum(book[k] * weight(k) for k in names if "." in k)
    return book
