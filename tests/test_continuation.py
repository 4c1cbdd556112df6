"""Curves of rests, folds and Hopf points against a cell whose bifurcations are known in closed form."""

import jax
import numpy as np
import pytest

import jaxmem as jm
from jaxmem.membrane.mechanism import Number, States


class Cubic(jm.Mechanism):
    """``i = k x (x^2/(3 s^2) - 1) + w - drive`` with x = v - middle, and a slow ``dw/dt = rate (b x - w)``.

    As R. FitzHugh (1961), Biophys J 1:445, doi:10.1016/S0006-3495(61)86902-6. At rest w = b x, so drive follows from v:
    folds at ``x^2 = s^2 (1 - b/k)``; the trace vanishes at ``x^2 = s^2 (1 - C rate/k)``, a Hopf point if b > C rate.
    """

    k: Number = jm.parameter("mS/cm^2", "steepness in the middle", default=0.5, minimum=0.0)
    s: Number = jm.parameter("mV", "half the distance of the extrema", default=15.0, positive=True)
    middle: Number = jm.parameter("mV", "where the cubic is centred", default=-40.0)
    b: Number = jm.parameter("mS/cm^2", "slow conductance", default=0.3, minimum=0.0)
    rate: Number = jm.parameter("1/ms", "of the slow current", default=0.01, positive=True)
    drive: Number = jm.parameter("uA/cm^2", "current that flows in", default=0.0)

    def kinetics(self, v: jax.Array, states: States, env: jm.Environment) -> dict[str, jm.Linear]:
        return {"w": jm.Linear(self.rate * self.b * (v - self.middle), self.rate)}

    def fluxes(self, v: jax.Array, states: States, env: jm.Environment) -> dict[str, jm.Current]:
        x = v - self.middle
        fast = self.k * x * (x * x / (3 * self.s**2) - 1)
        return {"nonspecific": jm.Current(fast + states["w"] - self.drive, self.k * (x * x / self.s**2 - 1))}


K, S, MIDDLE, C, LOW, HIGH = 0.5, 15.0, -40.0, 2.0, -12.0, 12.25
# folds and two Hopf points; folds and a neutral saddle (trace 0 of a saddle); Hopf points alone; nothing; no rest to begin
B = np.array([0.3, 0.1, 0.7, 0.7, 0.7])
RATE = np.array([0.01, 0.08, 0.1, 0.3, 0.1])
DRIVE = np.array([LOW, -5.0, -9.0, 2.0, 0.5])
V = np.array([-75.0, -70.0, -65.0, -40.0, -40.0])


def membrane(drive: np.ndarray = DRIVE, v: np.ndarray = V) -> jm.Membrane:
    cell = jm.Membrane({"cubic": Cubic()}, {"nonspecific": jm.Species()}, capacitance=C)
    return cell.with_parameters({"cubic.b": B, "cubic.rate": RATE, "cubic.drive": drive, "initial_v": v})


def drive_at(v: np.ndarray, cell: int) -> np.ndarray:
    x = v - MIDDLE
    return K * x * (x * x / (3 * S * S) - 1) + B[cell] * x


def jacobian(v: float, cell: int) -> np.ndarray:
    x = v - MIDDLE
    return np.array([[-K * (x * x / S**2 - 1) / C, -1 / C], [RATE[cell] * B[cell], -RATE[cell]]])


@pytest.fixture(scope="module")
def curves() -> jm.Continuation:
    return jm.continuation(membrane(), "cubic.drive", LOW, HIGH, attempts=120)


def points(curves: jm.Continuation, cell: int) -> tuple[np.ndarray, ...]:
    there = ~np.isnan(curves.v[:, cell])
    return tuple(x[there, cell] for x in (curves.parameter, curves.v, curves.growing, curves.stability))


def test_points_are_rests_and_both_edges_are_reached(curves) -> None:
    for cell in range(4):
        p, v, _, _ = points(curves, cell)
        np.testing.assert_allclose(p, drive_at(v, cell), rtol=0, atol=1e-9)
        assert (p[0], p[-1]) == (LOW, HIGH)
        assert np.abs(p - DRIVE[cell]).min() < 1e-13  # where it began
        assert (np.diff(v) > 0).all()  # this curve never turns back in v: in order, nothing twice
        assert curves.status[cell] == jm.Status.OK


def test_growing_modes_are_those_of_the_jacobian(curves) -> None:
    for cell in range(4):
        _, v, growing, stability = points(curves, cell)
        values = np.stack([np.linalg.eigvals(jacobian(x, cell)) for x in v])
        assert np.array_equal(growing, (values.real > 0).sum(-1))
        turns = (np.abs(values.imag) > 0).any(-1)
        assert np.array_equal(stability, np.where(growing > 0, 2, np.where(turns, 1, 0)))


def test_folds_are_where_the_cubic_turns(curves) -> None:
    for cell in (0, 1):
        x = S * np.sqrt(1 - B[cell] / K)
        folds = curves.of("fold", cell)
        np.testing.assert_allclose([f.v for f in folds], MIDDLE + np.array([-x, x]), rtol=0, atol=1e-7)
        expected = drive_at(MIDDLE + np.array([-x, x]), cell)
        np.testing.assert_allclose([f.parameter for f in folds], expected, rtol=0, atol=1e-12)
        assert all(f.frequency == 0 and f.cell == cell for f in folds)
    assert not curves.of("fold", 2) and not curves.of("fold", 3)


