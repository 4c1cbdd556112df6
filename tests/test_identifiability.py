"""What targets tell of parameters: ranks, null directions and errors against closed forms, and the sentences said of them."""

import dataclasses

import numpy as np
import pytest

import jaxmem as jm

E = np.array([-90.0, 60.0, -65.0])  # mV
NAMES = ("k_leak.g", "na_leak.g", "cl_leak.g")
BOUNDS = jm.Free(1e-4, 1.0)


def leaks(targets: tuple[str, ...], g: np.ndarray, sd: dict[str, float] | None = None) -> jm.Identifiability:
    """Leaks alone, conductances g (leaks, cells): v = sum(g e)/G and R = 1/G, differentiated by hand to ln g."""
    n = len(g)
    e, total = E[:n, None], g.sum(0)
    v = (g * e).sum(0) / total
    ways = {
        "resting_potential": g * (e - v) / total,
        "input_resistance": -100.0 * g / total**2,
        "conductance": g / total,
    }
    rows = np.stack([ways[t] / (sd or {}).get(t, 1.0) for t in targets])
    return jm.Identifiability(rows, dict.fromkeys(NAMES[:n], BOUNDS), targets)


def cells(n: int, count: int = 40) -> np.ndarray:
    return np.exp(np.random.default_rng(3).normal(-3.0, 1.0, (n, count)))


BOTH = ("resting_potential", "input_resistance")


def test_a_voltage_alone_fixes_only_the_ratio_of_two_conductances() -> None:
    found = leaks(("resting_potential",), cells(2))
    assert (found.rank == 1).all()
    for direction in found.null_directions:
        np.testing.assert_allclose(np.abs(direction), [[0.5**0.5, 0.5**0.5]], rtol=1e-12)
        assert direction[0, 0] * direction[0, 1] > 0
    assert all(np.isinf(x).all() for x in found.standard_errors.values())
    assert not found.identified["k_leak.g"].any() and np.isnan(found.correlations[0, 1]).all()
    assert found.words[0].startswith(
        "2 parameters for 1 target: resting_potential alone fixes 1 of 2 directions: the ratio k_leak.g : na_leak.g (x/÷ 1.0"
    )
    assert found.words[1:] == ["Free: k_leak.g and na_leak.g by the same factor."]


def test_voltage_and_resistance_fix_both() -> None:
    """Errors against those of the map solved by hand: g_k = G (e_na - v)/(e_na - e_k), g_na = G (v - e_k)/(e_na - e_k)."""
    g = np.array([[0.05], [0.01]])
    total = g.sum()
    v, r = float((g[:, 0] * E[:2]).sum() / total), 100.0 / total
    sd = {"resting_potential": 1.5, "input_resistance": 0.08 * r}
    found = leaks(BOTH, g, sd)
    assert found.rank.tolist() == [2] and found.null_directions[0].shape == (0, 2)
    # d ln g_k = -dR/R - dv/(e_na - v), d ln g_na = -dR/R + dv/(v - e_k)
    expected = {"k_leak.g": np.hypot(0.08, 1.5 / (60.0 - v)), "na_leak.g": np.hypot(0.08, 1.5 / (v + 90.0))}
    for path, error in expected.items():
        assert found.standard_errors[path] == pytest.approx([error], rel=1e-12)
        assert found.factors[path] == pytest.approx([np.exp(error)], rel=1e-12)
    between = 0.08**2 - 1.5**2 / ((60.0 - v) * (v + 90.0))
    assert found.correlations[0, 1, 0] == pytest.approx(between / np.prod(list(expected.values())), rel=1e-12)
    np.testing.assert_allclose(found.covariance[..., 0], np.linalg.inv(found.fisher[..., 0]), rtol=1e-9)
    np.testing.assert_allclose(found.eigenvalues[::-1, 0], np.linalg.eigvalsh(found.fisher[..., 0]), rtol=1e-9)
    told_of = f"x/÷ {np.exp(expected['na_leak.g']):.2f}"
    assert found.words == [
        f"Both parameters are fixed by resting_potential and input_resistance; the least certain is na_leak.g, {told_of}."
    ]


