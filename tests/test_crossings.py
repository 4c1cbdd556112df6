"""All rests at standing concentrations: against brute force in NumPy, closed forms near a fold, eigenvalues, differences."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

import jaxmem as jm
from jaxmem.analysis.stability import by_eigenvalues
from jaxmem.membrane.mechanism import Number, States
from jaxmem.membrane.parameters import replaced

Cell = dict[str, np.ndarray]
GRID = np.arange(-120.0, 60.0 + 0.005, 0.01)


# ---------------------------------------------------------------------- an N-shaped I-V: an instantaneous inward rectifier
class InwardRectifier(jm.Mechanism):
    """``i = g (v - e)/(1 + exp((v - half)/slope)) - bias``, at once."""

    g: Number = jm.parameter("mS/cm^2", "maximal conductance", default=0.4, minimum=0.0)
    e: Number = jm.parameter("mV", "reversal potential", default=-90.0)
    half: Number = jm.parameter("mV", "half blocked", default=-75.0)
    slope: Number = jm.parameter("mV", "per e-fold of the block", default=7.0, positive=True)
    bias: Number = jm.parameter("uA/cm^2", "current that flows in anyway", default=0.0)

    def fluxes(self, v: jax.Array, states: States, env: jm.Environment) -> dict[str, jm.Current]:
        free = 1 / (1 + jnp.exp((v - self.half) / self.slope))
        steep = self.g * free * (1 - (v - self.e) * (1 - free) / self.slope)
        return {"k": jm.Current(self.g * free * (v - self.e) - self.bias, steep)}


RECTIFYING = {
    "kir.g": 0.4, "kir.e": -90.0, "kir.half": -75.0, "kir.slope": 7.0, "kir.bias": 0.0, "leak.g": 0.02, "leak.e": -20.0,
}  # fmt: skip


def rectifying(**changed: np.ndarray) -> jm.Membrane:
    cell = jm.Membrane(
        {"kir": InwardRectifier(), "leak": jm.Leak(g=0.02, e=-20.0, ion="nonspecific")},
        {"k": jm.Species(), "nonspecific": jm.Species()},
    )
    p = RECTIFYING | {path.replace("_", "."): x for path, x in changed.items()}
    if shape := np.broadcast_shapes(*(np.shape(x) for x in p.values())):  # the same are arrays: one program serves all
        p |= {path: p[path] * np.ones(shape) for path in ("kir.g", "kir.half", "kir.bias", "leak.g")}
    return cell.with_parameters(p)


def rectifier_current(v: np.ndarray, p: Cell) -> np.ndarray:
    blocked = p["kir.g"] * (v - p["kir.e"]) / (1 + np.exp((v - p["kir.half"]) / p["kir.slope"]))
    return blocked - p["kir.bias"] + p["leak.g"] * (v - p["leak.e"])


def by_complex_steps(function, v: np.ndarray) -> np.ndarray:
    return function(v + 1e-30j).imag / 1e-30


# ---------------------------------------------------------------------- the squid axon, written out
def squid_rates(v: np.ndarray) -> tuple[list, list]:
    """(opening, closing) of m, h, n in 1/ms, voltage from a rest of -65 mV."""
    u = v + 65.0
    opening = [
        0.1 * (25 - u) / np.expm1((25 - u) / 10),
        0.07 * np.exp(-u / 20),
        0.01 * (10 - u) / np.expm1((10 - u) / 10),
    ]
    return opening, [4 * np.exp(-u / 18), 1 / (np.exp((30 - u) / 10) + 1), 0.125 * np.exp(-u / 80)]


def squid_current(v: np.ndarray, p: Cell, gates: list | None = None) -> np.ndarray:
    m, h, n = gates if gates else [a / (a + b) for a, b in zip(*squid_rates(v), strict=True)]
    return (
        p["sodium.g"] * m**3 * h * (v - 50) + p["potassium.g"] * n**4 * (v + 77) + p["leak.g"] * (v - p["leak.e"])
    )  # fmt: skip


def squid_eigenvalues(v: float, p: Cell) -> np.ndarray:
    def change(y: np.ndarray) -> np.ndarray:
        rates = zip(*squid_rates(y[0]), y[1:], strict=True)
        return np.array([-squid_current(y[0], p, list(y[1:])), *(a * (1 - x) - b * x for a, b, x in rates)])

    rest = np.array([v, *(a / (a + b) for a, b in zip(*squid_rates(v), strict=True))], complex)
    columns = [change(rest + 1e-30j * (np.arange(4) == j)).imag / 1e-30 for j in range(4)]
    return np.linalg.eigvals(np.stack(columns, 1))


def squids(**changed: np.ndarray) -> tuple[jm.Membrane, Cell]:
    p = {"sodium.g": 120.0, "potassium.g": 36.0, "leak.g": 0.3, "leak.e": -54.387}
    p |= {path.replace("_", "."): x for path, x in changed.items()}
    p = {path: x * np.ones(np.shape(sum(p.values()))) for path, x in p.items()}
    return jm.presets.hodgkin_huxley_1952().with_parameters(p), p


# ---------------------------------------------------------------------- brute force
def roots(current, p: Cell, cell: int) -> np.ndarray:
    mine = {path: x[cell] if np.ndim(x) else x for path, x in p.items()}
    at = current(GRID, mine)
    places = np.flatnonzero(np.sign(at[1:]) != np.sign(at[:-1]))
    return np.array([brentq(current, GRID[i], GRID[i + 1], args=(mine,), xtol=1e-13, rtol=1e-14) for i in places])


def agree(found: jm.RestingStates, current, p: Cell) -> None:
    cells = found.count.size
    for i in range(cells):
        expected = roots(current, p, i)
        assert found.count[i] == expected.size
        assert found.status[i] == (jm.Status.OK if expected.size else jm.Status.NO_STEADY_STATE)
        np.testing.assert_allclose(found.v[: expected.size, i], expected, rtol=0, atol=1e-9)
        assert np.isnan(found.v[expected.size :, i]).all() and np.isnan(found.slope[expected.size :, i]).all()
        assert (found.stability[expected.size :, i] == jm.Stability.UNKNOWN).all()


@pytest.fixture(scope="module")
def axons() -> tuple[jm.Membrane, Cell, jm.RestingStates]:
    """Squid axons of a strong window current, from quiet over firing to blocked; many have three rests."""
    random = np.random.default_rng(5)
    spread = lambda middle, sd: middle * np.exp(sd * random.standard_normal(300))
    cells, p = squids(
        sodium_g=spread(120, 0.4), potassium_g=spread(4, 1.2), leak_g=spread(0.3, 0.5),
        leak_e=-65 + 15 * random.standard_normal(300),
    )  # fmt: skip
    return cells, p, jm.all_resting_states(cells)


@pytest.fixture(scope="module")
def rectified() -> tuple[jm.Membrane, dict, jm.RestingStates]:
    random = np.random.default_rng(6)
    p = RECTIFYING | {
        "kir.g": 0.4 * np.exp(0.5 * random.standard_normal(400)), "kir.half": -75 + 5 * random.standard_normal(400),
        "kir.bias": random.uniform(-2.0, 3.0, 400), "leak.g": 0.02 * np.exp(0.5 * random.standard_normal(400)),
    }  # fmt: skip
    cells = rectifying().with_parameters(p)
    return cells, p, jm.all_resting_states(cells)


def test_every_rest_of_squid_axons_with_a_window_current(axons) -> None:
    _, p, found = axons
    assert (found.count == 3).sum() > 20 and (found.count == 1).sum() > 20
    agree(found, squid_current, p)


def test_every_rest_of_cells_with_an_inward_rectifier(rectified) -> None:
    _, p, found = rectified
    assert (found.count == 3).sum() > 40 and (found.count == 1).sum() > 40 and (found.count == 0).sum() > 3
    agree(found, rectifier_current, p)


@pytest.mark.slow
def test_every_rest_of_pumped_neurons() -> None:
    """Against what the membrane itself says of d/dt at steady gates, on a grid of 0.02 mV and by halving."""
    random = np.random.default_rng(7)
    cell, n = jm.presets.pumped_neuron(), 200
    own = cell.parameters()
    paths = ("sodium.g", "potassium.g", "na_leak.g", "k_leak.g", "cl_leak.g", "pump.i_max")
    cells = cell.with_parameters({p: own[p].value * np.exp(0.8 * random.standard_normal(n)) for p in paths})

    @jax.jit
    def change(v: jax.Array) -> jax.Array:
        state = cells.initial_state(v)
        return cells.derivative(jm.Point(v, state.states, state.book)).v

    grid = np.arange(-120.0, 60.01, 0.02)
    rising = np.stack([np.asarray(change(jnp.full(n, v))) > 0 for v in grid])
    found = jm.all_resting_states(cells)
    place, which = np.nonzero(rising[1:] != rising[:-1])
    assert np.array_equal(found.count, np.bincount(which, minlength=n)) and (found.count == 3).sum() > 5
    order = np.lexsort((place, which))
    slot = np.concatenate([np.arange(k) for k in found.count])
    low, high = np.full((5, n), np.nan), np.full((5, n), np.nan)
    low[slot, which[order]], high[slot, which[order]] = grid[place[order]], grid[place[order] + 1]
    for k in range(5):
        there, a, b = ~np.isnan(low[k]), low[k], high[k]
        sense = np.asarray(change(jnp.asarray(np.where(there, a, 0.0)))) > 0
        for _ in range(60):
            middle = 0.5 * (a + b)
            before = (np.asarray(change(jnp.asarray(np.where(there, middle, 0.0)))) > 0) == sense
            a, b = np.where(before, middle, a), np.where(before, b, middle)
        np.testing.assert_allclose(found.v[k], 0.5 * (a + b), rtol=0, atol=1e-9)


def test_two_rests_about_to_meet_are_both_found() -> None:
    """A hair on this side of a fold, wherever it lies within the grid: v* +- sqrt(2 delta/I''). Beyond it: neither."""
    half = np.linspace(-76.0, -74.0, 101)
    delta = np.tile([1e-4, 1e-6, 1e-8, -1e-8, -1e-6], 21)[:101]
    base = RECTIFYING | {"kir.half": half}
    slope = lambda v, p: by_complex_steps(lambda x: rectifier_current(x, p), v)
    one = [RECTIFYING | {"kir.half": x} for x in half]
    for sign, bracket in ((-1, (-60.0, -30.0)), (1, (-85.0, -70.0))):  # the minimum and the maximum of the current
        bend = np.array([brentq(slope, *bracket, args=(p,), xtol=1e-13) for p in one])
        curvature = np.array([(slope(v + 1e-3, p) - slope(v - 1e-3, p)) / 2e-3 for v, p in zip(bend, one, strict=True)])
        assert (sign * curvature < 0).all()
        bias = rectifier_current(bend, base) - sign * delta
        found = jm.all_resting_states(rectifying(kir_half=half, kir_bias=bias))
        third = int(sign < 0)  # that of the maximum lies above 60 mV
        assert np.array_equal(found.count, third + np.where(delta > 0, 2, 0))
        pair = found.v[:2] if sign > 0 else found.v[1:3]
        apart = np.sqrt(2 * delta[delta > 0] / np.abs(curvature[delta > 0]))
        expected = bend[delta > 0] + apart * np.array([[-1], [1]])
        np.testing.assert_allclose(pair[:, delta > 0], expected, rtol=0, atol=0.02 * apart.max())
        np.testing.assert_allclose((pair[1] - pair[0])[delta > 0], 2 * apart, rtol=1e-3)


def test_slopes_are_those_of_the_current(axons, rectified) -> None:
    for current, (_, p, found) in ((squid_current, axons), (rectifier_current, rectified)):
        with np.errstate(invalid="ignore"):
            expected = by_complex_steps(lambda v, current=current, p=p: current(v, p), found.v)
        there = ~np.isnan(found.v)
        np.testing.assert_allclose(found.slope[there], expected[there], rtol=1e-8, atol=1e-10)


def test_stability_is_that_of_the_eigenvalues(axons, rectified) -> None:
    """Three rests: the middle one is a saddle. One of the squid's is a node, a focus, or beyond Hopf."""
    _, p, found = axons
    for i in range(0, 300, 3):
        mine = {path: x[i] for path, x in p.items()}
        expected = by_eigenvalues(np.stack([squid_eigenvalues(v, mine) for v in found.v[: found.count[i], i]]))
        assert np.array_equal(found.stability[: found.count[i], i], expected)
    assert {int(x) for x in found.stability[0]} >= {0, 1, 2}
    three = found.count == 3
    assert (found.slope[1, three] < 0).all() and (found.stability[1, three] == jm.Stability.UNSTABLE).all()
    _, _, found = rectified
    there = ~np.isnan(found.v)
    assert np.array_equal(found.stability[there], np.where(found.slope[there] > 0, 0, 2))


