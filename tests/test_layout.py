"""Who may import whom, checked in the source. Lower layers know nothing of higher ones."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ANY = None
# module or package -> what of jstr it may import; a package name allows all its modules.
MAY_IMPORT = {
    "core": (),
    "text": ("core",),
    "metrics": (),
    "losses": ("core",),
    "losses_consistency": ("losses", "core"),
    "decode": ("core",),
    "flops": (),
    "sharding": ("core",),
    "distributed": ("sharding", "core"),
    "target": (),
    "nn": ("nn", "core", "target"),
    "models": ("models", "nn", "decode", "core", "text"),
    "supervision": ("losses", "core"),
    "passes": ("nn", "core"),
    "draw": (),
    "consistency_terms": ("losses", "losses_consistency", "core"),
    "consistency": ("losses_consistency", "consistency_terms", "supervision", "passes", "draw", "core"),
    "objectives": (
        "losses", "losses_consistency", "consistency_terms", "consistency", "supervision", "passes", "draw", "decode",
        "text", "core", "nn",
    ),  # fmt: skip
    "data": ("data", "text", "core"),
    "augment": ("augment", "nn", "core"),
    "device_views": ("augment", "data", "core"),
    "device_data": ("core", "data", "sharding"),
    "step": ("core", "sharding", "teacher"),
    "teacher": ("checkpoint", "core"),
    "optim": ("core",),
    "packed": ("core",),
    "checkpoint": ("core", "packed"),
    "freeze": ("core",),
    "held_back": ("core", "data", "sharding"),
    "report": ("core", "metrics"),
    "check": ("core", "distributed", "metrics", "report", "sharding"),
    "convert": ("convert_names", "core", "text", "nn", "models"),
    "convert_names": ("nn",),
    "convert_abinet": ("convert", "convert_names", "core", "text", "nn", "models"),
    "ngram": ("core",),
    "beam_search": ("ngram",),
    "search": ("beam_search", "core", "data.word_lists", "ngram"),
    "reader": ("checkpoint", "packed", "core", "draw", "data.images", "decode", "models", "search", "text"),
    "evaluate": ("checkpoint", "packed", "core", "data", "metrics", "reader", "main"),
    "predict": ("core", "reader", "main"),
    "self_labels": ("core", "data", "distributed", "reader"),
    "predictions": ("data", "draw", "reader"),
    "views": ("core", "data", "device_views", "reader", "main"),
    "train": ANY,
    "main": ("core", "distributed", "report", "train"),
    "__init__": ("reader",),
}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


FILES = sorted((ROOT / "jstr").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_downwards(path):
    unit = path.relative_to(ROOT / "jstr").with_suffix("").parts[0]
    allowed = MAY_IMPORT[unit]
    modules = {str(p.relative_to(ROOT / "jstr").with_suffix("")).replace("/", ".") for p in FILES}
    ours = {m.removeprefix("jstr.") for m in imports(path) if m.startswith("jstr.")}
    wrong = [
        m for m in ours & (modules | {m.split(".")[0] for m in modules if "." in m})
        if allowed is not ANY and not any(m == a or m.startswith(a + ".") for a in allowed)
    ]  # fmt: skip
    assert not wrong, f"{path.name} may import {allowed}, not {wrong}"
    banned = {"tensorflow", "torch"} | ({"jax", "flax"} if unit in ("data", "text", "metrics") else set())
    assert not banned & {m.split(".")[0] for m in imports(path)}


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.py")), ids=lambda p: p.name)
def test_configs_import_no_jstr(path):
    assert not any(m.split(".")[0] == "jstr" for m in imports(path))
