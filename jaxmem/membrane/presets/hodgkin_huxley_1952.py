"""The squid giant axon of 1952."""

from jaxmem.membrane.channels import HodgkinHuxleyPotassium, HodgkinHuxleySodium, Leak
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.species import Species


def hodgkin_huxley_1952() -> Membrane:
    """Squid giant axon of Hodgkin and Huxley (1952) at 6.3 degC, with fixed reversal potentials.

    J Physiol 117:500, doi:10.1113/jphysiol.1952.sp004764, table 3: C 1 uF/cm^2, g 120, 36 and 0.3 mS/cm^2; reversal
    potentials +115, -12 and +10.613 mV from a rest of -65 mV, i.e. 50, -77 and -54.387 mV (NEURON rounds the last to
    -54.3). With these numbers the axon rests at -64.996 mV.
    """
    return Membrane(
        mechanisms={
            "sodium": HodgkinHuxleySodium(g=120.0, e=50.0),
            "potassium": HodgkinHuxleyPotassium(g=36.0, e=-77.0),
            "leak": Leak(g=0.3, e=-54.387, q10_g_celsius=6.3, ion="nonspecific"),
        },
        species={"na": Species(), "k": Species(), "nonspecific": Species()},
        capacitance=1.0,
        celsius=6.3,
        initial_v=-65.0,
    )
