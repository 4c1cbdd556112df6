"""check_mechanism: what is shipped passes, and each thing that can be broken is found and named."""

import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from specimens import MECHANISMS

import jaxmem as jm
from jaxmem.electrochemistry import exprel_inverse
from jaxmem.testing import MechanismError, check_mechanism

ONE_OF_EACH = (
    "leak_fixed",
    "ghk_calcium",
    "hh_sodium",
    "hh_potassium",
    "tm_sodium",
    "tm_potassium",
    "wb_sodium",
    "wb_potassium",
    "hd_channels",
    "hh_sodium_states",
    "hh_potassium_states",
    "bath",
    "pump_voltage_atp",
    "pump_sigmoid",
    "pump_cycle",
)
QUICK = ("ghk_calcium", "hh_sodium")
SLOW = pytest.mark.slow  # each is quick, all together are not
FEW = {"v": (-55.0, -35.0)}


def test_every_class_that_is_shipped_is_looked_at() -> None:
    assert {type(MECHANISMS[name]) for name in ONE_OF_EACH} == {type(m) for m in MECHANISMS.values()}


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ONE_OF_EACH]
)
def test_what_is_shipped_passes(name: str) -> None:
    report = check_mechanism(MECHANISMS[name], v=(-80.0, 20.0))
    assert report.points > 15_000 and report.slope_error < 1e-9 and report.gradient_error < 1e-6
    assert 0 < report.precision_gap < 1e-3 and report.mechanism in str(report)
    assert set(report.parameters) == {p.removeprefix("it.") for p in parameters_of(MECHANISMS[name])}


def parameters_of(mechanism: jm.Mechanism) -> set[str]:
    return {p for p in jm.Membrane({"it": mechanism}, {}).parameters() if p.startswith("it.")}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MECHANISMS if name not in ONE_OF_EACH])
def test_its_variants_pass(name: str) -> None:
    check_mechanism(MECHANISMS[name])


# ---------------------------------------------------------------------- broken ones
class Good(jm.Mechanism):
    """A delayed rectifier, with a place for each fault."""

    g: jm.Number = jm.parameter("mS/cm^2", "maximal conductance", default=3.0, minimum=0.0)
    v_half: jm.Number = jm.parameter("mV", "voltage of the singularity", default=-40.0)
    fault: str = eqx.field(static=True, default="")

    def opening(self, v):
        u = (v - self.v_half) / 10
        if self.fault == "singular":
            return -0.1 * u / (jnp.exp(-u) - 1)
        if self.fault == "half guarded":  # right in value, NaN in its derivative
            return jnp.where(u == 0, 0.1, -0.1 * u / (jnp.exp(-u) - 1))
        if self.fault == "cut out":  # finite everywhere, but a hole in the derivative
            near = jnp.abs(u) < 1e-5
            return jnp.where(near, 0.1, -0.1 * jnp.where(near, 1.0, u) / (jnp.exp(-jnp.where(near, 1.0, u)) - 1))
        if self.fault == "jump":
            return jnp.where(v < -50, 0.1, 0.2) * exprel_inverse(-u)
        return 0.1 * exprel_inverse(-u)

    def kinetics(self, v, states, env):
        opening = self.opening(v)
        if self.fault == "negative":
            opening = opening - 0.05
        if self.fault == "company":
            opening = opening * (1 + 0.01 * jnp.mean(v))
        if self.fault == "promotes":
            opening = opening * np.float64(1.0)
        if self.fault == "stopped":
            opening = 0.1 * exprel_inverse(-(v - jax.lax.stop_gradient(self.v_half)) / 10)
        name = "q" if self.fault == "name" else "n"
        return {name: jm.Rates(opening, 0.125 * jnp.exp(-(v + 65) / 80))}

    def fluxes(self, v, states, env):
        if self.fault == "shape":
            return {"k": jm.Current(jnp.sum(self.g * states["n"] * v, keepdims=True) * jnp.ones((2, 1)), 0.0)}
        n = 0.5 if self.fault == "unused" else states["n"]
        root = jnp.sqrt(n) ** 2 if self.fault == "root" else n
        g = self.g * root
        e = env.e["zn" if self.fault == "species" else "k"]
        sign = -1 if self.fault == "sign" else 1
        return {"k": jm.Current(sign * g * (v - e), sign * (2 * g if self.fault == "slope" else g))}


class WithReversal(Good):
    """Its e is not where its current vanishes."""

    e: jm.Number = jm.parameter("mV", "reversal potential", default=-90.0)

    def fluxes(self, v, states, env):
        g = self.g * states["n"]
        return {"k": jm.Current(g * (v + 80), g)}


class WrongUnit(Good):
    """A unit that nobody knows."""

    tau: jm.Number = jm.parameter("mS/cm2/furlong", "conductance per distance", default=1.0)


class ThreeStates(jm.Mechanism):
    """A scheme whose start does not sum to 1, or a good one."""

    good: bool = eqx.field(static=True, default=True)
    g: jm.Number = jm.parameter("mS/cm^2", "conductance", default=1.0)

    def kinetics(self, v, states, env):
        up, down = jnp.exp((v + 40) / 20), jnp.exp(-(v + 40) / 20)
        return {"gate": jm.Scheme({("c", "o"): (up, down), ("o", "i"): (0.1, 0.02 * down)})}

    def fluxes(self, v, states, env):
        g = self.g * states["o"]
        return {"na": jm.Current(g * (v - env.e["na"]), g)}

    def initial(self, v, env):
        rest = super().initial(v, env)
        return rest if self.good else rest | {"i": 0.5 + 0 * v}