@pytest.mark.parametrize("sd", [1e-6, 1.0, 1e4])
def test_a_rank_does_not_depend_on_units(sd: float) -> None:
    """Neither on how exactly one of the targets is known, nor on the unit of a parameter that is not on a log scale."""
    assert (leaks(BOTH, cells(2), {"resting_potential": sd}).rank == 2).all()
    assert (leaks((*BOTH, "conductance"), cells(3), {"resting_potential": sd}).rank == 2).all()
    found = leaks(BOTH, cells(2))
    linear = dataclasses.replace(
        found,
        jacobian=found.jacobian * np.array([1.0, sd])[:, None],
        free={"k_leak.g": BOUNDS, "leak.e": jm.Free(-1 / sd, 1 / sd)},
    )
    assert (linear.rank == 2).all()
    np.testing.assert_allclose(linear.standard_errors["leak.e"] * sd, found.standard_errors["na_leak.g"], rtol=1e-6)


def test_directions_of_three_leaks() -> None:
    """v: one direction is free by the same factor, whatever the cell; the other depends on the cell. With R one is free."""
    g = cells(3)
    alone = leaks(("resting_potential",), g)
    assert (alone.rank == 1).all()
    assert alone.words[1].startswith("Free: k_leak.g, na_leak.g and cl_leak.g by the same factor; ")
    assert "(exponents of a typical one)" in alone.words[0] and alone.words[1].endswith("(typically).")
    both = leaks(BOTH, g)
    assert (both.rank == 2).all()
    for i, direction in enumerate(both.null_directions):  # dv = dR = 0: sum(dg) = 0 and sum(e dg) = 0
        np.testing.assert_allclose([(direction[0] * g[:, i]).sum(), (direction[0] * g[:, i] * E).sum()], 0, atol=1e-12)
    twice = leaks((*BOTH, "conductance"), g)
    assert twice.words[-1] == "input_resistance and conductance say the same of the parameters."
    one = leaks(("resting_potential",), g[:, 0:1])
    assert one.words[1].count("x 1.10") == 1  # the direction that is not the common factor, in numbers


def test_exact_products_of_powers_are_found() -> None:
    """A target of a^2 b / c fixes just this."""
    row = np.array([2.0, 1.0, -1.0])[None, :, None] * np.linspace(0.5, 4.0, 30)
    found = jm.Identifiability(row, {"a": BOUNDS, "b": BOUNDS, "c": BOUNDS}, ("y",))
    assert "1 of 3 directions: a^2 · b / c (x/÷ " in found.words[0]
    assert found.words[1] == "Free: b and c by the same factor; a x 2 with c x 4."
    ratio = jm.Identifiability(np.array([[[1.0], [1.0]]]), {"a": BOUNDS, "b": BOUNDS}, ("y",))
    assert "directions: a · b (" in ratio.words[0] and ratio.words[1] == "Free: a up and b down by the same factor."


def test_a_parameter_that_does_nothing() -> None:
    found = leaks(BOTH, cells(2))
    free = dict(found.free) | {"capacitance": jm.Free(0.5, 2.0)}
    idle = dataclasses.replace(found, jacobian=np.concatenate([found.jacobian, np.zeros((2, 1, 40))], 1), free=free)
    assert idle.words[0] == "capacitance changes none of the targets."
    assert "fix 2 of 3 directions: k_leak.g (x/÷ " in idle.words[1] and not any(
        w.startswith("Free") for w in idle.words
    )
    assert np.isinf(idle.standard_errors["capacitance"]).all()
    np.testing.assert_allclose(idle.standard_errors["k_leak.g"], found.standard_errors["k_leak.g"], rtol=1e-9)
    some = idle.jacobian.copy()
    some[:, 2, 5:8] = [[1.0], [-3.0]]  # it does in three cells
    three = dataclasses.replace(idle, jacobian=some)
    assert three.words[0] == "capacitance changes none of the targets (in 37 of 40 fits)."
    small = dataclasses.replace(idle, jacobian=np.where(idle.jacobian == 0, 1e-4, idle.jacobian))
    assert "changes none" not in " ".join(small.words)  # little is not nothing


