"""What came of a run: tables for a terminal (rich), and one page of a scan that a browser or a printer shows."""

from jaxmem.report.scans import scan as scan
from jaxmem.report.tables import STILL as STILL
from jaxmem.report.tables import Row as Row
from jaxmem.report.tables import fates as fates
from jaxmem.report.tables import fits as fits
from jaxmem.report.tables import groups as groups
from jaxmem.report.tables import many as many
from jaxmem.report.tables import number as number
from jaxmem.report.tables import of as of
from jaxmem.report.tables import pairs as pairs
from jaxmem.report.tables import quantities as quantities
from jaxmem.report.tables import rests as rests
from jaxmem.report.tables import rows as rows
