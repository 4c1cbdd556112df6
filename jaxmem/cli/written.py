"""What a command leaves behind: a figure beside the file, and lines that say how to look at both."""

import pathlib
from typing import Any

from rich.markup import escape

from jaxmem.cli.errors import FAILED, UserError
from jaxmem.cli.terminal import size


def save_figure(figure: Any, picture: pathlib.Path, target: pathlib.Path) -> None:
    """Write the figure. Raises UserError, which says that the file itself is complete, where that fails."""
    from jaxmem import plots

    try:
        plots.save(figure, picture)
    except OSError as error:
        text = f"the figure {picture} could not be written ({error}); {target} is complete"
        raise UserError(text, FAILED) from None


def files(target: pathlib.Path, picture: pathlib.Path | None, shows: str) -> list[str]:
    """What was written and how to look at it, in lines that can be copied; ``shows``: what the figure does."""
    name = escape(str(target))
    told = [f"[bold]{name}[/bold]  {size(target.stat().st_size)}"]
    if picture is not None:
        told.append(f"[bold]{escape(str(picture))}[/bold]  {shows}")
    return [
        *told,
        f"  jaxmem show {name}",
        f"  jaxmem plot {name}",
        f'  python -c \'import xarray; print(xarray.open_dataset("{name}", engine="h5netcdf"))\'',
    ]