def test_what_only_a_prior_fixes() -> None:
    """One more row, 1/spread: the ratio is the target's, the sum the prior's."""
    alone = leaks(("resting_potential",), cells(2))
    prior = np.zeros((1, 2, 40))
    prior[0, 0] = 1 / 0.5
    found = dataclasses.replace(alone, jacobian=np.concatenate([alone.jacobian, prior]))
    assert (found.rank == 2).all() and (found.of_targets.rank == 1).all()
    np.testing.assert_allclose(found.standard_errors["k_leak.g"], 0.5, rtol=1e-9)
    ratio = 1 / np.abs(alone.jacobian[0, 0])
    np.testing.assert_allclose(found.standard_errors["na_leak.g"], np.hypot(0.5, ratio), rtol=1e-9)
    assert found.words[1] == (
        "1 more direction is fixed by priors only; without priors, free: k_leak.g and na_leak.g by the same factor."
    )


def test_little_information_is_called_sloppy() -> None:
    found = leaks(BOTH, cells(2), {"resting_potential": 0.1, "input_resistance": 2e3})
    sloppy = next(w for w in found.words if w.startswith("Sloppy"))
    assert "k_leak.g x" in sloppy and "na_leak.g x" in sloppy and "changes the targets by no more than one sd" in sloppy
    none = leaks(BOTH, cells(2), {"input_resistance": 1e9})
    assert "as far as bounds go" in none.words[-1]
    assert not any("Sloppy" in w for w in leaks(BOTH, cells(2)).words)


def test_cells_without_derivatives_take_no_part() -> None:
    found = leaks(BOTH, cells(2))
    broken = found.jacobian.copy()
    broken[0, 1, [3, 4]] = np.nan
    some = dataclasses.replace(found, jacobian=broken)
    assert (
        some.rank[3] == -1 and np.isnan(some.standard_errors["k_leak.g"][4]) and np.isnan(some.eigenvalues[:, 3]).all()
    )
    np.testing.assert_array_equal(
        np.delete(some.standard_errors["k_leak.g"], [3, 4]), np.delete(found.standard_errors["k_leak.g"], [3, 4])
    )
    nothing = dataclasses.replace(found, jacobian=np.full_like(broken, np.nan))
    assert nothing.words == ["Nothing is known of what the targets fix: no cell has derivatives."]
    with pytest.raises(ValueError, match="found shape"):
        dataclasses.replace(found, rows=("a", "b", "c"))


def test_what_cells_have_in_common_is_as_from_one_large_matrix() -> None:
    """A shared parameter, its prior, and one of each cell's own: the block of the inverse of the whole information."""
    rng = np.random.default_rng(5)
    count = 6
    rows = rng.normal(size=(3, 2, count))
    rows[2] = np.array([1 / 0.3, 0.0])[:, None]  # the prior of the shared one, once in all
    found = jm.Identifiability(rows, {"shared": jm.Free(0.1, 10.0), "own": jm.Free(0.1, 10.0)}, ("a", "b"), common=(0,))
    whole = np.zeros((1 + count, 1 + count))
    whole[0, 0] = 1 / 0.3**2
    for c in range(count):
        block = rows[:2, :, c].T @ rows[:2, :, c]
        whole[np.ix_([0, 1 + c], [0, 1 + c])] += block
    inverse = np.linalg.inv(whole)
    for c in range(count):
        np.testing.assert_allclose(found.covariance[..., c], inverse[np.ix_([0, 1 + c], [0, 1 + c])], rtol=1e-9)


# ------------------------------------------------------------------ of fits
def membrane(*names: str) -> jm.Membrane:
    """Leaks between clamped ions, and nothing else that carries current."""
    ion = lambda inside, outside, valence=1: jm.Species(inside=inside, outside=outside, valence=valence)
    species = {"na": ion(10.0, 145.0), "k": ion(140.0, 5.0)}
    return jm.Membrane(
        {f"{k}_leak": jm.Leak(g=0.05 if k == "k" else 0.01, ion=k) for k in names}, species, celsius=37.0
    )