def test_the_squid_loses_its_stability_where_its_eigenvalues_cross() -> None:
    """A steady current (as leak.e) makes it fire: a Hopf point between two neighbours, though the slope stays positive."""
    cells, p = squids(leak_e=np.linspace(-60.0, 60.0, 121))
    found = jm.all_resting_states(cells)
    assert (found.count == 1).all() and (found.slope[0] > 0).all()
    grows = lambda e: squid_eigenvalues(roots(squid_current, {k: x[:1] for k, x in p.items()} | {"leak.e": e}, 0)[0],
                                        {k: x[0] for k, x in p.items()} | {"leak.e": e}).real.max()  # fmt: skip
    growing = np.array([grows(e) for e in p["leak.e"]]) > 0
    assert growing.any() and not growing.all()
    assert np.array_equal(found.stability[0] == jm.Stability.UNSTABLE, growing)


# ---------------------------------------------------------------------- derivatives
def some_cells(**more: jax.Array) -> jm.Membrane:
    """Three rests, one at either end, none at all, a number that is not finite."""
    cells = rectifying(kir_bias=jnp.array([0.6, -0.5, -1.5, 90.0, 0.6]), **more)
    return replaced(cells, {"kir.half": jnp.array([-75.0, -75.0, -75.0, -75.0, jnp.nan])})


