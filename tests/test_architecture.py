"""The house: imports run downwards, the engine knows no ion, one module opens files, importing changes nothing."""

import ast
import functools
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import jaxmem as jm

PACKAGE = Path(jm.__file__).parent
FILES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", "."): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
# From the top of the house to its bottom; those on one floor do not import each other.
FLOORS = (
    ("cli", "__main__"), ("report",), ("plots",), ("study",), ("analysis", "cable", "testing"), ("engine",), ("rig",),
    ("membrane",), ("electrochemistry",), ("units", "_unit_text"),
)  # fmt: skip
LEVEL = {part: i for i, floor in enumerate(FLOORS) for part in floor}
# A result offers to save and plot itself: these imports upwards are made inside a function, when they are asked for.
OFFERED = {
    ("engine.simulation", "study.store"),
    ("analysis.fitting.result", "study.fits"),
    ("study.scanning.result", "report.page"),
}
LONGEST = 350


@functools.cache
def trees() -> dict[str, ast.Module]:
    return {name: ast.parse(path.read_text(encoding="utf-8"), str(path)) for name, path in FILES.items()}


def imports(tree: ast.AST) -> list[tuple[str, bool]]:
    """Every module that is imported, names of ``from`` imports appended, and whether at the top of the file."""
    top = set(tree.body) if isinstance(tree, ast.Module) else set()
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found += [(f"{node.module}.{alias.name}", node in top) for alias in node.names]
    return found


def inner(module: str) -> str | None:
    """``jaxmem.membrane.state.State`` -> ``membrane.state``; None for other people's modules and the façade's names."""
    if module.split(".")[0] != "jaxmem":
        return None
    parts = module.split(".")[1:]
    while parts and ".".join(parts) not in FILES and f"{'.'.join(parts)}.__init__" not in FILES:
        parts.pop()
    return ".".join(parts) or None


def test_every_part_of_the_house_has_its_floor():
    parts = {name.split(".")[0] for name in FILES} - {"__init__"}
    assert parts <= set(LEVEL), "a new part: say where it stands in FLOORS"
    assert {"membrane", "engine", "rig", "analysis", "study", "units", "electrochemistry"} <= parts


def test_imports_run_downwards():
    wrong, seen = [], 0
    for name, tree in trees().items():
        if name == "__init__":  # the façade
            continue
        for module, _ in imports(tree):
            target = inner(module)
            if target is None:
                # the façade itself may be used by what stands on top alone
                if module.split(".")[0] == "jaxmem" and LEVEL[name.split(".")[0]] > LEVEL["study"]:
                    wrong.append(f"{name} imports the façade ({module})")
                continue
            seen += 1
            here, there = name.split(".")[0], target.split(".")[0]
            down = here == there or LEVEL[here] < LEVEL[there] or {here, there} == {"cli", "__main__"}
            down |= {here, there} == {"units", "_unit_text"}
            if not down and (name, target) not in OFFERED:
                wrong.append(f"{name} imports {target}")
    assert wrong == []
    assert seen > 50


def test_what_is_offered_upwards_is_imported_late():
    for name, target in OFFERED:
        found = [top for module, top in imports(trees()[name]) if inner(module) == target]
        assert found and not any(found)


def test_the_engine_names_no_ion():
    ions = {"na", "k", "cl", "ca", "mg", "h", "hco3", "sodium", "potassium", "chloride", "calcium"}
    texts = [(name, node) for name, tree in trees().items() if name.startswith("engine")
             for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]  # fmt: skip
    assert len(texts) > 100
    assert [f"{name}:{node.lineno} {node.value!r}" for name, node in texts if node.value.lower() in ions] == []


def test_the_membrane_never_loops_over_time():
    loops = {"scan", "fori_loop", "while_loop", "map"}
    for name, tree in trees().items():
        if name.startswith(("membrane", "electrochemistry")):
            used = {
                node.attr
                for node in ast.walk(tree)
                if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("jax.lax.")
            }
            assert not used & loops, name


@pytest.mark.parametrize(("library", "homes"), [("h5py", {"study"}), ("matplotlib", {"plots"}), ("click", {"cli"})])
def test_heavy_libraries_have_one_home(library, homes):
    users = {
        name for name, tree in trees().items() if any(module.split(".")[0] == library for module, _ in imports(tree))
    }
    assert {name.split(".")[0] for name in users} <= homes
    if library == "h5py":
        assert len(users) == 1


def test_jax_configuration_is_left_to_the_process():
    """Only who owns a process may change it: the command line, and the workers of a scan."""
    workers = {f"study.scanning.executors.{name}" for name in ("environment", "dask", "dask_task")}
    for name, tree in trees().items():
        if name.split(".")[0] in ("cli", "__main__") or name in workers:
            continue
        calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
        assert not [c for c in calls if c.endswith("config.update")], name
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and n.value == "XLA_FLAGS"], name


def test_importing_everything_changes_no_configuration():
    modules = [
        m.name
        for m in pkgutil.walk_packages([str(PACKAGE)], "jaxmem.")
        if not m.name.startswith(("jaxmem.cli", "jaxmem.__main__"))
    ]
    assert "jaxmem.engine.simulate" in modules
    program = """
import importlib, json, os, sys, warnings
import jax
config = lambda: {k: repr(v) for k, v in jax.config.values.items()}
state = lambda: (config(), dict(os.environ), [str(f) for f in warnings.filters])
import equinox, diffrax, h5py, matplotlib.pyplot, numpy, optimistix, scipy.optimize
before = state()
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
import jaxmem
for name in jaxmem.__all__:
    getattr(jaxmem, name)
after = state()
print(json.dumps([[k for k in before[0] if before[0][k] != after[0][k]], before[1] == after[1], before[2] == after[2]]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(modules)], capture_output=True, text=True, cwd=PACKAGE.parent
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[], True, True]


def test_files_can_be_read_in_one_sitting():
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in FILES.items()}
    assert {name: n for name, n in lengths.items() if n > LONGEST} == {}


def test_no_utils():
    assert not [name for name in FILES if name.split(".")[-1] in ("utils", "helpers", "misc", "common")]


def test_every_module_says_what_it_is():
    silent = [name for name, tree in trees().items() if tree.body and not ast.get_docstring(tree)]
    assert silent == []
