"""The membrane: numbers by path, cells by index, shapes, books, and what a faulty one is told."""

import dataclasses
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import probes
import pytest
from helpers import point_of, random_state, relative, steps_down

import jaxmem as jm
from jaxmem.membrane.check import check
from jaxmem.units import FARADAY, GAS, UNITS

AREA = 4 * np.pi * 10.0**2  # um^2, the presets' sphere


@pytest.fixture(params=jm.presets.names())
def preset(request) -> jm.Membrane:
    return jm.presets.get(request.param)


@pytest.fixture
def squid() -> jm.Membrane:
    return jm.presets.hodgkin_huxley_1952()


@pytest.fixture
def cell() -> jm.Membrane:
    return probes.neuron()


# ---------------------------------------------------------------------- numbers by path
def test_every_number_has_path_unit_and_meaning(preset):
    found = preset.parameters()
    shape = {f"geometry.{f.name}" for f in dataclasses.fields(preset.geometry)}
    assert {"capacitance", "celsius", "initial_v", "geometry.outside_volume_fraction"} | shape <= set(found)
    assert all(p.unit in UNITS.values() and len(p.description) > 5 for p in found.values())
    numbers = [x for x in jax.tree.leaves(preset) if isinstance(x, float | int | np.ndarray | jax.Array)]
    assert len(found) == len(numbers)  # nothing that can be varied is without a path
    for name in preset.order:
        fields = [f.name for f in dataclasses.fields(preset.mechanisms[name]) if not f.metadata.get("static")]
        assert {f"{name}.{f}" for f in fields if getattr(preset.mechanisms[name], f) is not None} <= set(found)


def test_setting_every_number_to_itself_changes_nothing(preset):
    for path, p in preset.parameters().items():
        as_text = preset.with_parameters({path: f"{float(p.value)!r} {p.unit}"})
        assert as_text.parameters()[path].value == p.value
        assert jax.tree.structure(as_text) == jax.tree.structure(preset)
    again = preset.with_parameters({path: p.value for path, p in preset.parameters().items()})
    assert jax.tree.all(jax.tree.map(lambda a, b: a == b, again, preset))


def test_setting_one_number_changes_that_alone(preset):
    for path, p in preset.parameters().items():
        value = 0.5 if path == "geometry.outside_volume_fraction" else float(p.value) + 1.25
        changed = preset.with_parameters({path: value}).parameters()
        assert changed[path].value == value
        assert {k for k, x in changed.items() if x.value != preset.parameters()[k].value} == {path}


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("sodium.g", "36", 36.0),
        ("sodium.g", "36 mS/cm^2", 36.0),
        ("sodium.g", "0.36 S/m^2", 0.036),
        ("sodium.g", "10 nS", 10e-6 / (AREA * 1e-8)),
        ("sodium.g", "100 MOhm", 10e-6 / (AREA * 1e-8)),
        ("sodium.g", "3 nS/pF", 3.0 * 0.9),
        ("sodium.e", "0.05 V", 50.0),
        ("celsius", "310.15 K", 37.0),
        ("k.outside", "3500 uM", 3.5),
        ("capacitance", "0.02 F/m^2", 2.0),
        ("capacitance", "10 pF", 10e-6 / (AREA * 1e-8)),
        ("geometry.radius", "0.01 mm", 10.0),
        ("geometry.outside_volume_fraction", "20 %", 0.2),
        ("pump.i_max", "5 pA", 5e-6 / (AREA * 1e-8)),
    ],
)
def test_numbers_may_be_written_with_a_unit(path, text, expected):
    cell = probes.neuron().with_parameters({"capacitance": 0.9})
    e = dataclasses.replace(cell.mechanisms["sodium"], e=40.0)
    cell = cell.with_mechanisms({"sodium": e})
    assert cell.with_parameters({path: text}).parameters()[path].value == pytest.approx(expected, rel=1e-12)


