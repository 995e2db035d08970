"""Who may import whom, checked in the source: layers, downwards only, and no circle."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# From the top down. A package may import itself and what lies in the layers below its own, nothing beside it.
LAYERS = [
    ["__main__"],
    ["main", "evaluate", "predict", "detect", "review", "calibrate", "export", "__init__"],
    ["training", "onnx_reader"],
    ["inference"],
    ["interop"],
    ["objectives", "models"],
    ["decoding"],
    ["data"],
    ["augment"],
    ["nn", "losses", "parallel", "checkpoints"],
    ["cli"],
    ["core"],
    ["text", "visualize"],
]
LEVEL = {name: level for level, layer in enumerate(LAYERS) for name in layer}
WITHOUT_JAX = ("data", "augment/host", "cli", "text", "visualize")
FILES = sorted((ROOT / "jstr").rglob("*.py"))
MODULES = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in FILES}


def imported(path: Path) -> set[str]:
    """Modules that a file imports, wherever in it: `a.b.c` for `from a.b import c`, too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} line {node.lineno}: write the import out"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def unit(path: Path) -> str:
    return path.relative_to(ROOT / "jstr").with_suffix("").parts[0]


def edges(path: Path) -> set[str]:
    """The files of jstr that a file imports; a package's own `__init__` only where it is named itself."""
    ours = {m for m in imported(path) if m in MODULES}
    return {m for m in ours if not any(o != m and o.startswith(m + ".") for o in ours)}


def test_every_module_has_a_layer():
    assert {unit(p) for p in FILES} == set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_downwards(path):
    own = unit(path)
    for module in edges(path):
        other = unit(MODULES[module])
        assert other == own or LEVEL[other] > LEVEL[own], f"{path.name} of {own} may not import {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_imports_stay_where_they_belong(path):
    place = str(path.relative_to(ROOT / "jstr"))
    banned = {"tensorflow", "torch"} - ({"torch"} if place == "interop/convert.py" else set())
    if any(place.startswith((p + "/", p + ".")) for p in WITHOUT_JAX):
        banned |= {"jax", "flax"}
    assert not banned & {m.split(".")[0] for m in imported(path)}


@pytest.mark.parametrize("path", [p for p in FILES if unit(p) in ("models", "objectives")], ids=lambda p: p.name)
def test_models_and_objectives_know_no_data(path):
    assert not any(module.startswith("jstr.data") for module in edges(path))


def test_no_circle():
    """Depth first over all files: a file that is met again before it is done is part of a circle."""
    done, path = set(), []

    def visit(module):
        if module in done:
            return
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        path.append(module)
        for other in sorted(edges(MODULES[module])):
            visit(other)
        done.add(path.pop())

    for module in MODULES:
        visit(module)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.py")), ids=lambda p: p.name)
def test_configs_import_no_jstr(path):
    assert not any(m.split(".")[0] == "jstr" for m in imported(path))
