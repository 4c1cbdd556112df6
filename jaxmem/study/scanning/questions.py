"""What a scan can ask at each point."""

from jaxmem.study.scanning.fits import Fits as Fits
from jaxmem.study.scanning.function import Function as Function
from jaxmem.study.scanning.question import Output as Output
from jaxmem.study.scanning.question import Question as Question
from jaxmem.study.scanning.rests import Rests as Rests
from jaxmem.study.scanning.simulations import Simulations as Simulations
