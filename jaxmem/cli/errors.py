"""Which errors are the user's to mend, and with what exit status; all others are bugs and keep their traceback."""

import errno

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130

_NAMED = (
    "ExperimentError",
    "UnitError",
    "PathError",
    "MembraneError",
    "ScanError",
    "StoreError",
)  # named, so that nothing is imported
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class UserError(Exception):
    """A message for the user and an exit status."""

    def __init__(self, message: str, status: int = BAD_INPUT):
        super().__init__(message)
        self.status = status


def status(error: BaseException) -> int | None:
    """The exit status for an error that its text explains, None for a bug."""
    if isinstance(error, UserError):
        return error.status
    if isinstance(error, OSError):
        return FAILED if error.errno in _FULL else BAD_INPUT
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return FAILED
    ours = any(c.__module__.startswith("jaxmem.") and c.__name__ in _NAMED for c in type(error).__mro__)
    if ours or (isinstance(error, ValueError | RuntimeError) and _raised_here(error)):
        return BAD_INPUT
    return None


def text(error: BaseException) -> str:
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return "not enough memory; take fewer cells or traces, or sample them less often (--dry-run estimates the need)"
    if type(error).__name__ == "ScanError":  # one problem, shown in several lines
        return str(error)
    lines = str(error).splitlines() or [type(error).__name__]
    return "\n  ".join([f"{len(lines)} problems", *lines]) if len(lines) > 1 else lines[0]


def _raised_here(error: BaseException) -> bool:
    """Whether a line of jaxmem raised it: then it is a message. What a library raises below us is a bug."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__", "")).startswith("jaxmem.")
