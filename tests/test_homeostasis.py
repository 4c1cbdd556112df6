"""The bistable neuron of 2014: jaxmem's membrane is the published one, and its rests are where its equations have them.

The numbers below are those of :mod:`two_rests`; the same by Newton's method on the extended systems (det J = 0, and the
Hurwitz determinant = 0) with 40 digits agreed to 1e-11.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import two_rests

import jaxmem as jm
from jaxmem.analysis.spectrum import spectrum

# (pump rate in uA/cm^2, v in mV) along the branch, from the physiological rest on; a Hopf point with its frequency (1/ms).
# With the charge on the capacitor, as jaxmem counts it:
FOLDS = [(1.064799088873, -56.557433886723), (39.378124088221, -29.635046480477)]
HOPF_POINTS = [
    (1.067194850449, -56.878299906179, 8.45296642815e-6),
    (32.905649658575, -34.004486648719, 0.0155105831487),  # of the saddle
    (38.525379682122, -28.300099916896, 2.34036891963e-5),
    (28.732355807479, -25.318224349711, 2.79317891583),
]
# as the authors' code has it, without:
NEUTRAL_FOLDS = [(1.064845076719, -56.557416263724), (39.381989454956, -29.634339913900)]
NEUTRAL_HOPF_POINTS = [
    (1.067241892542, -56.878346243921, 8.45420202478e-6),
    (32.908614350914, -34.004099182261, 0.0155110887094),
    (38.529201522846, -28.299336007455, 2.34035100598e-5),
    (28.735321401632, -25.317178971222, 2.79331858085),
]
# the same along potassium added to the outside (mM), at the published pump rate, as in figure 2 of the paper
K_FOLDS = [(29.746864242583, -54.123526733951), (-49.714046051703, -38.867766945932)]
K_HOPF_POINTS = [
    (28.696808571946, -56.257477354924, 0.000738756),
    (-49.340585075223, -39.599918422637, 0.00964270),
    (-48.486332017454, -37.326127937249, 2.86366e-5),
    (-43.501318039147, -34.941850784411, 1.26398846),
]
# at the published pump rate: v, K+ outside, Na+ inside, K+ inside, Cl- inside, eigenvalues (1/ms)
PHYSIOLOGICAL = (
    (-67.193882415189, 4.003884921, 25.229096764, 129.256345026, 9.896555818),
    (-0.529303219, -0.0919976896, -2.14809372e-4, -3.25343407e-6),
)
SADDLE = (
    (-45.148702910001, 7.467026323, 34.600990853, 128.101964559, 18.113094160),
    (-0.211286621, -4.83359365e-4, -1.81668693e-6, 3.78416541),
)
STARVED = (
    (-23.112975504538, 44.823076078, 57.368068416, 115.649947974, 28.427180276),
    (-8.33074695, -1.03878824, -5.90338653e-4, -2.91354239e-6),
)
RESTS = {"physiological": PHYSIOLOGICAL, "saddle": SADDLE, "starved": STARVED}


@pytest.fixture(scope="module")
def branch() -> two_rests.Branch:
    return two_rests.Branch()


def numbers(points: list[two_rests.Rest]) -> np.ndarray:
    return np.array([(p.pump if p.dk == 0 else p.dk, p.x[0]) for p in points])


def at_hopf(points: list[two_rests.Rest]) -> np.ndarray:
    return np.c_[numbers(points), [np.abs(p.eigenvalues.imag).max() for p in points]]


# ---------------------------------------------------------------------- the oracle
def test_the_branch_turns_and_changes_stability_where_it_did(branch: two_rests.Branch) -> None:
    neutral, along_k = two_rests.Branch(charge=0.0), two_rests.Branch("dk")
    for found, folds, hopf in (
        (branch, FOLDS, HOPF_POINTS),
        (neutral, NEUTRAL_FOLDS, NEUTRAL_HOPF_POINTS),
        (along_k, K_FOLDS, K_HOPF_POINTS),
    ):
        np.testing.assert_allclose(numbers(found.folds()), folds, rtol=0, atol=1e-10)
        points = found.hopf_points()
        np.testing.assert_allclose(numbers(points), [p[:2] for p in hopf], rtol=0, atol=3e-9)
        for p, (*_, frequency) in zip(points, hopf, strict=True):
            values = p.eigenvalues[np.abs(p.eigenvalues.imag - frequency) < 1e-5 * frequency]
            assert values.size == 1 and abs(values.real) < 1e-9 * abs(values.imag)


def test_rests_satisfy_the_equations(branch: two_rests.Branch) -> None:
    for p in (*branch.rests(6.8), *branch.folds(), *branch.hopf_points()):
        assert np.abs(two_rests.rates(p.x, p.pump, p.dk, p.charge)).max() < 1e-12
    for p, (place, values) in zip(branch.rests(6.8), RESTS.values(), strict=True):
        na, _, k_out, _ = two_rests.concentrations(p.x)
        np.testing.assert_allclose((p.x[0], k_out, na, *p.x[2:]), place, rtol=0, atol=2e-9)
        np.testing.assert_allclose(sorted(p.eigenvalues), sorted(values), rtol=1e-8)


def test_the_published_rest_is_the_physiological_one() -> None:
    """What the authors' code starts from; it says that the exact rest is reached by running it."""
    published = (two_rests.V, two_rests.K_OUT, two_rests.NA_IN, two_rests.K_IN, two_rests.CL_IN)
    np.testing.assert_allclose(PHYSIOLOGICAL[0], published, rtol=0, atol=4e-3)
    assert PHYSIOLOGICAL[0][0] == pytest.approx(two_rests.V, abs=7e-4)
    rest = two_rests.Branch(charge=0.0).rests(6.8)[0]
    assert rest.x[1] == pytest.approx(two_rests.N, abs=4e-6)


