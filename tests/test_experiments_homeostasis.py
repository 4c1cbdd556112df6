"""The experiment on two rests in a small size: it comes out, and is told where there is but one."""

import pytest
from test_experiments_ions import script

import jaxmem as jm

SMALL = {"interruptions": (3e3, 9e3), "duration": 10.5e3, "dt": 0.025, "step": 0.1, "rates": 11}


@pytest.mark.slow
def test_two_rests_and_what_lies_between() -> None:
    module = script("bistable_homeostasis")
    simulation, findings, curve = module.run(**SMALL)
    findings.check()
    assert set(curve["unstable"]) == {0, 1, 2, 3, 4}
    figure = module.draw(simulation, curve)
    assert all(ax.get_xlabel() and ax.get_title("left") for ax in figure.axes)


@pytest.mark.slow
def test_without_sodium_channels_there_is_one_rest() -> None:
    _, findings, curve = script("bistable_homeostasis").run(**SMALL, sodium=0.0)
    with pytest.raises(jm.FindingsError, match="K\\+ outside at the end after the longest"):
        findings.check()
    assert (curve["unstable"] == 0).all()
