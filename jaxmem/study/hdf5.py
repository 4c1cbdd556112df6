"""The one module that knows h5py: tables of variables to the bytes of an HDF5 file, and back.

The format is netCDF-4 as plain HDF5: dimensions are dimension scales of the root group, fill values are NaN. The bytes
are made in memory, because HDF5 takes the process down when a disk is full; of results that are large, on the disk, once
it is known to have the room. Everything above a few values is compressed
and carries a checksum per chunk.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from jaxmem import units
from jaxmem.study.files import StoreError, build_whole, verify, write_whole

MARK = "jaxmem_format"
FORMAT = 1
IN_MEMORY = 512 * 2**20  # bytes of numbers; a larger file is made on the disk
FILTERED = 256  # values; below that a chunk's own overhead is larger than what it saves
SAMPLES, CELLS = 1000, 64  # of a trace in one chunk
VALUES = SAMPLES * CELLS  # of anything in one chunk
LONG = 8192  # characters; longer texts are datasets, for attributes over 64 kB fail
SIGNATURE = b"\x89HDF\r\n\x1a\n"
ADVICE = "restore a copy or run it again"


@dataclasses.dataclass(frozen=True)
class Variable:
    """An array with a name for each axis, the unit it is in (as :mod:`jaxmem.units` writes it) and what it means."""

    values: np.ndarray
    dims: tuple[str, ...]
    unit: str
    description: str
    more: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def attributes(self) -> dict[str, Any]:
        """CF attributes."""
        return {"units": _cf(self.unit), "long_name": self.description, **self.more}


def write(
    path: Any,
    coordinates: Mapping[str, Variable],
    variables: Mapping[str, Variable],
    texts: Mapping[str, str],
    attributes: Mapping[str, Mapping[str, Any]],
    *,
    overwrite: bool,
) -> None:
    """A file with these contents, whole or not at all; made in memory, and on the disk where it is large."""
    size = sum(v.values.nbytes for v in variables.values())
    if size > IN_MEMORY:
        make = lambda temporary: build(temporary, coordinates, variables, texts, attributes)
        build_whole(path, make, size, overwrite=overwrite)
    else:
        write_whole(path, image(coordinates, variables, texts, attributes), overwrite=overwrite)


def image(
    coordinates: Mapping[str, Variable],
    variables: Mapping[str, Variable],
    texts: Mapping[str, str],
    attributes: Mapping[str, Mapping[str, Any]],
    *,
    filtered: bool = True,
) -> bytes:
    """The bytes of a file with these variables (``group/name``), texts and attributes of groups ("/": of the file).

    Without ``filtered`` numbers are stored as they are: for what is soon read and sealed as a whole.
    """
    with h5py.File("jaxmem", "w", driver="core", backing_store=False, block_size=2**22) as file:
        _fill(file, coordinates, variables, texts, attributes, filtered)
        file.flush()
        return file.id.get_file_image()


def build(
    path: Path,
    coordinates: Mapping[str, Variable],
    variables: Mapping[str, Variable],
    texts: Mapping[str, str],
    attributes: Mapping[str, Mapping[str, Any]],
) -> None:
    """The same in a file on disk, without a copy in memory: there must be room for it."""
    with h5py.File(path, "w") as file:
        _fill(file, coordinates, variables, texts, attributes)


@dataclasses.dataclass(frozen=True)
class Outline:
    """A variable whose values come in pieces along its last axis."""

    shape: tuple[int, ...]
    dtype: np.dtype
    dims: tuple[str, ...]
    unit: str
    description: str
    more: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def build_in_pieces(
    path: Path,
    outlines: Mapping[str, Outline],
    pieces: Iterable[tuple[int, Mapping[str, np.ndarray]]],
    coordinates: Mapping[str, Variable],
    variables: Mapping[str, Variable],
    rest: Callable[[], tuple[Mapping[str, str], Mapping[str, Mapping[str, Any]]]],
) -> None:
    """A file of which no more than a piece is in memory: ``pieces`` are (where it begins, values by name), in order.

    An outline called like its dimension is that dimension's coordinate. ``coordinates`` and ``variables`` are whole.
    ``rest``: texts and attributes as for :func:`image`, asked for when all pieces are in.
    """
    with h5py.File(path, "w") as file:
        there: dict[str, h5py.Dataset] = {}
        for name, about in sorted(outlines.items(), key=lambda x: x[1].dims != (x[0],)):  # coordinates first
            nothing = np.broadcast_to(np.zeros((), about.dtype), about.shape)  # takes no memory
            like = Variable(nothing, about.dims, about.unit, about.description, about.more)
            there[name] = _write(file, name, like, fill=about.dtype.kind == "f" and about.dims != (name,), empty=True)
            if about.dims == (name,):
                there[name].make_scale(name)
        _contents(file, coordinates, variables)
        for name, about in outlines.items():
            for axis, dim in enumerate(about.dims):
                if about.dims != (name,):
                    there[name].dims[axis].attach_scale(file[dim])
        for start, values in pieces:
            for name, x in values.items():
                there[name][..., start : start + x.shape[-1]] = x
        _texts(file, *rest())


def _fill(
    file: h5py.File,
    coordinates: Mapping[str, Variable],
    variables: Mapping[str, Variable],
    texts: Mapping[str, str],
    attributes: Mapping[str, Mapping[str, Any]],
    filtered: bool = True,
) -> None:
    _contents(file, coordinates, variables, filtered)
    _texts(file, texts, attributes)


def _contents(
    file: h5py.File, coordinates: Mapping[str, Variable], variables: Mapping[str, Variable], filtered: bool = True
) -> None:
    file.attrs[MARK] = FORMAT
    for name, coordinate in coordinates.items():
        _write(file, name, coordinate, fill=False, filtered=filtered).make_scale(name)
    for name, variable in variables.items():
        dataset = _write(file, name, variable, fill=variable.values.dtype.kind == "f", filtered=filtered)
        for axis, dim in enumerate(variable.dims):
            dataset.dims[axis].attach_scale(file[dim])


def _texts(file: h5py.File, texts: Mapping[str, str], attributes: Mapping[str, Mapping[str, Any]]) -> None:
    for name, text in texts.items():
        file.create_dataset(name, data=text, dtype=h5py.string_dtype())
    for group, values in attributes.items():
        here = file.require_group(group)
        for name, value in values.items():
            if isinstance(value, str) and len(value) > LONG:
                here.create_dataset(name, data=value, dtype=h5py.string_dtype())
            else:
                here.attrs[name] = value


def _write(
    file: h5py.File, name: str, variable: Variable, fill: bool, empty: bool = False, filtered: bool = True
) -> h5py.Dataset:
    """``empty``: the shape alone, for values that come later."""
    values = variable.values
    options: dict[str, Any] = {"dtype": h5py.string_dtype()} if values.dtype == object else {}
    if filtered and values.size >= FILTERED and values.dtype != object:  # no filter knows texts of any length
        options = {
            "chunks": _chunks(variable),
            "compression": "gzip",
            "compression_opts": 1,
            "shuffle": True,
            "fletcher32": True,
        }
    if fill:
        options["fillvalue"] = np.nan
    if empty:
        dataset = file.create_dataset(name, values.shape, **{"dtype": values.dtype, **options})
    else:
        dataset = file.create_dataset(name, data=values, **options)
    for key, value in variable.attributes.items():
        dataset.attrs[key] = value
    if fill:
        dataset.attrs["_FillValue"] = np.full(1, np.nan, values.dtype)
    return dataset


def _chunks(variable: Variable) -> tuple[int, ...]:
    """Traces: 1000 samples of 64 cells, of more cells where there are fewer samples. Others: a row at a time."""
    shape = variable.values.shape
    if len(shape) == 2 and variable.dims[0].startswith("time"):
        samples = min(shape[0], SAMPLES)
        return samples, min(shape[1], VALUES // samples)
    return (*(1 for _ in shape[:-1]), min(shape[-1], VALUES))


class Reader:
    """An open file; every failure of HDF5 becomes a StoreError that says what to do."""

    def __init__(self, file: h5py.File, path: Any):
        self.file, self.path = file, path

    def array(self, name: str) -> Any:
        """The values of a variable: an array, or a NumPy scalar where it has no axes."""
        return self._read(name)

    def part(self, name: str, start: int, stop: int) -> np.ndarray:
        """Some of the values of a variable, along its last axis."""
        return self._read(name, (..., slice(start, stop)))

    def text(self, name: str) -> str | None:
        """A text, None where the file has none of that name."""
        found = self._read(name) if name in self.file else None
        return found.decode() if isinstance(found, bytes) else found

    def attribute(self, name: str, key: str) -> str | None:
        """A text that a variable carries, None where the file has none of that name."""
        return str(self.file[name].attrs[key]) if name in self.file and key in self.file[name].attrs else None

    def _read(self, name: str, which: Any = ()) -> Any:
        try:
            return self.file[name][which]
        except (OSError, KeyError, RuntimeError) as error:
            raise StoreError(f"{self.path} is damaged: {name!r} cannot be read ({error}); {ADVICE}") from error


@contextlib.contextmanager
def opened(path: Any, *, check_up_to: float = float("inf")) -> Iterator[Reader]:
    """A result of jaxmem, open for reading and verified where it has at most ``check_up_to`` bytes.

    Raises FileNotFoundError, and StoreError for what is no HDF5 file, is one of another program, is damaged, or
    fails to give what the reader looks for.
    """
    place = Path(path)
    if not place.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if place.is_dir():
        raise IsADirectoryError(f"{path} is a directory; give the name of a file in it")
    with place.open("rb") as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            raise StoreError(f"{path} is not an HDF5 file")
    if place.stat().st_size <= check_up_to:
        verify(place)
    try:
        file = h5py.File(place, "r")
        marked = file.attrs.get(MARK)
    except (OSError, RuntimeError) as error:
        raise StoreError(
            f"{path} is damaged, cut off, or being written to: HDF5 cannot open it ({error}); {ADVICE}"
        ) from error
    with file:
        if marked is None:
            raise StoreError(f"{path} is an HDF5 file, but not a result of jaxmem; open it with xarray or h5py")
        if not isinstance(marked, int | np.integer) or marked > FORMAT:
            raise StoreError(
                f"{path} has format {marked}, and this jaxmem reads up to {FORMAT}; install a later version"
            )
        try:
            yield Reader(file, path)
        except StoreError as error:
            raise StoreError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            text = f"{path} cannot be read: it was changed, or written by another version of jaxmem"
            raise StoreError(f"{text} ({type(error).__name__}: {error})") from error


def _cf(unit: str) -> str:
    try:
        return units.cf(unit)
    except units.UnitError:  # a user's own mechanism may count in what it likes
        return unit
