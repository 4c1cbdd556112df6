"""The fast-spiking interneuron of 1996."""

from jaxmem.membrane.channels import Leak
from jaxmem.membrane.fast_spiking import WangBuzsakiPotassium, WangBuzsakiSodium
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.species import Species


def wang_buzsaki_1996() -> Membrane:
    """Fast-spiking hippocampal interneuron of Wang and Buzsaki (1996), which fires as slowly as one likes.

    J Neurosci 16:6402, doi:10.1523/JNEUROSCI.16-20-06402.1996: C 1 uF/cm^2, g 35, 9 and 0.1 mS/cm^2; fixed reversal
    potentials 55, -90 and -65 mV; rates times 5. Numbers as in public code of the model (ModelDB 26997).
    """
    return Membrane(
        mechanisms={
            "sodium": WangBuzsakiSodium(g=35.0, e=55.0),
            "potassium": WangBuzsakiPotassium(g=9.0, e=-90.0),
            "leak": Leak(g=0.1, e=-65.0, ion="nonspecific"),
        },
        species={"na": Species(), "k": Species(), "nonspecific": Species()},
        capacitance=1.0,
        celsius=37.0,
        initial_v=-65.0,
    )
