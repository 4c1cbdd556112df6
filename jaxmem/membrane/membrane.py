"""The membrane: a capacitor with mechanisms in it and ions on both sides. A population is one whose numbers are arrays."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxmem import units
from jaxmem.electrochemistry import log, thermal_voltage
from jaxmem.membrane import parameters as paths
from jaxmem.membrane.environment import Environment
from jaxmem.membrane.geometry import Geometry, Sphere
from jaxmem.membrane.mechanism import Current, Mechanism, Number, Rates, Scheme, States, parameter
from jaxmem.membrane.species import Species, pool_of
from jaxmem.membrane.state import Accounts, Point, Snapshot, State, Status

RESERVED = ("geometry", "capacitance", "celsius", "initial_v", "electrode", "stimulus", "v")
Edge = tuple[tuple[str, str], tuple[ArrayLike, ArrayLike]]


class Membrane(eqx.Module):
    """``C dv/dt = stimulus - sum of all currents``, and every ion's amount from the charge it carried.

    ``mechanisms`` and ``species`` are keyed by name; the order of mechanisms is the order given. Each number is a scalar,
    shared by all cells, or an array whose last axis is the cells. ``carrier`` is the ion that an electrode injects:
    unless told otherwise potassium where it is dynamic, else "none" (the current comes from nowhere, no ion sees it).
    ``water`` names the species whose amount is the volume.
    """

    mechanisms: dict[str, Mechanism]
    species: dict[str, Species]
    capacitance: Number = parameter("uF/cm^2", "specific membrane capacitance", default=1.0, positive=True)
    celsius: Number = parameter("degC", "temperature", default=37.0, minimum=-units.ZERO_CELSIUS)
    initial_v: Number = parameter("mV", "voltage at the start", default=-65.0)
    geometry: Geometry = eqx.field(default_factory=Sphere)
    carrier: str = eqx.field(static=True, default="none")
    water: str | None = eqx.field(static=True, default=None)
    order: tuple[str, ...] = eqx.field(static=True, default=())

    def __init__(
        self,
        mechanisms: Mapping[str, Mechanism],
        species: Mapping[str, Species],
        capacitance: Number = 1.0,
        celsius: Number = 37.0,
        initial_v: Number = -65.0,
        geometry: Geometry | None = None,
        carrier: str | None = None,
        water: str | None = None,
    ):
        for name in [*mechanisms, *species]:
            if not name.isidentifier() or name in RESERVED:
                raise ValueError(
                    f"{name!r} cannot name a mechanism or species; it must be an identifier, and {', '.join(RESERVED)} are taken"
                )
        if twice := sorted(set(mechanisms) & set(species)):
            raise ValueError(f"{', '.join(twice)} names both a mechanism and a species; names are unique in a membrane")
        for role, given in (("carrier", carrier), ("water", water)):
            if given not in (None, "none") and given not in species:
                raise ValueError(f"the {role} {given!r} is not among the species {', '.join(species)}")
        dynamic_potassium = "k" in species and "inside" in species["k"].dynamic
        if water is not None and (species[water].valence or "inside" not in species[water].dynamic):
            raise ValueError(f"{water!r} can be the volume only with valence 0 and dynamic inside")
        self.mechanisms, self.species = dict(mechanisms), dict(species)
        self.capacitance, self.celsius, self.initial_v = capacitance, celsius, initial_v
        self.geometry = Sphere() if geometry is None else geometry
        self.carrier = carrier or ("k" if dynamic_potassium else "none")
        self.water = water
        self.order = tuple(mechanisms)  # JAX sorts the keys of a dict; sums over mechanisms must not depend on that

    # ------------------------------------------------------------------ numbers by path, cells by index
    def parameters(self) -> dict[str, paths.Parameter]:
        """Every parameter: path -> (value, unit, description)."""
        return {path: paths.Parameter(value, d.unit, d.description) for path, value, d in paths.declared(self)}

    def with_parameters(self, values: Mapping[str, ArrayLike | str]) -> "Membrane":
        """The same membrane with other numbers: ``{"sodium.g": 120.0, "k.outside": array over cells}``.

        A value is a number in the documented unit, an array whose last axis is the cells, or a string with a unit
        (``"0.36 S/m^2"``; ``"10 nS"`` is divided by the area, ``"0.3 nS/pF"`` multiplied by the capacitance, both as
        they are afterwards). A field that is not there but may be is set (``"sodium.v_shift"``). Raises
        :class:`PathError` for a wrong path, UnitError for a wrong unit, ValueError for a number out of range.
        """
        known = {path: d for path, _, d in paths.declared(self, absent=True)}
        for path in values:
            if path not in known:
                raise paths.path_error(path, list(known))
        result = self
        # the shape first, then the capacitance: what is given for a whole cell or per farad refers to the new ones
        for stage in (lambda path: path.startswith("geometry."), lambda path: path == "capacitance", lambda path: True):
            area, capacitance = result.geometry.area, result.capacitance
            new = {path: _number(x, known[path], path, area, capacitance) for path, x in values.items() if stage(path)}
            result = paths.replaced(result, new) if new else result
        paths.cell_count(result)
        return result

    @property
    def cells(self) -> int | None:
        """The number of cells, None for a single cell without a cell axis."""
        return paths.cell_count(self)

    def __getitem__(self, index: Any) -> "Membrane":
        if self.cells is None:
            raise IndexError("this membrane has no cell axis; with_parameters({...: array}) gives it one")
        return paths.select(self, index)

    def carried_by(self, carrier: str | None) -> "Membrane":
        """The same membrane with another ion in the electrode (None: as it is)."""
        return self if carrier is None or carrier == self.carrier else self._rebuilt(carrier=carrier)

    def with_geometry(self, geometry: Geometry) -> "Membrane":
        """The same membrane on a cell of another shape."""
        return self._rebuilt(geometry=geometry)

    def with_mechanisms(self, mechanisms: Mapping[str, Mechanism]) -> "Membrane":
        """The same membrane with these mechanisms in place of its own of the same name, or added after them."""
        return self._rebuilt(mechanisms={name: self.mechanisms[name] for name in self.order} | dict(mechanisms))

    def with_species(self, species: Mapping[str, Species]) -> "Membrane":
        """The same membrane with these species in place of its own of the same name, or added to them."""
        return self._rebuilt(species={**self.species, **species})

    def _rebuilt(self, **new: Any) -> "Membrane":
        old: dict[str, Any] = dict(
            mechanisms={name: self.mechanisms[name] for name in self.order}, species=self.species, capacitance=self.capacitance,
            celsius=self.celsius, initial_v=self.initial_v, geometry=self.geometry, carrier=self.carrier, water=self.water,
        )  # fmt: skip
        return Membrane(**(old | new))

    # ------------------------------------------------------------------ pools and concentrations
    def pools(self) -> list[tuple[str, str]]:
        """(species, side) of every dynamic concentration."""
        return [(name, side) for name, s in self.species.items() for side in s.dynamic]

    @property
    def every_step(self) -> list[str]:
        """Species whose concentrations are refreshed at every step."""
        return [name for name, s in self.species.items() if s.every_step and s.dynamic]

    def per_charge(self, name: str, side: str) -> ArrayLike:
        """How much a pool changes per charge carried outward: mM per nC/cm^2, ``-+10/(z F depth)``.

        This is the one place where currents turn into concentrations: d[X]/dt (mM/ms) = -10 i (S/V)/(z F).
        """
        s = self.species[name]
        sign = -10.0 if side == "inside" else 10.0
        return sign / ((s.valence or 1) * units.FARADAY) * self.inverse_depth(name, side)

    def inverse_depth(self, name: str, side: str) -> ArrayLike:
        """Area over volume of a pool, 1/um; 0 for an infinite bath."""
        s = self.species[name]
        if side == "inside":
            return 1 / (self.geometry.depth if s.depth is None else s.depth)
        return self.geometry.inverse_outside_depth if s.outside_depth is None else 1 / s.outside_depth

    def amount(self, name: str, side: str, book: Accounts) -> jax.Array:
        """What a pool holds, in mM of the starting volume."""
        moved = book[name]
        if name == self.carrier and side == "inside":
            moved = moved - book["electrode"]
        change = self.per_charge(name, side) * moved
        if (account := f"{name}.{side}") in book:
            change = change + book[account]
        return getattr(self.species[name], side) + change

    def starting_level(self, pool: str) -> ArrayLike:
        """The concentration a pool starts from, and keeps where it is clamped (mM); 1 for a bath, whose numbers are gains."""
        if pool == "bath":
            return 1.0
        name, side = pool_of(pool)
        return getattr(self.species[name], side)

    def environment(
        self, book: Accounts, only: list[str] | None = None, known: Environment | None = None
    ) -> Environment:
        """Concentrations and reversal potentials from the book; of the species in ``only``, the others as ``known``."""
        names = list(self.species) if only is None else only
        rt_f = thermal_voltage(self.celsius) if known is None else known.rt_f
        inside, outside, e, charge = ({}, {}, {}, {}) if known is None else (
            dict(known.inside), dict(known.outside), dict(known.e), dict(known.charge_per_mM))  # fmt: skip
        volume = 1.0 if known is None else known.volume
        if self.water in names:
            volume = self.amount(self.water, "inside", book) / self.starting_level(f"{self.water}.inside")
        for name in names:
            s = self.species[name]
            if s.counted_only:
                continue
            inside[name] = s.inside
            if "inside" in s.dynamic and name != self.water:
                inside[name] = self.amount(name, "inside", book) / volume
            outside[name] = self.amount(name, "outside", book) if "outside" in s.dynamic else s.outside
            charge[name] = -1 / self.per_charge(name, "inside")
            if s.valence:
                e[name] = rt_f / s.valence * log(jnp.divide(outside[name], inside[name]))
        return Environment(inside, outside, e, volume, self.celsius, rt_f, charge)

    # ------------------------------------------------------------------ sums over mechanisms
    def fluxes(self, v: jax.Array, states: dict[str, States], env: Environment) -> dict[str, Current]:
        """Current density per species, all mechanisms together."""
        total: dict[str, Current] = {}
        for name in self.order:
            for ion, c in self.mechanisms[name].fluxes(v, states[name], env).items():
                old = total.get(ion)
                total[ion] = c if old is None else Current(old.value + c.value, old.slope + c.slope)
        return total

    def transfers(self, v: jax.Array, states: dict[str, States], env: Environment) -> list[Edge]:
        """All exchange between pools that crosses the membrane without charge or not at all."""
        return [edge for name in self.order for edge in self.mechanisms[name].transfers(v, states[name], env).items()]

    # ------------------------------------------------------------------ states
    def initial_state(
        self, v: ArrayLike | None = None, states: Mapping[str, Mapping[str, ArrayLike]] | None = None, dtype: Any = None
    ) -> State:
        """The state at t = 0: ``v`` (mV; ``initial_v`` if not given), steady gates at that voltage, empty books.

        ``states`` gives other starting values for a mechanism's states: ``{"sodium": {"m": 0.05}}``.
        """
        given = dict(states or {})
        for name in given:
            if name not in self.mechanisms:
                raise paths.path_error(name, list(self.mechanisms), "mechanism")
        dtype = jnp.result_type(float) if dtype is None else dtype
        shape = np.broadcast_shapes(*(np.shape(x) for x in jax.tree.leaves((self, v, given))))
        if shape[-1:] and shape[-1] % paths.VECTOR and not paths.is_traced((self, v, given)):
            some = paths.whole_vectors(shape[-1])
            wide = lambda x: x[..., some] if np.shape(x)[-1:] == shape[-1:] else x
            v, given = jax.tree.map(wide, (None if v is None else np.asarray(v), jax.tree.map(np.asarray, given)))
            cells = paths.map_declared(lambda _, x: wide(x), self)
            return cells.initial_state(v, given, dtype)[: shape[-1]]
        whole = lambda x: jnp.broadcast_to(jnp.asarray(x, dtype), shape)
        v = whole(self.initial_v if v is None else v)
        zero = jnp.zeros(shape, dtype)
        book = {name: zero for name in [*self.species, "electrode"]}
        env = self.environment(book)
        start = {name: {**self.mechanisms[name].initial(v, env), **given.get(name, {})} for name in self.order}
        start = jax.tree.map(whole, start)
        book |= {account: zero for account in self._transfer_accounts(v, start, env)}
        last = {k: zero for k in book if pool_of(k)[0] in self.every_step}
        return State(
            v=v, v_low=zero, states=start, pending=book, total=book, total_low=book, trend=book, last=last,
            start=Snapshot(v, zero, start, last, {}), status=jnp.full(shape, Status.OK, jnp.int32),
            failed_at=jnp.full(shape, -1, jnp.int32), step=np.int32(0), lag=np.zeros((), dtype),
            cell=jnp.broadcast_to(jnp.arange(shape[-1] if shape else 1, dtype=jnp.int32), shape or (1,)).reshape(shape), rig={},
        )  # fmt: skip

    def _transfer_accounts(self, v: jax.Array, states: dict[str, States], env: Environment) -> list[str]:
        """One account per dynamic pool that a transfer names, and one for what it gives to a bath or a clamped pool."""
        mine = {f"{name}.{side}" for name, side in self.pools()}
        accounts = []
        for (a, b), _ in self.transfers(v, states, env):
            accounts += [pool for pool in (a, b) if pool in mine]
            accounts += [] if b in mine else [f"{a}|bath"]
        return list(dict.fromkeys(accounts))

    def derivative(self, point: Point, stimulus: Current | None = None) -> Point:
        """d/dt of a :class:`Point`: the equations as they stand, for other integrators, rest solvers and tests.

        dv/dt = (stimulus - sum of currents)/C (mV/ms); states by their kinetics (1/ms); books by currents (uA/cm^2) and
        transfers (mM/ms). Elementwise in the cells.
        """
        v, zero = point.v, jnp.zeros_like(point.v)
        env = self.environment(point.book)
        states = {name: _rates_of_change(self.mechanisms[name], v, point.states[name], env) for name in self.order}
        flows = self.fluxes(v, point.states, env)
        injected = zero if stimulus is None else zero + stimulus.value
        membrane_current = sum((flows[k].value for k in flows if self.species[k].valence), zero)
        book = {k: zero + flows[k].value if k in flows else zero for k in point.book} | {"electrode": injected}
        for (a, b), (forward, backward) in self.transfers(v, point.states, env):
            to_a, to_b = (self.inverse_depth(*pool_of(p)) if p in book else None for p in (a, b))
            lost = forward * self.amount(*pool_of(a), point.book)  # mM/ms of pool a
            if to_b is None:  # the bath, or a clamped concentration
                gained = backward * self.starting_level(b)
            else:
                gained = backward * self.amount(*pool_of(b), point.book) * (to_a / to_b)
                book[b] = book[b] + (lost - gained) * (to_b / to_a)
            book[a] = book[a] + gained - lost
            if to_b is None:
                book[f"{a}|bath"] = book[f"{a}|bath"] + lost - gained
        return Point((injected - membrane_current) / self.capacitance, states, book)


def _rates_of_change(mechanism: Mechanism, v: jax.Array, states: States, env: Environment) -> States:
    change = {name: jnp.zeros_like(x) for name, x in states.items()}
    for name, rates in mechanism.kinetics(v, states, env).items():
        if isinstance(rates, Scheme):
            for (a, b), (forward, backward) in rates.edges.items():
                flow = forward * states[a] - backward * states[b]
                change[a], change[b] = change[a] - flow, change[b] + flow
        elif isinstance(rates, Rates):
            change[name] = rates.opening * (1 - states[name]) - rates.closing * states[name]
        else:
            change[name] = rates.gain - rates.rate * states[name]
    return change


def _number(value: ArrayLike | str, declaration: Any, path: str, area: ArrayLike, capacitance: ArrayLike) -> ArrayLike:
    """A value as given, text parsed, checked against the declaration where it is not traced."""
    if isinstance(value, str):
        value = units.parse_quantity(value, declaration.unit, area=area, capacitance=capacitance, where=path)
    if isinstance(value, list | tuple):
        value = np.asarray(value, float)
    if not isinstance(value, jax.core.Tracer) and (problem := out_of_range(value, declaration)):
        raise ValueError(f"{path} {problem}")
    return value


def out_of_range(value: ArrayLike, declaration: Any) -> str | None:
    """What is wrong with a concrete value, None if nothing."""
    x = np.asarray(value)
    if not np.issubdtype(x.dtype, np.number) or np.issubdtype(x.dtype, np.complexfloating):
        return f"must be a real number, not {value!r}"
    unit = declaration.unit
    bad = np.isnan(x)
    if bad.any():
        return f"is NaN{_where(bad)}"
    if declaration.positive and (bad := ~(x > 0)).any():
        return f"must be above 0 {unit}; found {x[bad].flat[0]:g}{_where(bad)}"
    if declaration.minimum is not None and (bad := x < declaration.minimum).any():
        return f"must be at least {declaration.minimum:g} {unit}; found {x[bad].flat[0]:g}{_where(bad)}"
    if declaration.maximum is not None and (bad := x > declaration.maximum).any():
        return f"must be at most {declaration.maximum:g} {unit}; found {x[bad].flat[0]:g}{_where(bad)}"
    return None


def _where(bad: np.ndarray) -> str:
    if bad.ndim == 0:
        return ""
    first = int(np.flatnonzero(bad.reshape(-1, bad.shape[-1]).any(0))[0])
    more = int(bad.sum()) - 1
    return f" in cell {first}" + (f" and {more} more" if more else "")
