"""The experiments that scan from the library: in a small size they come out, and say so where the membrane is broken."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import jaxmem as jm

HOME = Path(__file__).parents[1] / "experiments"


def script(name: str) -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location(name, HOME / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_what_sets_rest(tmp_path: Path) -> None:
    module = script("what_sets_rest")
    living, fixed, findings = module.run(base=512, folder=tmp_path)
    findings.check()
    assert jm.read_scan(tmp_path / "living.h5").question == module.QUESTION
    figure = module.draw(living, fixed)
    assert all(ax.get_xlabel() and ax.get_title("left") for ax in figure.axes)
    with pytest.raises(jm.FindingsError, match="own chord equation"):  # a pump that moves as much K+ as Na+
        module.run(base=32, n_k=3.0)[-1].check()
