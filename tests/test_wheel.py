"""The package as it is installed: built, put into a folder of its own, and run in an empty one."""

import os
import shutil
import subprocess
import sys

import pytest
from testing import REAL_WORDS, ROOT

import jstr

BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"
LOAD_ALL = """
import os
from jstr.cli import config_file

for name in config_file.names():
    needs_teacher = name in ("noisy_student", "pseudo_label")
    config = config_file.load_config(f"{name}:teacher=somewhere" if needs_teacher else name)
    missing = [row.path for row in config.evals.values() if os.path.isabs(row.get("path", ""))]
    assert not missing, missing
    assert name != "adapt" or config.init_from[0][1] == "bundled", "its charset comes from the file that is installed"
print(config_file.FOLDER, len(config_file.names()))
"""
MINE = """
from configs import common, quickstart

def get_config(arg=""):
    return common.apply(quickstart.get_config(), "runlocal")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the package as pip installs it from its source distribution."""
    source, out, target = (tmp_path_factory.mktemp(name) for name in ("source", "out", "installed"))
    for name in ("jstr", "configs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "results", "studies"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy(ROOT / name, source / name)
    built = subprocess.run([sys.executable, "-c", BUILD, str(out)], cwd=source, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, f"--target={target}", out / built.stdout.split()[-1]], check=True)
    return target


@pytest.fixture
def call(installed, tmp_path):
    """Runs `python ARGUMENTS`, or `jstr ARGUMENTS`, of the installed package in an empty folder."""
    folder = tmp_path / "empty"
    folder.mkdir()

    def run(*arguments, status=0) -> str:
        program = [installed / "bin/jstr"] if arguments[0] == "jstr" else [sys.executable]
        more = arguments[1:] if arguments[0] == "jstr" else arguments
        env = os.environ | {"PYTHONPATH": str(installed)}
        done = subprocess.run([*program, *map(str, more)], cwd=folder, env=env, capture_output=True, text=True)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_what_is_installed(installed, call):
    assert {p.name for p in installed.iterdir()} == {"bin", "jstr", f"jstr-{jstr.__version__}.dist-info"}
    assert {"py.typed", "configs", "bundled"} <= {p.name for p in (installed / "jstr").iterdir()}
    for name in ("LICENCES.md", "fonts/Arvo-Bold.LICENSE.txt", "words/korean.txt", "fonts_korean/README.md"):
        assert (installed / "jstr/data" / name).is_file(), name
    data = (installed / f"jstr-{jstr.__version__}.dist-info/METADATA").read_text()
    assert "License-Expression: Apache-2.0" in data and "Author: jstr authors" in data
    assert (installed / f"jstr-{jstr.__version__}.dist-info/licenses/LICENSE").is_file()
    assert call("jstr", "--version").strip() == f"jstr {jstr.__version__}"
    assert call("-c", LOAD_ALL).startswith(str(installed / "jstr/configs"))


def test_a_file_of_the_user_imports_ours(call, tmp_path):
    (tmp_path / "empty/mine.py").write_text(MINE)
    code = "from jstr.cli.config_file import load_config; print(load_config('mine.py').steps)"
    assert call("-c", code).strip() == "2"


def test_training(call):
    out = call("-m", "jstr.main", "--config=quickstart:runlocal", "--workdir=a")
    assert f"jstr at commit v{jstr.__version__}" in out
    assert out.splitlines()[-1] == "python -m jstr.predict --workdir=a IMAGE"


def test_adapting(call, tmp_path):
    """From the fresh weights of a tiny recogniser; that `adapt` finds the bundled one is seen above."""
    images = tmp_path / "images"
    images.mkdir()
    for path in sorted(REAL_WORDS.glob("*.png"))[:12]:
        shutil.copy(path, images)
    call("jstr", "adapt", images, "--workdir=w", "--config=adapt:runlocal")
    assert len((tmp_path / "empty/w/predictions.tsv").read_text().splitlines()) == 12


def test_other_commands(call, tmp_path):
    word = REAL_WORDS / "iiit5k_685_2.png"
    assert call("-m", "jstr.predict", "--workdir=bundled", word).split("\t")[1] == "santa"
    assert "64 of 64 images read" in call("-m", "jstr.data.inspect", REAL_WORDS)
    assert "complete" in call("jstr", "prepare", "--from=folder", f"--src={REAL_WORDS}", "--out=set", "--jobs=1")
    (tmp_path / "empty/weights.pth").write_text("not a checkpoint")
    said = call("jstr", "convert", "--format=dtrb", "--checkpoint=weights.pth", "--out=w", status=2)
    assert "needs torch" in said or "cannot be read as a checkpoint" in said