def test_whole_cell_values_refer_to_the_shape_given_with_them(cell):
    small = cell.with_parameters({"na_leak.g": "10 nS", "geometry.radius": 5.0})
    assert small.parameters()["na_leak.g"].value == pytest.approx(10e-6 / (AREA / 4 * 1e-8), rel=1e-12)
    per_farad = cell.with_parameters({"na_leak.g": "0.1 nS/pF", "capacitance": "25.132741228718345 pF"})
    assert per_farad.parameters()["na_leak.g"].value == pytest.approx(0.1 * 2.0, rel=1e-12)
    several = cell.with_parameters({"na_leak.g": "10 nS", "geometry.radius": np.array([5.0, 10.0])})
    np.testing.assert_allclose(several.parameters()["na_leak.g"].value, 1e3 / AREA * np.array([4.0, 1.0]), rtol=1e-12)


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("sodium.gg", "'sodium.g'"),
        ("sodum.g", "'sodium.g'"),
        ("gnabar", "'sodium.g'"),
        ("gnabar_hh", "'sodium.g'"),
        ("gkbar", "'potassium.g'"),
        ("nai", "'na.inside'"),
        ("ko", "'k.outside'"),
        ("cm", "'capacitance'"),
        ("soma.nai", "'na.inside'"),
        ("pump.imax", "'pump.i_max'"),
        ("temperature", "celsius"),
        ("mechanisms.pump.i_max", "'pump.i_max'"),
    ],
)
def test_a_wrong_path_names_the_nearest(cell, path, near):
    with pytest.raises(jm.PathError, match=re.escape(near)) as told:
        cell.with_parameters({path: 1.0})
    assert repr(path) in str(told.value)


def test_a_hint_is_given_only_where_it_exists(squid):
    assert "na.inside" not in squid.parameters()
    with pytest.raises(jm.PathError) as told:
        squid.with_parameters({"nai": 1.0})
    assert "na.inside" not in str(told.value)
    with pytest.raises(jm.PathError, match=re.escape("'sodium.e'")):
        squid.with_parameters({"ena": 1.0})


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("sodium.g", -1.0, "sodium.g must be at least 0 mS/cm^2; found -1"),
        ("sodium.g", "-1 mS/cm^2", "sodium.g must be at least 0 mS/cm^2; found -1"),
        (
            "sodium.g",
            np.array([1.0, 2.0, -3.0, -4.0]),
            "sodium.g must be at least 0 mS/cm^2; found -3 in cell 2 and 1 more",
        ),
        ("sodium.g", np.array([1.0, np.nan, 2.0]), "sodium.g is NaN in cell 1"),
        ("sodium.g", float("nan"), "sodium.g is NaN"),
        ("sodium.g", "3 mM", "sodium.g: .*3 mM.* is a concentration"),
        ("sodium.g", "36 furlongs", "sodium.g: .*furlongs"),
        ("sodium.g", 1 + 2j, "sodium.g must be a real number"),
        ("sodium.g", True, "sodium.g must be a real number"),
        ("sodium.g", None, "sodium.g must be a real number"),
        ("sodium.g", np.array(["a"]), "sodium.g must be a real number"),
        ("capacitance", 0.0, "capacitance must be above 0 uF/cm\\^2; found 0"),
        ("celsius", -300.0, "celsius must be at least -273.15 degC; found -300"),
        ("celsius", "-300 degC", "celsius: .*absolute zero"),
        ("k.outside", [3.0, -2.0], "k.outside must be at least 0 mM; found -2 in cell 1"),
        ("geometry.radius", 0, "geometry.radius must be above 0 um; found 0"),
        ("geometry.outside_volume_fraction", 1.5, "must be at most 1 1; found 1.5"),
        ("pump.km_na", 0.0, "pump.km_na must be above 0 mM"),
    ],
)
def test_a_number_out_of_range_is_refused(cell, path, value, message):
    with pytest.raises(ValueError, match=message if "\\" in message or ".*" in message else re.escape(message)):
        cell.with_parameters({path: value})


