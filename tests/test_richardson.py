"""Richardson's extrapolation: the squid's spike times, traces at second order made fourth, counts left alone."""

import numpy as np
import pytest

import jaxmem as jm


@pytest.mark.slow
def test_squid_spikes_within_three_microseconds():
    """dt 0.1 and 0.05 ms; each last crossing of 0 mV before a window's end is a first spike of a run that begins later."""
    squid = jm.presets.hodgkin_huxley_1952()
    how = {"stimulus": jm.ConstantCurrent(np.array([10.0, 10.0])), "measures": ["first_spike_time", "spike_count"]}
    pair = jm.richardson(squid, 100.0, dt=0.1, record=jm.Record("v", 1.0), **how)
    assert pair.agree.tolist() == [True, True] and pair.measures["spike_count"].tolist() == [7, 7]
    assert set(pair.measures) == {"first_spike_time", "spike_count"}
    first = pair.measures["first_spike_time"]
    assert abs(first - 1.900972).max() < 0.003 < abs(pair.fine.measures["first_spike_time"] - 1.900972).min()
    exact = jm.simulate(squid, 100.0, dt=0.1, integrator=jm.Adaptive(), stimulus=jm.ConstantCurrent(10.0))
    better, plain = (abs(x - exact.final_state.v).max() for x in (pair.final_v, pair.fine.final_state.v))
    assert better < 0.1 * plain


def test_where_counts_differ_the_fine_run_stands():
    """Just above threshold the coarse run may miss a spike: there nothing is extrapolated."""
    squid = jm.presets.hodgkin_huxley_1952()
    pair = jm.richardson(
        squid, 60.0, dt=0.1, stimulus=jm.ConstantCurrent(np.linspace(6.0, 12.0, 400)), measures=["final_v"]
    )
    assert pair.agree.any() and not pair.agree.all()
    assert set(pair.measures) == {"final_v"}
    other = ~pair.agree
    np.testing.assert_array_equal(pair.measures["final_v"][other], pair.fine.measures["final_v"][other])
    both = pair.agree
    assert np.mean(pair.measures["final_v"][both] != pair.fine.measures["final_v"][both]) > 0.99


@pytest.mark.slow
def test_goes_on_from_a_state_at_its_time():
    membrane = jm.presets.pump_leak()
    start = jm.simulate(membrane, 3.0, dt=0.1, stimulus=jm.StepCurrent(2.0, 1.0, 5.0)).final_state
    pair = jm.richardson(membrane, 7.0, dt=0.1, initial=start, stimulus=jm.StepCurrent(2.0, 1.0, 5.0))
    exact = jm.simulate(membrane, 10.0, dt=0.1, stimulus=jm.StepCurrent(2.0, 1.0, 5.0), integrator=jm.Adaptive())
    assert abs(pair.final_v - exact.final_state.v) < 1e-4 and pair.fine.start == 3.0


def test_refuses_what_has_no_order():
    with pytest.raises(ValueError, match="RungeKutta4"):
        jm.richardson(jm.presets.pump_leak(), 1.0, integrator=jm.RungeKutta4())
