"""A file appears whole or not at all, and says whether it is still what was written.

The content is made in memory, written under a temporary name in the same directory, synced, and only then given its
name: a crash, a full disk or a kill leaves the old file or none, never half of one. The last line of the file is a
checksum of everything before it; HDF5 does not look beyond its own end, so readers that know nothing of it are not
disturbed, and one that edits the file cuts it off.
"""

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SEAL = b"\njaxmem sha256 "
SEALED = len(SEAL) + 64 + 1  # the marker, the digest in hexadecimal, a newline
PIECE = 16 * 2**20  # bytes read or written at a time
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class StoreError(ValueError):
    """A file that is not a result of jaxmem, or no longer whole, or cannot be rebuilt here; the text advises."""


def check_target(path: Any, overwrite: bool = False) -> Path:
    """The resolved place to write to, checked before hours are spent on what shall stand there.

    Raises FileExistsError where it exists (unless ``overwrite``) or is no ordinary file, FileNotFoundError and
    NotADirectoryError where its directory is none, PermissionError where that cannot be written to.
    """
    target = Path(os.path.realpath(path))
    folder = target.parent
    if target.is_dir():
        raise IsADirectoryError(f"{path} is a directory; give the name of a file in it")
    if target.exists():
        if not stat.S_ISREG(target.stat().st_mode):
            raise FileExistsError(f"{path} exists and is no ordinary file")
        if not overwrite:
            raise FileExistsError(f"{path} exists; choose another name or ask to overwrite it")
    if not folder.exists():
        raise FileNotFoundError(f"the directory {folder} does not exist; make it first")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a directory")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"nothing can be written to the directory {folder}")
    return target


def write_whole(path: Any, content: bytes, *, overwrite: bool = False) -> None:
    """Write ``content`` and its seal under the name ``path``, whole or not at all.

    Raises what :func:`check_target` raises, and OSError where the disk is full; nothing is left behind then.
    """

    def write(temporary: Path) -> None:
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        try:
            _write(descriptor, content)
            _write(descriptor, SEAL + hashlib.sha256(content).hexdigest().encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    _whole(path, write, len(content), overwrite)


def build_whole(path: Any, build: Callable[[Path], None], size: int, *, overwrite: bool = False) -> None:
    """The same for content that ``build`` makes on the disk: for what shall not be in memory as a whole.

    ``size`` (bytes) is what it takes at the most; OSError, before anything is written, where the disk has less.
    """

    def write(temporary: Path) -> None:
        if shutil.disk_usage(temporary.parent).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        build(temporary)
        digest = hashlib.sha256()
        with temporary.open("r+b") as file:
            for piece in _pieces(file, temporary.stat().st_size):
                digest.update(piece)
            file.seek(0, os.SEEK_END)
            file.write(SEAL + digest.hexdigest().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    _whole(path, write, size, overwrite)


def build_text(path: Any, build: Callable[[Path], None], size: int, *, overwrite: bool = False) -> None:
    """The same for a text, which other programs read to its last line: it has no seal."""

    def write(temporary: Path) -> None:
        if shutil.disk_usage(temporary.parent).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        build(temporary)
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())

    _whole(path, write, size, overwrite)


def _whole(path: Any, write: Callable[[Path], None], size: int, overwrite: bool) -> None:
    target = check_target(path, overwrite)
    temporary = target.parent / f".jaxmem-{secrets.token_hex(8)}.part"
    try:
        write(temporary)
        if overwrite:
            os.replace(temporary, target)
        else:
            _name(temporary, target)
        _sync(target.parent)
    except OSError as error:
        if error.errno in NO_ROOM:
            text = f"no room for the {size / 1e6:.1f} MB of {path}: the disk, or a quota, is full; nothing was written"
            raise OSError(error.errno, text) from error
        raise
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def give_name(finished: Path, path: Any) -> None:
    """Give a file that is whole its final name on the same disk. Raises FileExistsError where another has it."""
    target = check_target(path)
    _name(finished, target)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(finished)
    _sync(target.parent)


def verify(path: Any) -> bool:
    """True where the seal holds, False where the file has none (another program edited it).

    Raises StoreError where the content is not what was written, OSError where it cannot be read.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - SEALED))
        seal = file.read(SEALED)
        if not seal.startswith(SEAL):
            return False
        file.seek(0)
        digest = hashlib.sha256()
        for piece in _pieces(file, size - SEALED):
            digest.update(piece)
    if seal[len(SEAL) : -1] != digest.hexdigest().encode():
        raise StoreError(f"{path} is damaged: its content is not what was written; restore a copy or run it again")
    return True


def _write(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left[:PIECE]) :]


def _pieces(file: Any, size: int) -> Iterator[bytes]:
    while size > 0 and (piece := file.read(min(PIECE, size))):
        size -= len(piece)
        yield piece


def _name(temporary: Path, target: Path) -> None:
    """Give the file its name unless another has it; a hard link decides that at once, where the disk has them."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise FileExistsError(f"{target} appeared while this was being written; choose another name") from None
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        check_target(target)
        os.replace(temporary, target)


def _sync(folder: Path) -> None:
    """Make the new name last; some network disks cannot, and have the file all the same."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