def test_arrays_have_one_length_and_the_cells_last(cell):
    with pytest.raises(ValueError, match="must have one length"):
        cell.with_parameters({"sodium.g": np.ones(3), "k.outside": np.ones(2)})
    axon = cell.with_parameters({"sodium.g": np.ones((5, 3)), "k.outside": np.ones(3)})
    assert axon.cells == 3
    assert axon.initial_state().v.shape == (5, 3)


def test_parameters_may_be_traced(cell):
    def current(g):
        m = cell.with_parameters({"na_leak.g": g})
        return m.derivative(point_of(m.initial_state())).v

    assert float(jax.grad(current)(0.02)) == pytest.approx(float(steps_down(current, 0.02, 1e-4)), rel=1e-9)
    assert jax.jit(jax.vmap(current))(jnp.asarray([0.01, 0.02])).shape == (2,)


# ---------------------------------------------------------------------- cells by index
def population(cells: int = 6) -> jm.Membrane:
    return probes.neuron().with_parameters(
        {"sodium.g": np.arange(1.0, cells + 1), "k.outside": jnp.linspace(2.0, 5.0, cells)}
    )


def test_cells_are_selected_and_sliced():
    cells = population()
    assert cells.cells == 6 and cells[1:4].cells == 3 and cells[[0, 5]].cells == 2
    assert cells[np.arange(6) % 2 == 0].cells == 3
    np.testing.assert_array_equal(cells[1:4].parameters()["sodium.g"].value, [2.0, 3.0, 4.0])
    one = cells[-1]
    assert one.cells is None and one.parameters()["sodium.g"].value == 6.0
    assert one.parameters()["k.outside"].value == 5.0 and one.parameters()["potassium.g"].value == 5.0
    assert (
        cells[2:4].parameters()["potassium.g"].value is cells.parameters()["potassium.g"].value
    )  # shared stays shared
    with pytest.raises(IndexError, match="no cell axis"):
        probes.neuron()[0]


def test_concatenation_undoes_slicing():
    cells = population()
    whole = jm.concatenate([cells[:2], cells[2:3], cells[3:]])
    assert jax.tree.structure(whole) == jax.tree.structure(cells)
    assert jax.tree.all(jax.tree.map(lambda a, b: np.array_equal(a, b), whole, cells))
    assert np.ndim(whole.parameters()["potassium.g"].value) == 0


def test_concatenation_widens_what_differs():
    a, b = probes.neuron(), population(2).with_parameters({"pump.i_max": 7.0})
    both = jm.concatenate([a, b, b[0]])
    assert both.cells == 4
    np.testing.assert_array_equal(both.parameters()["pump.i_max"].value, [3.0, 7.0, 7.0, 7.0])
    np.testing.assert_array_equal(both.parameters()["sodium.g"].value, [50.0, 1.0, 2.0, 1.0])
    assert both.parameters()["celsius"].value == 37.0
    with pytest.raises(ValueError, match="same structure"):
        jm.concatenate([a, jm.presets.hodgkin_huxley_1952()])
    with pytest.raises(ValueError, match="nothing to concatenate"):
        jm.concatenate([])


# ---------------------------------------------------------------------- shapes
def test_geometries():
    sphere = jm.Sphere(radius=10.0)
    assert sphere.area == pytest.approx(1256.637061, rel=1e-9) and sphere.volume == pytest.approx(4188.790205, rel=1e-9)
    assert sphere.depth == pytest.approx(10 / 3) and sphere.inverse_outside_depth == 0.0
    axon = jm.Cylinder(diameter=2.0, length=50.0)
    assert (
        axon.area == pytest.approx(np.pi * 100)
        and axon.volume == pytest.approx(np.pi * 50)
        and axon.depth == pytest.approx(0.5)
    )
    measured = jm.AreaVolume(area=1000.0, volume=2000.0, outside_volume_fraction=0.2)
    assert measured.depth == 2.0
    assert measured.inverse_outside_depth == pytest.approx(1000.0 / (2000.0 * 0.2 / 0.8))
    by_patch = jm.Sphere.from_capacitance(100.0, specific=0.8, outside_volume_fraction=0.5)
    assert 0.8 * by_patch.area * 1e-2 == pytest.approx(100.0)  # uF/cm^2 um^2 -> pF
    assert by_patch.outside_volume_fraction == 0.5
    several = jm.Sphere.from_capacitance(np.array([10.0, 40.0]))
    assert several.radius[1] == pytest.approx(2 * several.radius[0])