# ---------------------------------------------------------------------- jaxmem
def point(cell: jm.Membrane, x: np.ndarray) -> jm.Point:
    """jaxmem's state at x = (v, n, K+ inside, Cl- inside)."""
    start = cell.initial_state()
    gain = lambda name, now: (now - cell.species[name].inside) / cell.per_charge(name, "inside")
    na = two_rests.concentrations(x)[0]
    book = dict(start.book) | {"na": gain("na", na), "k": gain("k", x[2]), "cl": gain("cl", x[3])}
    return jm.Point(jnp.asarray(x[0]), {**start.states, "gated": {"n": jnp.asarray(x[1])}}, book)


def test_the_membrane_is_the_published_one() -> None:
    """The right-hand side at points far from rest: singular voltages, spikes, ions run down."""
    cell = jm.presets.hubel_dahlem_2014()
    for x in [
        (-67.0, 0.07, 129.0, 9.9),
        (-33.99, 0.4, 120.0, 20.0),
        (-30.01, 0.6, 110.0, 30.0),
        (35.0, 0.3, 128.0, 12.0),
    ]:
        x = np.array(x)
        expected = two_rests.rates(x)
        change = cell.derivative(point(cell, x))
        moved = {k: cell.per_charge(k, "inside") * change.book[k] for k in ("na", "k", "cl")}
        found = (change.v, change.states["gated"]["n"], moved["k"], moved["cl"])
        np.testing.assert_allclose(found, expected, rtol=1e-11)
        na = expected[3] - expected[2] + two_rests.PER_CHARGE * expected[0]  # neutrality, and the capacitor
        assert moved["na"] == pytest.approx(na, rel=1e-10)


@pytest.mark.parametrize("name", RESTS)
def test_eigenvalues_of_the_membrane_and_one_conserved_mode(name: str) -> None:
    """Of the five amounts (v, n and three charges) one combination never changes: capacitor less charges carried."""
    cell = jm.presets.hubel_dahlem_2014()
    (v, _, _, k, cl), values = RESTS[name]
    _, opening, closing = two_rests.gates(v)
    at = point(cell, np.array([v, opening / (opening + closing), k, cl]))

    def change(y: jax.Array) -> jax.Array:
        book = dict(at.book) | dict(zip(("na", "k", "cl"), y[2:], strict=True))
        d = cell.derivative(jm.Point(y[0], {**at.states, "gated": {"n": y[1]}}, book))
        return jnp.stack([d.v, d.states["gated"]["n"], d.book["na"], d.book["k"], d.book["cl"]])

    y = jnp.stack([at.v, at.states["gated"]["n"], at.book["na"], at.book["k"], at.book["cl"]])
    assert np.abs(change(y)).max() < 2e-8
    found = np.linalg.eigvals(jax.jacfwd(change)(y))
    conserved = np.argmin(np.abs(found))
    assert abs(found[conserved]) < 1e-12
    np.testing.assert_allclose(np.sort(np.delete(found, conserved).real), np.sort(values), rtol=1e-6)


@pytest.mark.slow
def test_jaxmem_finds_the_physiological_rest() -> None:
    rest = jm.resting_state(jm.presets.hubel_dahlem_2014())
    v, k_out, na, k, cl = PHYSIOLOGICAL[0]
    assert rest.status == jm.Status.OK and rest.v == pytest.approx(v, abs=1e-9)
    for path, value in {"k.outside": k_out, "na.inside": na, "k.inside": k, "cl.inside": cl}.items():
        assert rest.concentrations[path] == pytest.approx(value, abs=2e-9)


