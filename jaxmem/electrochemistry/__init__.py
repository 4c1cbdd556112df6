"""Electrochemistry of one membrane: elementwise functions of arrays, in any precision, with gradients that stay finite.

Voltages are in mV (inside minus outside), concentrations in mM, permeabilities in cm/s, conductances in mS/cm^2, current
densities in uA/cm^2 (outward positive), energies in kJ/mol, lengths of atoms in nm and of cells in um, temperatures in
degC. With these units P*F*c needs no factor: (cm/s)(C/mol)(mM) = uA/cm^2. Arguments broadcast against each other; sets of
ions are dictionaries by name. Activities are taken as concentrations throughout.
"""

from jaxmem.electrochemistry.capacitor import dielectric_thickness as dielectric_thickness
from jaxmem.electrochemistry.capacitor import electric_field as electric_field
from jaxmem.electrochemistry.capacitor import excess_charges as excess_charges
from jaxmem.electrochemistry.capacitor import excess_fraction as excess_fraction
from jaxmem.electrochemistry.capacitor import ions_in as ions_in
from jaxmem.electrochemistry.capacitor import membrane_area as membrane_area
from jaxmem.electrochemistry.capacitor import membrane_capacitance as membrane_capacitance
from jaxmem.electrochemistry.currents import conductance_from_permeability as conductance_from_permeability
from jaxmem.electrochemistry.currents import ghk_chord_conductance as ghk_chord_conductance
from jaxmem.electrochemistry.currents import ghk_current as ghk_current
from jaxmem.electrochemistry.currents import ghk_current_and_slope as ghk_current_and_slope
from jaxmem.electrochemistry.currents import ghk_slope_conductance as ghk_slope_conductance
from jaxmem.electrochemistry.currents import permeability_from_conductance as permeability_from_conductance
from jaxmem.electrochemistry.elementary import exprel_inverse as exprel_inverse
from jaxmem.electrochemistry.elementary import exprel_inverse_slope as exprel_inverse_slope
from jaxmem.electrochemistry.elementary import log as log
from jaxmem.electrochemistry.energetics import atp_free_energy as atp_free_energy
from jaxmem.electrochemistry.energetics import atp_per_second as atp_per_second
from jaxmem.electrochemistry.energetics import pump_cycle_work as pump_cycle_work
from jaxmem.electrochemistry.energetics import pump_density as pump_density
from jaxmem.electrochemistry.energetics import pump_reversal_potential as pump_reversal_potential
from jaxmem.electrochemistry.energetics import single_pump_current as single_pump_current
from jaxmem.electrochemistry.ion_sets import SODIUM_PUMP as SODIUM_PUMP
from jaxmem.electrochemistry.potentials import chord_potential as chord_potential
from jaxmem.electrochemistry.potentials import driving_force as driving_force
from jaxmem.electrochemistry.potentials import electrochemical_potential as electrochemical_potential
from jaxmem.electrochemistry.potentials import electrogenic_shift as electrogenic_shift
from jaxmem.electrochemistry.potentials import ghk_potential as ghk_potential
from jaxmem.electrochemistry.potentials import mullins_noda as mullins_noda
from jaxmem.electrochemistry.potentials import nernst as nernst
from jaxmem.electrochemistry.potentials import permeability_ratio as permeability_ratio
from jaxmem.electrochemistry.potentials import reversal_potential as reversal_potential
from jaxmem.electrochemistry.selectivity import ALKALI_IONS as ALKALI_IONS
from jaxmem.electrochemistry.selectivity import HydratedIon as HydratedIon
from jaxmem.electrochemistry.selectivity import selectivity_energy as selectivity_energy
from jaxmem.electrochemistry.selectivity import selectivity_ratio as selectivity_ratio
from jaxmem.electrochemistry.selectivity import selectivity_sequence as selectivity_sequence
from jaxmem.electrochemistry.selectivity import site_energy as site_energy
from jaxmem.electrochemistry.solutions import Donnan as Donnan
from jaxmem.electrochemistry.solutions import debye_length as debye_length
from jaxmem.electrochemistry.solutions import donnan as donnan
from jaxmem.electrochemistry.solutions import ionic_strength as ionic_strength
from jaxmem.electrochemistry.solutions import osmolarity as osmolarity
from jaxmem.electrochemistry.solutions import osmotic_pressure as osmotic_pressure
from jaxmem.electrochemistry.solutions import water_permittivity as water_permittivity
from jaxmem.electrochemistry.thermal import boltzmann_factor as boltzmann_factor
from jaxmem.electrochemistry.thermal import boltzmann_ratio as boltzmann_ratio
from jaxmem.electrochemistry.thermal import electric_energy as electric_energy
from jaxmem.electrochemistry.thermal import q10_factor as q10_factor
from jaxmem.electrochemistry.thermal import thermal_energy as thermal_energy
from jaxmem.electrochemistry.thermal import thermal_voltage as thermal_voltage
