"""For the tests of one's own channels: :func:`check_mechanism` says everything that is wrong with a mechanism."""

from jaxmem.testing.contract import MechanismError as MechanismError
from jaxmem.testing.mechanism import MechanismReport as MechanismReport
from jaxmem.testing.mechanism import check_mechanism as check_mechanism
from jaxmem.testing.specimen import usual_species as usual_species
