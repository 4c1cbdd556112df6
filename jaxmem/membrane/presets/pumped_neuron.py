"""A spiking neuron that pays for its spikes."""

from jaxmem.membrane.channels import Leak, TraubMilesPotassium, TraubMilesSodium
from jaxmem.membrane.geometry import Sphere
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.pumps import NaKATPase
from jaxmem.membrane.species import Species, impermeant


def pumped_neuron() -> Membrane:
    """Cortical neuron with Na+/K+-ATPase and living Na+, K+ and Cl-, standing still at -70 mV.

    Kinetics of Pospischil et al. (2008), Biol Cybern 99:427, doi:10.1007/s00422-008-0263-8, at 36 degC (the regular-spiking
    cell without its slow M current); leak 0.1 mS/cm^2 in all (same paper), split so that the cell stands still. The paper's
    g_Na 50, g_K 5 mS/cm^2 and V_T -55 mV go with a fixed E_Na of 50 mV; with E_Na as the concentrations have it (74 mV) a
    compact cell would overshoot to 69 mV, so here g_Na 20, g_K 10 and V_T -58 mV were chosen: peak 47 mV, rheobase 1.75
    uA/cm^2, 12 to 170 Hz without a jump. Concentrations: Na+ 8.9 mM inside (Rose & Ransom 1997, J Physiol 499:573), K+
    140 inside (Johnston & Wu 1995, Foundations of Cellular Neurophysiology, table 2.1), cerebrospinal fluid 140.1, 2.73
    and 118.1 mM outside (Akaishi et al. 2019, Fluids Barriers CNS 16:8, doi:10.1186/s12987-019-0128-7); Cl- passive; ATP
    2 mM (1.9-2.4 nmol/mg in brain regions, doi:10.1007/BF00963759), clamped.
    Pump as :class:`jaxmem.NaKATPase`. The Na+ leak, the pump and Cl- inside are solved by :func:`jaxmem.balance`.
    """
    ions = {
        "na": Species(inside=8.9, outside=140.1, valence=1, dynamic=("inside",)),
        "k": Species(inside=140.0, outside=2.73, valence=1, dynamic=("inside",)),
        "cl": Species(inside=8.605693109345156, outside=118.1, valence=-1, dynamic=("inside",)),
    }
    return Membrane(
        mechanisms={
            "sodium": TraubMilesSodium(g=20.0, v_t=-58.0),
            "potassium": TraubMilesPotassium(g=10.0, v_t=-58.0),
            "na_leak": Leak(g=0.014714006990408587, ion="na"),
            "k_leak": Leak(g=0.04, ion="k"),
            "cl_leak": Leak(g=0.05, ion="cl"),
            "pump": NaKATPase(i_max=2.3921519796594164),
        },
        species=ions | {"other": impermeant(ions), "atp": Species(inside=2.0, outside=0.0, valence=0)},
        celsius=37.0,
        initial_v=-70.0,
        geometry=Sphere(radius=10.0),
    )
