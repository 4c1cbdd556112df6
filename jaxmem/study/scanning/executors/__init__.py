"""Who computes the chunks: this process, processes of this machine, or a cluster."""

from jaxmem.study.scanning.executors.base import Executor as Executor
from jaxmem.study.scanning.executors.in_process import InProcess as InProcess
