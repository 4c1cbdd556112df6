"""The neuron of the textbook figure."""

from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.presets.pumped_neuron import pumped_neuron


def textbook_neuron() -> Membrane:
    """The action potential of the textbook figure: rest -70, threshold -50, peak +30, undershoot below -80 mV.

    :func:`pumped_neuron` with g_Na 15, g_K 25 mS/cm^2, V_T -62 mV and a K+ leak of 0.05 mS/cm^2, chosen to give those four
    numbers (measured: rest -70.0, threshold -50.0, peak +30.3, undershoot -87.5 mV). Threshold by this protocol: the
    voltage is displaced at once from rest, gates as at rest; threshold is the least voltage, to 0.5 mV, from which the
    membrane goes on to a spike. Textbooks: e.g. E. R. Kandel et al. (2013), Principles of Neural Science, 5th ed., ch. 7.
    The Na+ leak and the pump are solved by :func:`jaxmem.balance`.
    """
    return pumped_neuron().with_parameters(
        {
            "sodium.g": 15.0,
            "sodium.v_t": -62.0,
            "potassium.g": 25.0,
            "potassium.v_t": -62.0,
            "k_leak.g": 0.05,
            "na_leak.g": 0.018392336913376137,
            "pump.i_max": 2.9902015419680086,
        }
    )
