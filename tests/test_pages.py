"""The pages: links and anchors lead somewhere, and commands name modules, scripts, configs and flags that exist."""

import functools
import importlib.util
import re
import shlex
from pathlib import Path

import pytest
from testing import ROOT

from jstr.__main__ import COMMANDS
from jstr.cli.config_file import find_config

FOLDERS = "configs", "tools", "jstr", "tests"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchor(heading: str) -> str:
    """The fragment that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return {anchor(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def commands(page: Path) -> list[str]:
    """Lines of the page, or pieces of code in them, that run python; continued lines are joined."""
    text = page.read_text().replace("\\\n", " ")
    found = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    found += re.findall(r"`([^`\n]+)`", text)
    parts = (part.strip() for line in found for part in re.split(r"&&|;", line))
    return [part for part in parts if "python " in part or re.match(r"jstr [a-z]", part)]


def target_and_options(command: str) -> tuple[str, list[str]]:
    """(module or script, options) of `python -m MODULE ...`, `python SCRIPT ...` or `jstr COMMAND ...`."""
    words = shlex.split(command.split(" #")[0])
    if words[0] == "jstr":
        return COMMANDS[words[1]][0], words[2:]
    words = words[next(i for i, word in enumerate(words) if word.endswith("python")) + 1 :]
    return (words[1], words[2:]) if words[0] == "-m" else (words[0], words[1:])


@functools.cache
def source(target: str) -> str:
    """The text of a module (`jstr.main`) or script (`tools/study.py`), with what it imports of jstr, for its flags."""
    if target.endswith(".py"):
        path = ROOT / target
    else:
        found = importlib.util.find_spec(target)
        assert found and found.origin, f"there is no module {target}"
        path = Path(found.origin)
        path = path.with_name("__main__.py") if path.name == "__init__.py" else path
    assert path.is_file(), f"there is no {target}"
    others = [ROOT / f"{m.replace('.', '/')}.py" for m in re.findall(r"(?:from|import) (jstr[\w.]*)", path.read_text())]
    return "\n".join(p.read_text() for p in [path, ROOT / "jstr/cli/__init__.py", *others] if p.is_file())


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in LINK.findall(page.read_text()):
        if "://" in link:
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not fragment or fragment in anchors(target), f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_name_what_exists(page):
    for command in commands(page):
        target, words = target_and_options(command)
        text = source(target)
        for word in words[: words.index("--")] if "--" in words else words:
            if word.startswith("--config=") and not word.startswith(("--config=configs/mine.py", "--config=NAME")):
                find_config(word.removeprefix("--config="))
            flag = re.match(r"--(?:no)?([A-Za-z_]\w*)", word.strip("[]"))
            if flag and not word.startswith("--config"):
                name = flag[1]
                assert re.search(rf'"(--)?(no)?{name}"|"--no{name}"', text), f"{page.name}: {command}: {name}"


def test_config_keys_of_the_pages_exist():
    """`--config.KEY=VALUE` in a page names a key of configs.common.base, or one that a config adds at its top."""
    from configs import common

    base = common.base()
    known = set(base) | {"words", "fonts", "photos", "find", "labels", "lexicon", "outlook", "test"}
    for page in PAGES:
        for path in re.findall(r"--config\.([\w.]+)", page.read_text()):
            assert path.split(".")[0] in known, f"{page.name}: {path}"


def test_every_result_is_listed():
    """Each file of configs/results is linked from its page."""
    page = ROOT / "configs/results/README.md"
    links = set(LINK.findall(page.read_text()))
    assert {p.name for p in page.parent.iterdir() if p.suffix in (".json", ".png")} <= links