LEAKS = {"k_leak.g": (1e-4, 1.0), "na_leak.g": (1e-4, 1.0)}


@pytest.fixture(scope="module")
def alone():
    """One target, both leaks free, five cells: reached, reached, reached, below E_K, above E_Na."""
    aims = {"resting_potential": np.array([-80.0, -65.0, -50.0, -120.0, 90.0])}
    return jm.fit(membrane("k", "na"), free=LEAKS, targets=aims)


def test_a_fit_says_what_is_out_of_reach(alone) -> None:
    said = alone.words
    assert said[0] == (
        "resting_potential: -120 mV is out of reach within the bounds; the nearest is -89.04 mV, with k_leak.g "
        "at its upper bound 1 and na_leak.g at its lower bound 0.0001 (in 1 of 5 fits)."
    )
    assert (
        said[1].startswith("resting_potential: 90 mV is out of reach")
        and "k_leak.g at its lower bound 0.0001" in said[1]
    )
    assert said[2] == "Of the 3 fits (of 5) that ended inside their bounds:"
    assert (
        "the ratio k_leak.g : na_leak.g (x/÷ 1.0" in said[3]
        and said[4] == "Free: k_leak.g and na_leak.g by the same factor."
    )
    ratio = alone.identifiability.null_directions[1][0]
    np.testing.assert_allclose(ratio[0] / ratio[1], 1.0, rtol=1e-9)


def test_fits_that_came_to_nothing_are_counted(alone) -> None:
    """Those without a steady state and those that are not finite have no derivatives; one that ran out has."""
    status = np.array(
        [jm.FitStatus.CONVERGED, jm.FitStatus.NO_STEADY_STATE, jm.FitStatus.NOT_FINITE] + [jm.FitStatus.ITERATIONS] * 2
    )
    some = dataclasses.replace(alone, status=status)
    assert [w.rsplit(" (in ")[-1] for w in some.words[:3]] == ["1 of 5 fits).", "1 of 5 fits).", "2 of 5 fits)."]
    assert some.words[3] == "Of the 1 fit (of 5) that ended inside their bounds:"
    assert some.identifiability.rank.tolist() == [1, -1, -1, 1, 1]
    draws = jm.laplace(some).sample(5)["k_leak.g"]
    assert np.isnan(draws).all(0).tolist() == [False, True, True, False, False]
    none = dataclasses.replace(alone, status=np.full(5, jm.FitStatus.NO_STEADY_STATE))
    assert len(none.words) == 2 and none.words[1].startswith("Nothing is known of what the targets fix")
    assert jm.solution_manifold(none, samples=3).words == ["No fit ended at a minimum: there is no manifold."]


def test_a_fit_says_which_targets_contradict_each_other() -> None:
    """One leak free, the same voltage wanted in 5 and 10 mM K+; and a reversal potential that no leak moves."""
    twice = jm.Target([-65.0, -65.0], 1.0, at=[{"k.outside": 5.0}, {"k.outside": 10.0}])
    free = {"na_leak.g": (1e-4, 1.0)}
    found = jm.fit(membrane("k", "na"), free=free, targets={"resting_potential": twice})
    r = found.residuals["resting_potential"]
    said = found.words
    assert said[0] == (
        "resting_potential at k.outside = 5 mM and resting_potential at k.outside = 10 mM pull against each other: "
        f"missed by {r[0]:+.1f} and {r[1]:+.1f} sd."
    )
    assert r[0] < -3 and r[1] > 3 and said[1].startswith("na_leak.g is fixed by resting_potential (2 values), x/÷ 1.")


