"""Markov schemes over a step: against the matrix exponential, at rest, beside fast rates, within 0 and 1."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import steps_down
from scipy.linalg import expm

import jaxmem as jm
from jaxmem.engine.schemes import redistribute

NAMES = "abcdef"
Edges = list[tuple[tuple[str, str], tuple[Any, Any]]]
TRIANGLE: Edges = [(("a", "b"), (215.0, 20.0)), (("b", "c"), (3.0, 50.0)), (("c", "a"), (90.0, 0.5))]


class Cycle(jm.Mechanism):
    """Three states in a ring that turns; one of them carries a current."""

    g: jm.Number = jm.parameter("mS/cm^2", "conductance of b", default=0.1)
    fast: jm.Number = jm.parameter("1/ms", "from a to b", default=215.0)

    def kinetics(self, v: jax.Array, states: Any, env: Any) -> dict[str, jm.Scheme]:
        edges = dict(TRIANGLE) | {("a", "b"): (self.fast, 20.0)}
        return {"ring": jm.Scheme(edges)}

    def fluxes(self, v: jax.Array, states: Any, env: Any) -> dict[str, jm.Current]:
        g = self.g * states["b"]
        return {"k": jm.Current(g * (v + 80.0), g)}


def membrane(**cycle: Any) -> jm.Membrane:
    """A ring and a leak."""
    return jm.Membrane(
        {"cycle": Cycle(**cycle), "leak": jm.Leak(g=0.1, e=-60.0)}, {"k": jm.Species(140.0, 5.0)}, initial_v=-70.0
    )


def matrix(edges: Edges, n: int) -> np.ndarray:
    q = np.zeros((n, n))
    for (a, b), (forward, backward) in edges:
        i, j = NAMES.index(a), NAMES.index(b)
        q[[i, j, j, i], [i, i, j, j]] += -forward, forward, -backward, backward
    return q


def null_space(edges: Edges, n: int) -> np.ndarray:
    q = matrix(edges, n)
    q[-1] = 1.0
    return np.linalg.solve(q, np.eye(n)[-1])


def random_edges(rng: np.random.Generator, n: int, high: float) -> Edges:
    """A ring with chords, one pair of states twice, named from either side; detailed balance does not hold."""
    pairs = [(k, (k + 1) % n) for k in range(n)] + [(2, 0), (n - 1, 1)]
    rate = lambda: float(np.exp(rng.uniform(np.log(0.05), np.log(high))))
    return [((NAMES[i], NAMES[j]), (rate(), rate())) for i, j in pairs]


def stepped(edges: Edges, n: int, dt: float, dtype: Any = np.float64) -> np.ndarray:
    """The matrix of a step, without what keeps occupancies in bounds."""
    x = {name: jnp.asarray(row, dtype) for name, row in zip(NAMES, np.eye(n), strict=False)}
    edges = [(pair, (dtype(f), dtype(b))) for pair, (f, b) in edges]
    return np.array([redistribute(x, edges, dtype(dt), within=False)[name] for name in NAMES[:n]], np.float64)


@pytest.mark.parametrize("n", [3, 4, 6])
def test_a_step_is_the_exponential_to_third_order(n: int) -> None:
    rng = np.random.default_rng(n)
    for _ in range(3):
        edges = random_edges(rng, n, 8.0)
        true = expm(0.4 * matrix(edges, n))
        error = [np.abs(np.linalg.matrix_power(stepped(edges, n, 0.4 / k), k) - true).max() for k in (16, 32)]
        assert error[1] < 1e-4 and error[0] / error[1] > 6.0


def test_slow_changes_are_right_beside_fast_ones() -> None:
    """Rates up to 40/dt: what is left after the first steps relaxes as it should, which a sweep over pairs gets wrong."""
    rng, worst = np.random.default_rng(1), 0.0
    for _ in range(20):
        edges = random_edges(rng, 6, 1000.0)
        step = np.linalg.matrix_power(stepped(edges, 6, 0.04), 25)
        worst = max(worst, np.abs(step - expm(matrix(edges, 6))).max())
    assert worst < 1e-3


@pytest.mark.parametrize(("precision", "limit"), [("float64", 1e-12), ("float32", 2e-6)])
def test_a_cycle_stands_at_its_exact_stationary_state(precision: str, limit: float) -> None:
    """A rate of 215/ms at dt 0.025 ms, detailed balance broken: where the chain is at rest, from there and from elsewhere."""
    true = null_space(TRIANGLE, 3)
    assert abs(215.0 * true[0] - 20.0 * true[1]) > 1.0  # it turns
    cell = membrane()
    states = {"cycle": {s: np.array([x, 1.0 * (s == "c")]) for s, x in zip("abc", true, strict=True)}}
    start = cell.initial_state(np.full(2, -70.0), states, dtype=precision)
    end = jm.simulate(cell, 50.0, dt=0.025, initial=start, precision=precision).final_state
    for s, x in zip("abc", true, strict=True):
        np.testing.assert_allclose(end.states["cycle"][s], x, rtol=limit, atol=0)


def test_a_rest_with_a_cycle_does_not_drift() -> None:
    cell = membrane()
    rest = jm.resting_state(cell)
    sim = jm.simulate(cell, 100.0, dt=0.025, initial=rest.state, record=jm.Record("v", 1.0))
    assert np.abs(sim.traces["v"] - float(rest.v)).max() < 1e-9


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_occupancies_keep_their_sum_and_their_bounds(dtype: Any) -> None:
    """Whatever the rates; without the bounds they leave them far above 1/dt, by some hundredths and for a step or two."""
    rng, lowest = np.random.default_rng(2), 0.0
    program = jax.jit(lambda x, rates, dt: redistribute(x, [(p, r) for p, r in zip(pairs, rates, strict=True)], dt))
    pairs = [pair for pair, _ in random_edges(rng, 6, 1.0)]
    for high in (10.0, 1e3, 1e5):
        all_of = [random_edges(rng, 6, high) for _ in range(30)]
        rates = [tuple(np.array([e[k][1][way] for e in all_of], dtype)[:, None] for way in (0, 1)) for k in range(8)]
        x = {
            name: jnp.asarray(np.broadcast_to(row, (30, 6)), dtype) for name, row in zip(NAMES, np.eye(6), strict=True)
        }
        lowest = min(lowest, min(stepped(e, 6, 0.025).min() for e in all_of[:10])) if dtype is np.float64 else lowest
        for _ in range(4):
            x = program(x, rates, dtype(0.025))
            values = np.array([x[name] for name in NAMES])
            assert values.min() >= 0
            np.testing.assert_allclose(values.sum(0), 1.0, rtol=(20 + 0.025 * high) * np.finfo(dtype).eps)
    assert lowest > -0.03


def test_amounts_scale_and_nothing_stays_nothing() -> None:
    x = {name: jnp.array([0.0, 1.0, 7.0]) * k for name, k in zip("abc", (0.5, 0.3, 0.2), strict=True)}
    after = redistribute(x, TRIANGLE, 0.025)
    for y in after.values():
        np.testing.assert_allclose(y, np.array([0.0, 1.0, 7.0]) * float(y[1]), rtol=1e-14)


def test_schemes_in_pieces_and_states_that_are_never_left() -> None:
    """No stationary state is asked for, so there need not be one: two pairs apart; a state that is only entered."""
    apart: Edges = [(("a", "b"), (300.0, 100.0)), (("c", "d"), (1.0, 1.0))]
    x = {name: jnp.asarray(k) for name, k in zip("abcd", (0.4, 0.0, 0.6, 0.0), strict=True)}
    for _ in range(100):
        x = redistribute(x, apart, 0.1)
    np.testing.assert_allclose([x[s] for s in "abcd"], [0.1, 0.3, 0.3, 0.3], atol=1e-7)

    def left(rate: Any) -> Any:
        y = {"a": jnp.asarray(1.0), "b": jnp.asarray(0.0)}
        for _ in range(20):
            y = redistribute(y, [(("a", "b"), (rate, 0.0))], 0.05)
        return y["a"]

    assert float(left(2.0)) == pytest.approx(np.exp(-2.0), rel=1e-5)
    assert float(jax.grad(left)(0.0)) == pytest.approx(-1.0, rel=1e-5)


@pytest.mark.slow
def test_gradients_agree_with_differences() -> None:
    fast = 215.0

    def last(x: Any) -> Any:
        cell = membrane(fast=x)
        return jm.integrate(cell, cell.initial_state(-50.0), steps=40, dt=0.025).final_state.v

    last = jax.jit(last)
    np.testing.assert_allclose(jax.jit(jax.grad(last))(fast), steps_down(last, fast, 1e-3 * fast), rtol=1e-6)


def test_a_cell_alone_and_among_seven_and_in_pieces_has_the_same_bits() -> None:
    g = np.linspace(0.05, 0.2, 7)
    many = jm.simulate(membrane(g=g, fast=100 * g), 10.0, dt=0.025).final_state
    alone = membrane(g=g, fast=100 * g)[3]
    one = None
    for steps in (13, 1, 386):
        one = jm.simulate(alone, steps * 0.025, dt=0.025, initial=one).final_state
    assert np.asarray(one.v) == np.asarray(many.v)[3]
    for s in "abc":
        assert np.asarray(one.states["cycle"][s]) == np.asarray(many.states["cycle"][s])[3]


def test_a_bad_scheme_is_quarantined() -> None:
    cells = membrane(fast=np.array([215.0, np.inf, 5.0]))
    start = membrane(fast=np.array([215.0, 5.0, 5.0])).initial_state()
    sim = jm.simulate(cells, 2.0, dt=0.025, initial=start)
    assert sim.status.tolist() == [jm.Status.OK, jm.Status.NOT_FINITE, jm.Status.OK]