def test_hopf_points_are_where_the_trace_vanishes(curves) -> None:
    for cell in (0, 2):
        x = S * np.sqrt(1 - C * RATE[cell] / K)
        hopf = curves.of("hopf", cell)
        v = MIDDLE + np.array([-x, x])
        np.testing.assert_allclose([h.v for h in hopf], v, rtol=0, atol=1e-9)
        np.testing.assert_allclose([h.parameter for h in hopf], drive_at(v, cell), rtol=0, atol=1e-9)
        turning = np.sqrt(RATE[cell] * (B[cell] - C * RATE[cell]) / C)
        np.testing.assert_allclose([h.frequency for h in hopf], turning / (2 * np.pi) * 1000, rtol=1e-8)
        assert all(h.stable_side and h.cell == cell for h in hopf)


def test_a_neutral_saddle_is_no_hopf_point(curves) -> None:
    """Cell 1: the trace vanishes between its folds, where the determinant is negative. Cell 3: nothing happens."""
    x = S * np.sqrt(1 - C * RATE[1] / K)
    assert np.linalg.det(jacobian(MIDDLE + x, 1)) < 0 and abs(np.trace(jacobian(MIDDLE + x, 1))) < 1e-15
    assert not curves.of("hopf", 1) and len(curves.of("fold", 1)) == 2
    assert not curves.of("hopf", 3) and not curves.of("fold", 3)


def test_events_are_told_in_order_along_the_curve(curves) -> None:
    kinds = lambda cell: [b.kind for b in curves.bifurcations if b.cell == cell]
    assert kinds(0) == ["hopf", "fold", "fold", "hopf"]
    assert [kinds(i) for i in (1, 2, 3, 4)] == [["fold", "fold"], ["hopf", "hopf"], [], []]
    v = [b.v for b in curves.bifurcations if b.cell == 0]
    assert v == sorted(v)


def test_a_fold_has_a_stable_side_only_where_its_rest_is_stable_up_to_it(curves) -> None:
    """Cell 0 has lost its stability at a Hopf point before it folds, cell 1 folds from a node."""
    assert [f.stable_side for f in curves.of("fold", 0)] == [False, False]
    assert [f.stable_side for f in curves.of("fold", 1)] == [True, True]


def test_a_cell_without_a_rest_says_so(curves) -> None:
    """Cell 4 begins between its Hopf points, where its only rest is unstable."""
    assert curves.status.tolist() == [0, 0, 0, 0, jm.Status.NO_STEADY_STATE]
    assert np.isnan(curves.v[:, 4]).all() and np.isnan(curves.parameter[:, 4]).all()


def test_a_curve_alone_is_the_curve_in_a_population(curves) -> None:
    for cell in (0, 2):
        alone = jm.continuation(membrane()[cell : cell + 1], "cubic.drive", LOW, HIGH, attempts=120)
        for mine, theirs in zip(points(alone, 0), points(curves, cell), strict=True):
            assert np.array_equal(mine, theirs)
        ours = [b for b in curves.bifurcations if b.cell == cell]
        assert len(ours) == len(alone.bifurcations)
        for a, b in zip(alone.bifurcations, ours, strict=True):
            assert a.kind == b.kind
            np.testing.assert_allclose((a.parameter, a.v, a.frequency), (b.parameter, b.v, b.frequency), rtol=1e-9)


def test_resting_state_lies_on_the_stable_parts(curves) -> None:
    for take in (3, -4):
        at = [points(curves, i) for i in range(4)]
        drive, v = (np.array([x[k][take] for x in at] + [(LOW, -65.0)[k]]) for k in (0, 1))
        assert all(x[2][take] == 0 for x in at)
        rest = jm.resting_state(membrane(drive, v + 0.3))
        np.testing.assert_allclose(rest.v[:4], v[:4], rtol=0, atol=1e-8)


def test_attempts_that_run_out_are_told() -> None:
    short = jm.continuation(membrane(), "cubic.drive", LOW, HIGH, attempts=6)
    assert short.status.tolist() == [jm.Status.NOT_FOUND] * 4 + [jm.Status.NO_STEADY_STATE]
    assert short.v.shape[0] <= 13
    p, v, _, _ = points(short, 0)
    np.testing.assert_allclose(p, drive_at(v, 0), rtol=0, atol=1e-9)


def test_a_cell_without_an_axis_gets_a_curve_without_one() -> None:
    one = jm.Membrane({"cubic": Cubic(drive=-5.0)}, {"nonspecific": jm.Species()}, initial_v=-70.0)
    curve = jm.continuation(one, "cubic.drive", -6.0, -4.0, attempts=20)
    assert curve.v.ndim == 1 and curve.status.shape == () and curve.status == jm.Status.OK
    assert curve.path == "cubic.drive" and not curve.bifurcations


def test_what_cannot_be_followed_is_refused_with_a_reason() -> None:
    with pytest.raises(jm.PathError, match=r"cubic\.drive"):
        jm.continuation(membrane(), "cubic.driv", LOW, HIGH)
    with pytest.raises(
        ValueError, match=r"cubic\.drive is -12 to 2, which is not between -10 and 10; the curve begins"
    ):
        jm.continuation(membrane(), "cubic.drive", -10.0, 10.0)
    with pytest.raises(ValueError, match=r"cubic\.s is 15, which is not between 20 and 10"):
        jm.continuation(membrane(), "cubic.s", 20.0, 10.0)
