"""How many cores there are for us."""

import os


def cores() -> int:
    """Cores that this process may use: a batch system, a container or a pool of workers may allow it fewer than exist."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