class Synapse(jm.Mechanism):
    """A conductance that a spike adds to; told wrongly it also adds to cells that were quiet."""

    wrong: bool = eqx.field(static=True, default=False)
    tau: jm.Number = jm.parameter("ms", "time constant", default=5.0, positive=True)

    def kinetics(self, v, states, env):
        return {"s": jm.Linear(gain=0.0, rate=1 / self.tau)}

    def fluxes(self, v, states, env):
        return {"nonspecific": jm.Current(states["s"] * v, states["s"])}

    def events(self, spiked, states):
        return {"s": states["s"] + (1.0 if self.wrong else jnp.where(spiked, 1.0, 0.0).astype(states["s"].dtype))}


class Tabulated(Good):
    """Numbers that are no parameters, in a field that the engine takes for numbers of cells."""

    table: np.ndarray = eqx.field(default_factory=lambda: np.array([1.0, 2.0]))

    def opening(self, v):
        return super().opening(v) * self.table[1]


@pytest.mark.parametrize("mechanism", [Good(v_half=-41.234567), ThreeStates(), pytest.param(Synapse(), marks=SLOW)])
def test_what_is_right_passes(mechanism: jm.Mechanism) -> None:
    check_mechanism(mechanism, **FEW)


@pytest.mark.parametrize(
    ("mechanism", "expected"),
    [
        (Good(fault="slope"), "the slope of 'k' is"),
        (Good(fault="singular"), "the opening rate of 'n' is nan in float64 at v = -40 mV"),
        pytest.param(
            Good(fault="singular", v_half=-41.234567),
            "the opening rate of 'n' is nan in float64 at v = -41.234567 mV",
            marks=SLOW,
        ),
        (Good(fault="half guarded"), "the derivative of the opening rate of 'n' with respect to v is nan in float64"),
        pytest.param(
            Good(fault="cut out"),
            "the derivative with respect to v of the opening rate of 'n' is 0 in float64, but",
            marks=SLOW,
        ),
        pytest.param(Good(fault="jump"), "the opening rate of 'n' is", marks=SLOW),
        (Good(fault="negative"), "the opening rate of 'n' is negative: -0."),
        pytest.param(
            Good(fault="root"), "the derivative of the current of 'k' with respect to the state 'n' is nan", marks=SLOW
        ),
        (Good(fault="promotes"), "the opening rate of 'n' is float64 where everything given is float32"),
        pytest.param(
            Good(fault="company"), "the opening rate of 'n' of a cell depends on the other cells in float64", marks=SLOW
        ),
        (
            Good(fault="stopped"),
            "the derivative of the opening rate of 'n' with respect to v_half is 0, but a difference",
        ),
        (Good(fault="name"), "asks for 'n', which is neither a state that initial() names"),
        (Good(fault="species"), "asks for 'zn', which is neither a state that initial() names"),
        (Good(fault="unused"), "the state 'n' is computed and never used"),
        (Good(fault="shape"), "the current of 'k' has the shape (2, 1) for voltages of shape (3,)"),
        pytest.param(Good(fault="sign"), "uA/cm^2 (outward positive), but its reversal potential is", marks=SLOW),
        pytest.param(WithReversal(), "at its reversal potential e = -90 mV, where it should be 0", marks=SLOW),
        (Tabulated(), "cannot be put into a membrane: IndexError"),
        (Good(g=np.ones(2)), "the parameter g is an array; give one number"),
        (WrongUnit(), "the parameter tau has the unit 'mS/cm2/furlong', which jaxmem.units does not know"),
        pytest.param(ThreeStates(good=False), "the initial states of the scheme 'gate' sum to", marks=SLOW),
        pytest.param(Synapse(wrong=True), "events() changes the state 's' of cells that did not spike", marks=SLOW),
    ],
)
def test_what_is_broken_is_named(mechanism: jm.Mechanism, expected: str) -> None:
    with pytest.raises(MechanismError) as caught:
        check_mechanism(mechanism, **FEW)
    assert any(expected in p for p in caught.value.problems), caught.value
    assert len(caught.value.problems) == len(set(caught.value.problems))


def test_everything_is_said_at_once() -> None:
    class Bad(Good):
        tau: jm.Number = jm.parameter("mS/furlong", "", default=1.0)

    with pytest.raises(AssertionError) as caught:
        check_mechanism(Bad(fault="slope"), **FEW)
    text = str(caught.value)
    assert all(
        part in text for part in ("furlong", "has no description", "the slope of 'k' is", "in float32", "in float64")
    )


@SLOW
def test_published_jumps_are_allowed_where_asked_for() -> None:
    check_mechanism(Good(fault="jump"), smooth=False, **FEW)


def test_other_species_can_be_given() -> None:
    zinc = jm.Species(1e-6, 0.01, valence=2)
    with pytest.raises(MechanismError, match="asks for 'zn'"):
        check_mechanism(jm.Leak(ion="zn"), **FEW)
    report = check_mechanism(jm.Leak(ion="zn"), species={"zn": zinc}, **FEW)
    assert report.currents == ("zn",)


def test_it_needs_no_x64_and_leaves_it_as_it_is() -> None:
    program = (
        "import jax, jaxmem as jm; jm.testing.check_mechanism(jm.Leak(), v=(-60, -40)); "
        "assert not jax.config.jax_enable_x64; print('float32' in str(jax.numpy.ones(1).dtype))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr
