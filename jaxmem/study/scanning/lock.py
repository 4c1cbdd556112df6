"""One coordinator at a time: a lock that dies with the process that holds it, and says whose it is."""

import contextlib
import errno
import fcntl
import json
import os
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from jaxmem.study.scanning.shards import ScanError

UNKNOWN = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)  # disks that know no locks


class BusyError(ScanError):
    """Somebody else is at work; the text says who."""


@contextlib.contextmanager
def locked(path: Path, what: str, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock while inside; ``shared`` with others that share it. Raises BusyError that tells who holds it.

    Advisory (flock): it ends when its process ends, however it does. A disk without locks does without.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"{what} is being worked on by {_holder(path)}; wait for it, or stop it first") from None
        except OSError as error:
            if error.errno not in UNKNOWN:
                raise
        if not _is(path, descriptor):
            raise FileNotFoundError(f"{path.parent} was removed: {what} was finished, or begun anew, at this moment")
        _sign(descriptor)
        yield
    finally:
        os.close(descriptor)


def _is(path: Path, descriptor: int) -> bool:
    """Whether this file is still the one of that name: another may have removed it before it could be locked."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    return False


def holder(path: Path) -> str | None:
    """Who holds the lock now; None where nobody does."""
    if not path.exists():
        return None
    try:
        descriptor = os.open(path, os.O_RDWR)  # network disks want to write what they lock
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(path)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def _sign(descriptor: int) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    told = {"process": os.getpid(), "host": socket.gethostname(), "since": since, "command": " ".join(sys.argv)[:500]}
    with contextlib.suppress(OSError):  # a full disk is no reason not to hold it
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(told).encode(), 0)


def _holder(path: Path) -> str:
    with contextlib.suppress(OSError, ValueError, KeyError):
        told = json.loads(path.read_text())
        return f"process {told['process']} on {told['host']} since {told['since']} ({told['command']})"
    return "another process"
