"""The process of a command is jaxmem's own: set up as the workers of a scan are."""

from jaxmem.study.scanning.executors.environment import WHILE_LOOP_FLAG, WHILE_LOOPS, needs_flag, prepare

__all__ = ["WHILE_LOOPS", "WHILE_LOOP_FLAG", "needs_flag", "prepare"]
