"""The smallest cell that stands still: leaks and a pump."""

from jaxmem.membrane.channels import GHKLeak, Leak
from jaxmem.membrane.geometry import Sphere
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.pumps import NaKATPase
from jaxmem.membrane.species import Species, impermeant

REST = -70.0  # mV
CL_INSIDE = 8.015463522675418  # mM: E_Cl = -70 mV


def _species() -> dict[str, Species]:
    """The classroom mammalian cell at 37 degC: Na+ 10/145, K+ 140/5 mM; Cl- in equilibrium at rest; ATP 2 mM, clamped.

    Concentrations as in B. Hille (2001), Ion Channels of Excitable Membranes, 3rd ed., table 1.3 (mammalian muscle: 12/145
    and 155/4), rounded as courses do. ATP: 1.9-2.4 nmol/mg in brain regions
    (doi:10.1007/BF00963759).
    """
    ions = {
        "na": Species(inside=10.0, outside=145.0, valence=1, dynamic=("inside",)),
        "k": Species(inside=140.0, outside=5.0, valence=1, dynamic=("inside",)),
        "cl": Species(inside=CL_INSIDE, outside=110.0, valence=-1, dynamic=("inside",)),
    }
    return ions | {"other": impermeant(ions), "atp": Species(inside=2.0, outside=0.0, valence=0)}


def pump_leak() -> Membrane:
    """Pump and ohmic leaks of Na+, K+ and Cl-, resting at -70 mV with everything dynamic; it does not spike.

    g_K 0.05 mS/cm^2 is given; the pump and the Na+ leak are what makes the cell stand still at -70 mV (the pump carries
    2 I_p = g_K (V - E_K), so I_p = 0.476 uA/cm^2, and g_Na = 3 I_p/(E_Na - V) = 0.0101 mS/cm^2), solved by
    :func:`jaxmem.balance`.
    """
    return Membrane(
        mechanisms={
            "na_leak": Leak(g=0.010103847805519102, ion="na"),
            "k_leak": Leak(g=0.05, ion="k"),
            "cl_leak": Leak(g=0.05, ion="cl"),
            "pump": NaKATPase(i_max=1.2388151123875735),
        },
        species=_species(),
        celsius=37.0,
        initial_v=REST,
        geometry=Sphere(radius=10.0),
    )


def pump_leak_ghk() -> Membrane:
    """Pump and constant-field (GHK) leaks of Na+, K+ and Cl-, resting at -70 mV with everything dynamic.

    P_K 2e-7 cm/s is given, which makes the slope conductance of K+ at rest about that of :func:`pump_leak`; P_Na and the
    pump are solved by :func:`jaxmem.balance`.
    """
    return Membrane(
        mechanisms={
            "na_leak": GHKLeak(p=1.0816076906041132e-08, ion="na"),
            "k_leak": GHKLeak(p=2e-7, ion="k"),
            "cl_leak": GHKLeak(p=2e-7, ion="cl", valence=-1),
            "pump": NaKATPase(i_max=0.36861660101339916),
        },
        species=_species(),
        celsius=37.0,
        initial_v=REST,
        geometry=Sphere(radius=10.0),
    )