@pytest.mark.parametrize(
    "geometry", [jm.Sphere(3.0, 0.25), jm.Cylinder(2.0, 80.0, 0.25), jm.AreaVolume(500.0, 900.0, 0.25)]
)
def test_a_known_charge_changes_concentrations_by_faraday(geometry):
    """1 uA/cm^2 outward for 1 s, counted in mol: both sides change, and what leaves arrives."""
    sides = {"dynamic": ("inside", "outside")}
    ions = {"k": jm.Species(140.0, 5.0, valence=1, **sides), "cl": jm.Species(8.0, 120.0, valence=-1, **sides),
            "ca": jm.Species(1e-4, 2.0, valence=2, **sides)}  # fmt: skip
    membrane = jm.Membrane({}, ions, geometry=geometry, carrier="none")
    charge = 1e-6 * (float(geometry.area) * 1e-8) * 1.0  # C
    book = {name: jnp.asarray(1000.0) for name in [*ions, "electrode"]}  # nC/cm^2
    env = membrane.environment(book)
    inside, outside = float(geometry.volume) * 1e-15, float(geometry.volume) * 1e-15 * 0.25 / 0.75  # litres
    for name, s in ions.items():
        moved = 1e3 * charge / (s.valence * FARADAY)  # mmol
        # an amount inside and outside, so that a change of 1e-4 mM is seen against 140
        assert float(membrane.amount(name, "inside", book)) - s.inside == pytest.approx(-moved / inside, rel=1e-9)
        assert float(membrane.amount(name, "outside", book)) - s.outside == pytest.approx(moved / outside, rel=1e-9)
        total = float(env.inside[name]) * inside + float(env.outside[name]) * outside
        assert total == pytest.approx(s.inside * inside + s.outside * outside, rel=1e-14)
        assert float(env.charge_per_mM[name]) * float(membrane.per_charge(name, "inside")) == pytest.approx(-1.0)


def test_the_electrode_fills_its_carrier(cell):
    assert cell.carrier == "k"  # potassium, because it is dynamic
    book = {name: jnp.zeros(()) for name in cell.species} | {"electrode": jnp.asarray(500.0)}
    per = 10.0 / (FARADAY * cell.geometry.depth)
    assert float(cell.amount("k", "inside", book)) == pytest.approx(140.0 + 500.0 * per, rel=1e-13)
    assert float(cell.carried_by("na").amount("k", "inside", book)) == 140.0
    assert float(cell.carried_by("cl").amount("cl", "inside", book)) == pytest.approx(8.6 - 500.0 * per, rel=1e-13)
    assert cell.carried_by("none").carrier == "none" and cell.carried_by(None) is cell
    assert jm.presets.hodgkin_huxley_1952().carrier == "none"


def test_own_pools_have_their_own_depth():
    shell = probes.calcium_shell()
    assert float(shell.inverse_depth("ca", "inside")) == pytest.approx(10.0)
    assert float(shell.inverse_depth("na", "inside")) == pytest.approx(0.3)
    narrow = jm.Species(140.0, 5.0, dynamic=("outside",), outside_depth=0.02)
    assert float(jm.Membrane({}, {"k": narrow}).inverse_depth("k", "outside")) == pytest.approx(50.0)


# ---------------------------------------------------------------------- charge on both sides
def test_presets_are_electroneutral(preset):
    for side in ("inside", "outside"):
        held = [(s.valence, getattr(s, side)) for s in preset.species.values() if not s.counted_only]
        assert sum(z * c for z, c in held) == pytest.approx(0.0, abs=1e-12)