@pytest.mark.slow
def test_no_physiological_rest_below_the_first_fold() -> None:
    """The minimal physiological pump rate."""
    pump = np.array([FOLDS[0][0] - 1e-3, 1.5])
    rest = jm.resting_state(jm.presets.hubel_dahlem_2014().with_parameters({"pump.i_max": pump}))
    polarised = (rest.status == jm.Status.OK) & (rest.v < -50)
    assert polarised.tolist() == [False, True]


def left_alone(precision: str) -> jm.Simulation:
    """Five seconds of two cells with all that the published one holds: little has leaked, or nearly all."""
    v, k, cl = np.array([-60.0, -15.0]), np.array([128.8, 114.0]), np.array([11.0, 27.0])
    na, na_out, k_out, cl_out = two_rests.concentrations((v, None, k, cl))
    start = {
        "na.inside": na,
        "na.outside": na_out,
        "k.inside": k,
        "k.outside": k_out,
        "cl.inside": cl,
        "cl.outside": cl_out,
    }
    cells = jm.presets.hubel_dahlem_2014().with_parameters(start | {"initial_v": v})
    return jm.simulate(cells, 5e3, dt=0.05, precision=precision)


@pytest.mark.slow
def test_each_of_two_cells_goes_to_its_own_rest() -> None:
    """From where a simulation leaves them the solver finds both rests, all ions counted on the way."""
    run = left_alone("float64")
    assert run.audit.worst_charge < 1e-12
    now = run.membrane.environment(run.final_state.book)
    start = {f"{k}.{side}": getattr(now, side)[k] for k in ("na", "k", "cl") for side in ("inside", "outside")}
    cells = jm.presets.hubel_dahlem_2014().with_parameters(start | {"initial_v": run.final_state.v})
    rest = jm.resting_state(cells)
    assert (rest.status == jm.Status.OK).all()
    for i, (place, _) in enumerate((PHYSIOLOGICAL, STARVED)):
        found = (rest.v[i], *(rest.concentrations[p][i] for p in ("k.outside", "na.inside", "k.inside", "cl.inside")))
        np.testing.assert_allclose(found, place, rtol=0, atol=1e-8)


@pytest.mark.slow
def test_the_same_in_float32() -> None:
    run, wide = left_alone("float32"), left_alone("float64")
    np.testing.assert_allclose(run.final_state.v, wide.final_state.v, rtol=0, atol=2e-4)
    assert run.audit.worst_charge < 1e-4


@pytest.mark.slow
def test_a_spike_is_as_high_in_finer_steps() -> None:
    """Activation at once makes the rise steep: the docstring's 0.0125 ms. Peak by RK4 in steps of 0.003 ms: 40.99 mV."""
    cell, current = jm.presets.hubel_dahlem_2014(), jm.ConstantCurrent(1.5)
    run = jm.simulate(cell, 60.0, dt=0.0125, stimulus=current, measures=["maximum_v", "spike_count"])
    assert run.measures["spike_count"] >= 1
    assert run.measures["maximum_v"] == pytest.approx(40.99, abs=0.5)


def test_spectra_of_all_three_rests() -> None:
    """Modes of hours beside modes of microseconds; laws of the amounts found as zeros, projected out by nothing."""
    cell = jm.presets.hubel_dahlem_2014()
    start = cell.initial_state()
    states = []
    for place, _ in RESTS.values():
        _, opening, closing = two_rests.gates(place[0])
        at = point(cell, np.array([place[0], opening / (opening + closing), *place[3:]]))
        take = lambda s: (s.v, s.states["gated"]["n"], *(s.total[k] for k in ("na", "k", "cl")))
        states.append(
            eqx.tree_at(take, start, take(dataclasses.replace(start, v=at.v, states=at.states, total=at.book)))
        )
    together = jax.tree.map(lambda *x: np.stack(x), *states)
    found = spectrum(cell, together)
    for i, (_, values) in enumerate(RESTS.values()):
        expected = sorted(values, key=abs)
        np.testing.assert_allclose(found.eigenvalues[i], expected, rtol=3e-7)
        np.testing.assert_allclose(found.time_constants[i], -1 / np.array(expected), rtol=3e-7)
    assert found.stability.tolist() == [jm.Stability.NODE, jm.Stability.UNSTABLE, jm.Stability.NODE]
    assert (found.time_constants < 0).sum(-1).tolist() == [0, 1, 0]
    assert found.conserved.shape[-1] >= 1
    assert (np.abs(found.conserved) <= 1e-12 * found.norm[:, None]).all() and (found.norm > 1).all()
    broken = eqx.tree_at(lambda s: s.v, together, np.array([np.nan, SADDLE[0][0], STARVED[0][0]]))
    found = spectrum(cell, broken)
    assert np.isnan(found.eigenvalues[0]).all() and np.isfinite(found.eigenvalues[1:]).all()
    assert found.stability.tolist() == [jm.Stability.UNKNOWN, jm.Stability.UNSTABLE, jm.Stability.NODE]


