"""The group that all commands belong to, and what their options have in common."""

import contextlib
import os
import sys
from typing import Any

import click

from jaxmem import __version__
from jaxmem.cli import errors


class _Result(click.Path):
    """A file that is there; of a scan that is not merged yet it is said how far it is."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        name = os.fspath(value).rstrip("/").removesuffix(".scan")
        if not os.path.exists(name) and os.path.exists(os.path.join(f"{name}.scan", "header.json")):
            self.fail(_unmerged(name), param, ctx)
        return super().convert(value, param, ctx)


def _unmerged(name: str) -> str:
    from jaxmem.study.scanning.shards import Folder

    folder, far = Folder(name), ""
    with contextlib.suppress(ValueError, OSError, KeyError):  # "jaxmem status" tells of damage
        done = sum(chunk.stop - chunk.start for chunk in folder.done())
        far = f", where {done:,} of {folder.header().points:,} points are done"
    return (
        f"{name!r} is not there yet: its scan is still in {f'{name}.scan'!r}{far}. 'jaxmem status {name}' tells more; the "
        "line that began it goes on with it and merges"
    )


EXISTING = click.Path(exists=True, dir_okay=False, readable=True)
RESULT = _Result(exists=True, dir_okay=False, readable=True)
NEW = click.Path(dir_okay=False)
PRECISION = click.Choice(["float32", "float64"])
KIND = click.Choice(["overview", "voltage", "concentrations", "reversals", "currents", "map", "distributions"])


class _Commands(click.Group):
    """Turns what a user can mend into one message and an exit status, and leaves bugs their tracebacks."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            click.echo(str(stop) or "interrupted; nothing written", err=True)
            sys.exit(errors.INTERRUPTED)
        except BrokenPipeError:  # of "| head"; click ends quietly
            raise
        except Exception as error:
            status = errors.status(error)
            if status is None:
                raise
            click.echo(f"error: {errors.text(error)}", err=True)
            sys.exit(status)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="jaxmem %(version)s")
def cli() -> None:
    """Populations of excitable membranes with electrogenic pumps and living ion concentrations.

    \b
    jaxmem simulate EXPERIMENT.toml -o OUT.h5   run an experiment
    jaxmem rest EXPERIMENT.toml -o REST.h5      where its cells rest, without running
    jaxmem fit EXPERIMENT.toml -o FIT.h5        the parameters that give what was measured
    jaxmem scan EXPERIMENT.toml -o SCAN.h5      a question at every point of a design
    jaxmem show OUT.h5                          what is in a result
    jaxmem plot OUT.h5 --kind reversals         a figure of it
    jaxmem export OUT.h5                        its points or cells as a CSV file
    """