def test_impermeant_closes_the_charge():
    ions = {"na": jm.Species(10.0, 145.0), "k": jm.Species(140.0, 5.0), "cl": jm.Species(8.0, 120.0, valence=-1),
            "glucose": jm.Species(5.0, 5.0, valence=0)}  # fmt: skip
    other = jm.impermeant(ions)
    assert (other.inside, other.outside, other.valence, other.dynamic) == (142.0, 30.0, -1, ())
    proteins = jm.impermeant(ions, valence=-2)
    assert (proteins.inside, proteins.outside) == (71.0, 15.0)
    with pytest.raises(ValueError, match=r"inside: the ions sum to -8 mM of charge.*positive"):
        jm.impermeant({"cl": ions["cl"]})
    assert jm.impermeant({"cl": ions["cl"]}, valence=1).inside == 8.0
    several = jm.impermeant(ions | {"na": jm.Species(np.array([10.0, 20.0]), 145.0)})
    np.testing.assert_array_equal(several.inside, [142.0, 152.0])


# ---------------------------------------------------------------------- what a faulty one is told
@pytest.mark.parametrize(
    "name", ["geometry", "capacitance", "celsius", "initial_v", "electrode", "v", "two words", "1st", ""]
)
def test_reserved_and_impossible_names(name):
    with pytest.raises(ValueError, match=f"{name!r} cannot name a mechanism or species"):
        jm.Membrane({name: jm.Leak()}, {"k": jm.Species(140.0, 5.0)})
    with pytest.raises(ValueError, match=f"{name!r} cannot name a mechanism or species"):
        jm.Membrane({"leak": jm.Leak()}, {name: jm.Species(140.0, 5.0)})


def test_names_are_unique():
    with pytest.raises(ValueError, match="k names both a mechanism and a species"):
        jm.Membrane({"k": jm.Leak()}, {"k": jm.Species(140.0, 5.0)})


def test_carrier_and_water_are_species():
    k = {"k": jm.Species(140.0, 5.0)}
    with pytest.raises(ValueError, match="the carrier 'na' is not among the species k"):
        jm.Membrane({}, k, carrier="na")
    with pytest.raises(ValueError, match="the water 'h2o' is not among the species k"):
        jm.Membrane({}, k, water="h2o")
    with pytest.raises(ValueError, match="'k' can be the volume only with valence 0 and dynamic inside"):
        jm.Membrane({}, k, water="k")
    with pytest.raises(ValueError, match="the carrier 'mg' is not among"):
        jm.simulate(probes.neuron(), 1.0, stimulus=jm.StepCurrent(1.0, carrier="mg"))


def test_species_that_cannot_be():
    with pytest.raises(ValueError, match="whole number"):
        jm.Species(1.0, 1.0, valence=1.5)
    with pytest.raises(ValueError, match="'inside' or 'outside', not 'in'"):
        jm.Species(1.0, 1.0, dynamic=("in",))
    with pytest.raises(ValueError, match="on both sides or on none"):
        jm.Species(inside=2.0)
    with pytest.raises(ValueError, match="needs a concentration to start from"):
        jm.Species(dynamic=("inside",))


class Moves(jm.Mechanism):
    """Whatever it is told to: for what a wrong mechanism is told."""

    flux: str | None = eqx.field(static=True, default=None)
    edge: tuple[str, str] | None = eqx.field(static=True, default=None)
    state: str | None = eqx.field(static=True, default=None)

    def fluxes(self, v, states, env):
        return {self.flux: jm.Current(states[self.state] if self.state else v, 0.0)} if self.flux else {}

    def transfers(self, v, states, env):
        return {self.edge: (0.1, 0.1)} if self.edge else {}


def told(membrane: jm.Membrane) -> str:
    with pytest.raises(jm.MembraneError) as error:
        check(membrane)
    with pytest.raises(jm.MembraneError):
        jm.simulate(membrane, 1.0)
    return str(error.value)


