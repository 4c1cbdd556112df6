"""The neuron of 2014 that has two rests: its ions in order, or run down for good."""

from jaxmem import units
from jaxmem.membrane.channels import Leak
from jaxmem.membrane.geometry import AreaVolume
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.one_gate import HubelDahlemChannels
from jaxmem.membrane.pumps import SigmoidPump
from jaxmem.membrane.species import Side, Species, impermeant

RT_F = 26.64  # mV, of the paper's Nernst potentials


def hubel_dahlem_2014() -> Membrane:
    """Neuron with little space around it, bistable in its ions: physiological at -67 mV, starved of free energy at -23 mV.

    N. Huebel & M. A. Dahlem (2014), PLoS Comput Biol 10:e1003941, doi:10.1371/journal.pcbi.1003941, without glia and
    bath: all ions stay in the cell and the space around it. Bistable between pump rates of 1.07 and 28.7 uA/cm^2; the
    same dynamics in N. Huebel, E. Schoell & M. A. Dahlem (2014), PLoS Comput Biol 10:e1003551,
    doi:10.1371/journal.pcbi.1003551. Every number as in the authors' public code (ModelDB 167714): conductances,
    pump, capacitance, RT/F, volumes of 2160 and 720 um^3, and 922 um^2 of membrane, from its factor of current to
    concentration. The concentrations at the start are those published, 0.004 mM from where the equations rest. Both
    sides are made neutral by impermeant anions; unlike the code, the charge on the capacitor is counted (0.002 mM).
    Sodium activates at once: spikes rise so steeply that fixed steps should not exceed 0.0125 ms.
    """
    alive: tuple[Side, Side] = ("inside", "outside")
    ions = {
        "na": Species(25.231485, 125.30555, valence=1, dynamic=alive),
        "k": Species(129.25764, 4.0, valence=1, dynamic=alive),
        "cl": Species(9.900239, 123.2716, valence=-1, dynamic=alive),
    }
    return Membrane(
        mechanisms={
            "gated": HubelDahlemChannels(g_na=100.0, g_k=40.0, phi=3.0),
            "na_leak": Leak(g=0.0175, ion="na"),
            "k_leak": Leak(g=0.05, ion="k"),
            "cl_leak": Leak(g=0.02, ion="cl"),
            "pump": SigmoidPump(i_max=6.8),
        },
        species=ions | {"other": impermeant(ions), "atp": Species(valence=0)},
        capacitance=1.0,
        celsius=RT_F * 1e-3 * units.FARADAY / units.GAS - units.ZERO_CELSIUS,
        initial_v=-67.193253,
        geometry=AreaVolume(area=922.0, volume=2160.0, outside_volume_fraction=0.25),
    )
