"""The neuron of the textbook figure."""

from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.presets.pumped_neuron import pumped_neuron


def textbook_neuron() -> Membrane:
    """The action potential of the textbook figure: rest -70, threshold near -50, peak +30, undershoot below -80 mV."""
    return pumped_neuron()
