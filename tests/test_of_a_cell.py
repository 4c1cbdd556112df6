"""Questions about a cell say at once, and in words, what they cannot be asked."""

import numpy as np
import pytest

import jaxmem as jm

CELL = jm.presets.pump_leak()
ASKED = {
    "rests": lambda membrane, **more: jm.questions.Rests(membrane, **more),
    "simulations": lambda membrane, **more: jm.questions.Simulations(membrane, 5.0, ("mean_v",), **more),
    "fits": lambda membrane, **more: jm.questions.Fits(
        membrane, free={"k_leak.g": (0.1, 1.0)}, targets={"resting_potential": -70.0}, **more
    ),
}


@pytest.mark.parametrize("kind", ASKED)
def test_it_is_about_one_cell(kind: str) -> None:
    ask = ASKED[kind]
    assert ask(CELL).whole_cell["capacitance"] == CELL.capacitance and ask(CELL).kind == kind
    with pytest.raises(ValueError, match=r"found the text 'pump_leak'; .* jm\.presets\.pump_leak\(\)"):
        ask("pump_leak")
    with pytest.raises(ValueError, match=r"found 7; a membrane is wanted"):
        ask(7)
    with pytest.raises(ValueError, match="without a cell axis"):
        ask(CELL.with_parameters({"k.outside": np.ones(3)}))
    with pytest.raises(ValueError, match="'float32' or 'float64', not 'double'"):
        ask(CELL, precision="double")


def test_what_became_of_it_is_in_its_own_words() -> None:
    words = {kind: ask(CELL).fates[0][0] for kind, ask in ASKED.items()}
    assert words == {"rests": "OK", "simulations": "OK", "fits": "CONVERGED"}


def test_names_are_looked_at_when_the_question_is_made() -> None:
    with pytest.raises(ValueError, match=r"keep: .* 'vv' here; did you mean 'v'"):
        jm.questions.Rests(CELL, keep=("vv",))
    with pytest.raises(ValueError, match=r"write \('v',\)"):
        jm.questions.Rests(CELL, keep="v")  # type: ignore[arg-type]
    with pytest.raises(jm.PathError, match="did you mean 'mean_v'"):
        jm.questions.Simulations(CELL, 5.0, ("mean_vv",))
    with pytest.raises(jm.PathError, match="did you mean 'resting_potential'"):
        jm.questions.Fits(CELL, free={"k_leak.g": (0.1, 1.0)}, targets={"resting_potentiall": -70.0})