def test_a_mechanism_without_its_ion_is_named(cell):
    assert "mechanism 'mg_leak' needs 'mg', which this membrane does not offer" in told(
        cell.with_mechanisms({"mg_leak": jm.Leak(ion="mg")})
    )
    told_ions = told(
        jm.Membrane({"leak": jm.Leak(ion="k")}, {"k": jm.Species()})
    )  # the ion is there, its concentrations are not
    assert "mechanism 'leak' needs 'k'" in told_ions and "species with concentrations: none" in told_ions
    assert "mechanism 'x' carries 'mg', which is not among the species" in told(
        cell.with_mechanisms({"x": jm.Leak(e=0.0, ion="mg")})
    )
    assert "mechanism 'x' needs 'm'" in told(cell.with_mechanisms({"x": Moves(flux="na", state="m")}))


def test_wrong_transfers_are_named(cell):
    wrong = lambda *edge: told(cell.with_mechanisms({"x": Moves(edge=edge)}))
    assert "mechanism 'x' transfers from 'mg.inside', which is no dynamic pool" in wrong("mg.inside", "bath")
    assert "mechanism 'x' transfers from 'na', which is no dynamic pool" in wrong("na", "bath")
    assert "mechanism 'x' transfers from 'na.outside', which is no dynamic pool" in wrong("na.outside", "na.inside")
    assert "mechanism 'x' transfers from 'bath', which is no dynamic pool" in wrong("bath", "na.inside")
    assert "mechanism 'x' transfers to 'glia', which is neither a pool nor 'bath'" in wrong("na.inside", "glia")
    check(
        cell.with_mechanisms({"x": Moves(edge=("na.inside", "na.outside"))})
    )  # a clamped pool is a bath that has a level


def test_all_problems_are_told_at_once(cell):
    broken = dataclasses.replace(cell.mechanisms["sodium"], g=np.array([1.0, -2.0]))
    thin = eqx.tree_at(lambda m: m.capacitance, cell, np.array([1.0, 2.0, np.nan]))
    text = told(thin.with_mechanisms({"sodium": broken}))
    assert "sodium.g must be at least 0 mS/cm^2; found -2 in cell 1" in text
    assert "capacitance is NaN in cell 2" in text
    assert "arrays over cells must have one length" in text
    two = cell.with_mechanisms({"x": jm.Leak(ion="mg"), "y": Moves(edge=("na.inside", "glia"))})
    assert "'x' needs 'mg'" in told(two) and "'y' transfers to 'glia'" in told(two)
    assert "at least one cell" in told(cell.with_parameters({"sodium.g": np.ones(0)}))


def test_a_start_for_an_unknown_mechanism_is_refused(cell):
    with pytest.raises(jm.PathError, match="did you mean 'sodium'"):
        cell.initial_state(states={"sodum": {"m": 0.1}})
    assert float(cell.initial_state(states={"sodium": {"m": 0.1}}).states["sodium"]["m"]) == 0.1


# ---------------------------------------------------------------------- the equations
ALL = {
    **{name: jm.presets.get(name) for name in jm.presets.names()},
    **{name: make() for name, make in probes.PROBES.items()},
}


@pytest.mark.parametrize("name", ALL)
def test_the_derivative_conserves_charge_and_transfers(name):
    """C dv/dt = stimulus - what the book says that all ions carry; transfers give what they take."""
    membrane = ALL[name].with_parameters({"capacitance": 1.3})
    cells, stimulus = 50, jm.Current(jnp.linspace(-3.0, 9.0, 50), 0.0)
    point = point_of(random_state(membrane, cells, seed=5, v=(-90.0, 40.0)))
    change = membrane.derivative(point, stimulus)
    carried = sum(change.book[k] for k, s in membrane.species.items() if s.valence)
    moved = sum(abs(change.book[k]) for k in membrane.species) + abs(stimulus.value)
    assert abs(1.3 * change.v - (stimulus.value - carried)).max() < 1e-13 * moved.max()
    assert np.array_equal(change.book["electrode"], stimulus.value)
    given = {k: x for k, x in change.book.items() if "." in k}
    if given:
        depth = lambda account: 1 / membrane.inverse_depth(*account.split("|")[0].split("."))
        amounts = [x * depth(k) for k, x in given.items()]
        assert relative(sum(amounts), 0.0, floor=max(float(abs(a).max()) for a in amounts)) < 1e-13
    assert jax.tree.structure(change) == jax.tree.structure(point)