NUMBERS = jnp.array([0.4, 7.0, 0.02, -20.0])  # shared by all cells


def with_numbers(x: jax.Array) -> jm.Membrane:
    return some_cells(kir_g=x[0], kir_slope=x[1], leak_g=x[2], leak_e=x[3])


def resting(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """All v and slopes that there are, zeros for the others."""
    found = jm.all_resting_states(with_numbers(x))
    full = lambda y: jnp.where(jnp.isnan(y), 0.0, y)
    return full(found.v), full(found.slope)


def test_derivatives_are_those_of_differences_and_empty_slots_do_not_spoil_them() -> None:
    weighted = lambda x: sum((y * jnp.arange(1, 26).reshape(5, 5)).sum() for y in resting(x))
    concrete = lambda x: np.concatenate([np.asarray(y).ravel() for y in resting(np.asarray(x))])
    weights = np.tile(np.arange(1, 26), 2)
    h = 1e-4 * np.asarray(NUMBERS)
    steps = np.eye(4) * h
    rows = [(8 * (concrete(NUMBERS + s) - concrete(NUMBERS - s)) - concrete(NUMBERS + 2 * s) + concrete(NUMBERS - 2 * s)) / 12
            for s in steps]  # fmt: skip
    expected = np.stack(rows) / h[:, None]
    program = jax.jit(jax.jacrev(resting))
    jacobian = lambda x: np.concatenate([x.reshape(25, 4) for x in program(x)])
    np.testing.assert_allclose(jacobian(NUMBERS).T, expected, rtol=1e-7, atol=1e-7)
    assert (np.abs(expected[:, [0, 1, 2, 5, 10]]) > 0).all()  # three rests, one, one
    gradient, second = jax.jit(lambda x: (jax.grad(weighted)(x), jax.hessian(weighted)(x)))(NUMBERS)
    np.testing.assert_allclose(gradient, expected @ weights, rtol=1e-7)
    rows = [weights @ (jacobian(NUMBERS + s) - jacobian(NUMBERS - s)) for s in steps]
    differences = np.stack(rows) / (2 * h[:, None])
    np.testing.assert_allclose(second, differences, rtol=1e-4, atol=1e-6 * np.abs(differences).max())
    np.testing.assert_allclose(second, second.T, rtol=1e-9)


def test_traced_and_concrete_numbers_agree() -> None:
    outside = jm.all_resting_states(with_numbers(np.asarray(NUMBERS)))
    inside = jax.jit(lambda x: jm.all_resting_states(with_numbers(x)))(NUMBERS)
    for field in dataclasses.fields(jm.RestingStates):
        np.testing.assert_allclose(getattr(inside, field.name), getattr(outside, field.name), rtol=1e-12, atol=1e-12)
    rests, none, broken = jm.Status.OK, jm.Status.NO_STEADY_STATE, jm.Status.NOT_FINITE
    assert outside.status.tolist() == [rests, rests, rests, none, broken]
    assert outside.count.tolist()[:4] == [3, 1, 1, 0] and np.isnan(outside.v[:, 3:]).all()


# ---------------------------------------------------------------------- precision, shapes, population
def test_float32_is_within_a_ten_thousandth_of_a_millivolt(rectified) -> None:
    """Wherever the slope says that a rest is well defined; near a fold no float32 can know."""
    cells, _, wide = rectified
    narrow = jm.all_resting_states(cells, precision="float32")
    assert narrow.v.dtype == np.float32 and narrow.slope.dtype == np.float32
    clear = ~(np.abs(wide.slope) < 0.005).any(0)
    assert clear.sum() > 200
    assert np.array_equal(narrow.count[clear], wide.count[clear])
    np.testing.assert_allclose(narrow.v[:, clear], wide.v[:, clear], rtol=0, atol=1e-4)
    assert np.array_equal(narrow.stability[:, clear], wide.stability[:, clear])


def test_numbers_of_a_cell_do_not_depend_on_the_others(axons, rectified) -> None:
    """To the bit: one that has arrived waits for those that have not."""
    cells, _, together = axons
    for part in (slice(0, 1), slice(7, 8), slice(100, 300)):
        alone = jm.all_resting_states(cells[part])
        for field in dataclasses.fields(alone):
            assert np.array_equal(getattr(alone, field.name), getattr(together, field.name)[..., part], equal_nan=True)
    cells, _, together = rectified
    more = jm.all_resting_states(jm.concatenate([cells, cells[:250]]))  # more than a block
    assert np.array_equal(more.v[:, :400], together.v, equal_nan=True)
    assert np.array_equal(more.v[:, 400:], together.v[:, :250], equal_nan=True)


def test_shapes_are_those_of_the_membrane() -> None:
    one = jm.all_resting_states(rectifying(kir_bias=0.6))
    assert one.v.shape == (5,) and one.count.shape == () and one.count == 3
    grid = jm.all_resting_states(
        rectifying(kir_bias=np.array([[0.6] * 3, [-0.5] * 3]), leak_g=np.array([0.02, 0.02, 0.021]))
    )
    assert grid.v.shape == (5, 2, 3) and grid.status.shape == (2, 3)
    np.testing.assert_allclose(grid.v[:, 0, 0], one.v, rtol=0, atol=1e-11)
    assert grid.count[:, :2].tolist() == [[3, 3], [1, 1]]


def test_the_range_is_what_was_asked_for(rectified) -> None:
    cells, _, whole = rectified
    part = jm.all_resting_states(cells, low=-70.0, high=-29.5)
    with np.errstate(invalid="ignore"):
        within = (whole.v > -70.0) & (whole.v < -29.5)
    assert np.array_equal(part.count, within.sum(0)) and (part.count == 0).any()
    assert np.array_equal(part.status == jm.Status.NO_STEADY_STATE, part.count == 0)
    np.testing.assert_allclose(np.sort(np.where(within, whole.v, np.nan), 0), part.v, rtol=0, atol=1e-9)


# ---------------------------------------------------------------------- what is refused
class Coupled(jm.Mechanism):
    """A state whose rates depend on itself."""

    def kinetics(self, v: jax.Array, states: States, env: jm.Environment) -> dict[str, jm.Linear]:
        return {"x": jm.Linear(1.0, 1.0 + states["x"])}

    def initial(self, v: jax.Array, env: jm.Environment) -> States:
        return {"x": jnp.full_like(v, 0.5)}


def test_what_cannot_be_answered_is_refused_with_a_reason() -> None:
    cell = rectifying()
    with pytest.raises(
        ValueError, match=r"states of ring depend on each other; resting_state\(membrane\) finds its rest"
    ):
        jm.all_resting_states(cell.with_mechanisms({"ring": Coupled()}))
    with pytest.raises(ValueError, match="low below high; 20 to -30 mV is no such range"):
        jm.all_resting_states(cell, low=20.0, high=-30.0)
    for low, high in ((-30.0, -30.0), (-np.inf, 0.0), (-80.0, np.inf), (np.nan, 0.0)):
        with pytest.raises(ValueError, match="low and high are finite"):
            jm.all_resting_states(cell, low=low, high=high)
    with pytest.raises(ValueError, match="'float32' or 'float64', not 'float16'"):
        jm.all_resting_states(cell, precision="float16")
    with pytest.raises(ValueError, match=r"leak\.g"):
        jm.all_resting_states(cell.with_parameters({"leak.g": np.array([0.1, 0.2])}).with_parameters({"leak.g": -1.0}))
