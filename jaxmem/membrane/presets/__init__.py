"""Published membranes, a file each, every number with its source."""

import inspect
from collections.abc import Callable

from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import path_error
from jaxmem.membrane.presets.hodgkin_huxley_1952 import hodgkin_huxley_1952
from jaxmem.membrane.presets.hubel_dahlem_2014 import hubel_dahlem_2014
from jaxmem.membrane.presets.pump_leak import pump_leak, pump_leak_ghk
from jaxmem.membrane.presets.pumped_neuron import pumped_neuron
from jaxmem.membrane.presets.textbook_neuron import textbook_neuron
from jaxmem.membrane.presets.wang_buzsaki_1996 import wang_buzsaki_1996

_PRESETS: dict[str, Callable[[], Membrane]] = {
    f.__name__: f
    for f in (
        hodgkin_huxley_1952,
        hubel_dahlem_2014,
        pump_leak,
        pump_leak_ghk,
        pumped_neuron,
        textbook_neuron,
        wang_buzsaki_1996,
    )
}


def names() -> list[str]:
    """The names of all presets."""
    return list(_PRESETS)


def get(name: str) -> Membrane:
    """A preset by name; ValueError that names the nearest where there is none."""
    if name not in _PRESETS:
        raise path_error(name, names(), "preset")
    return _PRESETS[name]()


def description(name: str) -> str:
    """The first line of a preset's documentation."""
    return (inspect.getdoc(_PRESETS[name]) or "").splitlines()[0]