@pytest.mark.slow
def test_the_current_of_the_pump_is_no_target_at_a_full_steady_state() -> None:
    """All K+ that leaks is pumped and every cycle moves 2 K+ for a net charge: I_K = 2 I_pump, whatever the parameters."""

    def share(m: jm.Membrane, rest: jm.RestingState):
        flows = jm.budget(m, rest)
        return flows.currents["k_leak"]["k"] / flows.pumps["pump"]

    cell = jm.presets.pump_leak()
    free = {"na_leak.g": (1e-3, 0.1), "k_leak.g": (5e-3, 0.5)}
    found = jm.fit(cell, free=free, targets={"resting_potential": -72.0, "share": jm.Target(2.5, 0.1, of=share)})
    assert found.values["share"] == pytest.approx(2.0, rel=1e-9)
    said = found.words
    assert said[0] == "share is 2 whatever the free parameters, not 2.5."
    assert "share is moved by no free parameter." in said
    assert np.abs(found.jacobian[1]).max() < 1e-7


@pytest.mark.slow
def test_every_kind_of_fit_speaks() -> None:
    """A parameter that does nothing, starts, float32, a value that not all cells can share, pools with a target missing."""
    cell, aims = membrane("k", "na"), {"resting_potential": np.array([-70.0, -60.0, -50.0])}
    idle = jm.fit(cell, free={"k_leak.g": (1e-4, 1.0), "capacitance": (0.5, 2.0)}, targets=aims)
    assert idle.words[0] == "capacitance changes none of the targets." and np.all(idle.status == jm.FitStatus.CONVERGED)
    lost = jm.fit(cell, free=LEAKS, targets={"resting_potential": np.array([-70.0, -120.0])}, starts=3)
    assert lost.identifiability.shape == (3, 2) and "(in 3 of 6 fits)" in lost.words[0]
    assert lost.words[1] == "Of the 3 fits (of 6) that ended inside their bounds:" and "the ratio" in lost.words[2]
    short = jm.fit(cell, free=LEAKS, targets={"resting_potential": -70.0}, precision="float32")
    assert short.jacobian.dtype == np.float32 and short.words[1] == "Free: k_leak.g and na_leak.g by the same factor."
    both = aims | {"input_resistance": jm.Target(np.array([200.0, 300.0, np.nan]), 5.0)}
    shared = jm.fit(cell, free=LEAKS | {"k_leak.g": jm.Free(1e-4, 1.0, shared=True)}, targets=both)
    assert "not all cells can do with the same k_leak.g" in shared.words[0]
    pooled = jm.fit(cell, free=LEAKS | {"k_leak.g": jm.Free(1e-4, 1.0, pooled=0.3)}, targets=both)
    assert list(pooled.identifiability.free) == ["k_leak.g", "na_leak.g", "k_leak.g (common)"]
    error = pooled.identifiability.standard_errors["k_leak.g"]
    assert np.isfinite(error).all() and error[2] > 3 * error[0]  # of the cell without a resistance the pool says it
    for found in (lost, shared, pooled):
        assert {x.shape for x in jm.laplace(found).sample(5).values()} == {(5, *np.shape(found.cost))}


@pytest.mark.slow
def test_standard_errors_are_the_spread_of_fits_to_noisy_targets() -> None:
    """2000 cells with the same truth, targets with normal errors: covariance of the fits against F^-1 at the truth."""
    rng = np.random.default_rng(11)
    count = 2000
    truth = membrane("k", "na")
    rest = jm.resting_state(truth)
    v, r = float(rest.v), float(jm.input_resistance(truth, rest))
    sd = {"resting_potential": 0.5, "input_resistance": 0.01 * r}
    noisy = {"resting_potential": v, "input_resistance": r}
    targets = {k: jm.Target(x + sd[k] * rng.standard_normal(count), sd[k]) for k, x in noisy.items()}
    fits = jm.fit(truth, free=LEAKS, targets=targets)
    one = jm.fit(truth, free=LEAKS, targets={k: jm.Target(x, sd[k]) for k, x in noisy.items()}).identifiability
    spread = np.cov(np.log([fits.parameters[p] for p in LEAKS]))
    np.testing.assert_allclose(spread, one.covariance, rtol=0.12)  # a variance of 2000 draws is good to 3 %