# ---------------------------------------------------------------------- the whole diagram
def in_order(points: list[jm.Bifurcation]) -> np.ndarray:
    """(parameter, v) from the most negative v on."""
    return np.array(sorted(((b.parameter, b.v) for b in points), key=lambda x: x[1])).reshape(-1, 2)


@pytest.fixture(scope="module")
def along_the_pump() -> jm.Continuation:
    return jm.continuation(jm.presets.hubel_dahlem_2014(), "pump.i_max", 0.2, 60.0, attempts=100)


@pytest.mark.slow
def test_continuation_finds_both_folds_and_all_hopf_points(along_the_pump: jm.Continuation) -> None:
    """Four Hopf points with their frequencies; where two real modes of opposite sign are equal, none is born."""
    curve = along_the_pump
    np.testing.assert_allclose(in_order(curve.of("fold")), FOLDS, rtol=0, atol=1e-8)
    hopf = sorted(curve.of("hopf"), key=lambda b: b.v)
    expected = sorted(HOPF_POINTS, key=lambda x: x[1])
    np.testing.assert_allclose(in_order(hopf), [x[:2] for x in expected], rtol=0, atol=1e-8)
    frequencies = [x[2] / (2 * np.pi) * 1000 for x in expected]
    np.testing.assert_allclose([b.frequency for b in hopf], frequencies, rtol=1e-7, atol=0)
    assert len(curve.bifurcations) == 6
    # stable up to a Hopf point on the physiological and on the starved side, to none of the folds
    assert [b.stable_side for b in hopf] == [True, False, False, True]
    assert not any(b.stable_side for b in curve.of("fold"))


@pytest.mark.slow
def test_every_point_of_the_curve_is_a_rest_of_the_published_equations(along_the_pump: jm.Continuation) -> None:
    curve = along_the_pump
    assert curve.status == jm.Status.OK and {curve.parameter[0], curve.parameter[-1]} == {0.2, 60.0}
    opening, closing = two_rests.gates(curve.v)[1:]
    x = (curve.v, opening / (opening + closing), curve.concentrations["k.inside"], curve.concentrations["cl.inside"])
    assert np.abs(two_rests.rates(x, curve.parameter)).max() < 1e-9
    na, na_out, k_out, cl_out = two_rests.concentrations(x)
    for path, level in {"na.inside": na, "na.outside": na_out, "k.outside": k_out, "cl.outside": cl_out}.items():
        np.testing.assert_allclose(curve.concentrations[path], level, rtol=1e-9)
    for i in range(0, curve.v.size, 3):
        rest = two_rests.Rest(np.array([y[i] for y in x]), curve.parameter[i], 0.0, 1.0)
        assert curve.growing[i] == (rest.eigenvalues.real > 0).sum()


@pytest.mark.slow
def test_the_curve_passes_all_three_rests_at_the_published_pump_rate(along_the_pump: jm.Continuation) -> None:
    """Physiological and starved are nodes, the saddle between them has one growing mode."""
    curve = along_the_pump
    for name, kind, growing in (("physiological", 0, 0), ("saddle", 2, 1), ("starved", 0, 0)):
        v = RESTS[name][0][0]
        i = int(np.argmin(np.abs(curve.v - v)))
        around = slice(max(i - 1, 0), i + 2)
        p, u = curve.parameter[around], curve.v[around]
        order = np.argsort(u)
        assert np.interp(v, u[order], p[order]) == pytest.approx(6.8, abs=0.5)
        assert curve.growing[i] == growing and curve.stability[i] == kind


@pytest.mark.slow
def test_continuation_along_potassium_outside() -> None:
    """From the published 4 mM as far as concentrations are positive: the Hopf point lies just before the fold."""
    curve = jm.continuation(jm.presets.hubel_dahlem_2014(), "k.outside", 0.5, 40.0, attempts=100)
    start = two_rests.K_OUT
    (fold,), (hopf,) = curve.of("fold"), curve.of("hopf")
    np.testing.assert_allclose((fold.parameter - start, fold.v), K_FOLDS[0], rtol=0, atol=1e-8)
    np.testing.assert_allclose((hopf.parameter - start, hopf.v), K_HOPF_POINTS[0][:2], rtol=0, atol=1e-8)
    assert hopf.frequency == pytest.approx(K_HOPF_POINTS[0][2] / (2 * np.pi) * 1000, rel=1e-5)
    assert hopf.stable_side and not fold.stable_side
    assert curve.status == jm.Status.OK and curve.parameter[[0, -1]].tolist() == [0.5, 0.5]