def test_the_derivative_is_hodgkin_and_huxleys(squid):
    v, m, h, n = -43.21, 0.31, 0.27, 0.58
    start = squid.initial_state(v, {"sodium": {"m": m, "h": h}, "potassium": {"n": n}})
    change = squid.derivative(point_of(start), jm.Current(10.0, 0.0))
    w = v + 65
    am, bm = 0.1 * (25 - w) / (np.exp((25 - w) / 10) - 1), 4 * np.exp(-w / 18)
    ah, bh = 0.07 * np.exp(-w / 20), 1 / (np.exp((30 - w) / 10) + 1)
    an, bn = 0.01 * (10 - w) / (np.exp((10 - w) / 10) - 1), 0.125 * np.exp(-w / 80)
    i_na, i_k, i_l = 120 * m**3 * h * (v - 50), 36 * n**4 * (v + 77), 0.3 * (v + 54.387)
    assert float(change.v) == pytest.approx(10 - i_na - i_k - i_l, rel=1e-13)
    assert float(change.states["sodium"]["m"]) == pytest.approx(am * (1 - m) - bm * m, rel=1e-12)
    assert float(change.states["sodium"]["h"]) == pytest.approx(ah * (1 - h) - bh * h, rel=1e-12)
    assert float(change.states["potassium"]["n"]) == pytest.approx(an * (1 - n) - bn * n, rel=1e-12)
    assert float(change.book["na"]) == pytest.approx(i_na, rel=1e-13)


def test_transfers_between_pools_of_different_depth_keep_the_amount():
    ions = {"a": jm.Species(1.0, 0.0, valence=0, dynamic=("inside",), depth=0.1),
            "b": jm.Species(3.0, 0.0, valence=0, dynamic=("inside",), depth=2.0)}  # fmt: skip
    membrane = jm.Membrane({"x": Moves(edge=("a.inside", "b.inside"))}, ions)
    change = membrane.derivative(point_of(membrane.initial_state())).book
    # per area: 0.1*(1.0*0.1) goes, 0.1*(3.0*2.0) comes
    assert float(change["a.inside"]) == pytest.approx((-0.01 + 0.6) / 0.1, rel=1e-13)
    assert float(change["b.inside"]) == pytest.approx((0.01 - 0.6) / 2.0, rel=1e-13)


def test_initial_state_is_empty_and_steady(cell):
    cells = cell.with_parameters({"initial_v": np.array([-80.0, -60.0])})
    state = cells.initial_state()
    assert np.array_equal(state.v, [-80.0, -60.0]) and int(state.step) == 0 and float(state.lag) == 0.0
    assert not any(np.any(x) for x in state.book.values()) and np.all(state.failed_at == -1)
    change = cells.derivative(point_of(state))
    assert all(abs(x).max() < 1e-14 for gates in change.states.values() for x in gates.values())
    assert cells.initial_state(dtype=jnp.float32).v.dtype == jnp.float32
    assert np.array_equal(cells.initial_state(v=-50.0).v, [-50.0, -50.0])


def test_reversal_potentials_are_nernsts(cell):
    env = cell.environment({name: jnp.zeros(()) for name in [*cell.species, "electrode"]})
    rt_f = 1e3 * GAS * 310.15 / FARADAY
    assert float(env.e["k"]) == pytest.approx(rt_f * np.log(3.5 / 140.0), rel=1e-14)
    assert float(env.e["cl"]) == pytest.approx(-rt_f * np.log(120.0 / 8.6), rel=1e-14)
    assert set(env.e) == {"na", "k", "cl", "other"} and float(env.volume) == 1.0
