"""The folder that a machine without a network needs to run recipes: tools/recipe.py --bundle=DIR --data=DATA.

DIR/wheels: what such a machine may lack (its image has jax, flax, optax, orbax, opencv and numpy), for Python 3.12 on
x86-64. DIR/files.tar.xz: `project`, the files that git tracks; `data`, the words under DATA, at most HEIGHT pixels high
and as JPEG, and PP-OCRv6 small, packed from its installed package; `official`, the folder given as --official.
DIR/run.sh: installs and unpacks them and runs a recipe.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

import cv2
import numpy as np
import pack
from recipes import PPOCR

from jstr.data.sources.open import open_source
from jstr.text.messages import InputError

ROOT = Path(__file__).resolve().parents[1]
# The project's own dependencies that accelerator images lack, and theirs.
PACKAGES = (
    "grain", "array_record", "tensorflow-datasets", "ml_collections", "lmdb", "tensorboardX", "importlib_resources",
    "dm-tree", "immutabledict", "portpicker", "simple-parsing", "tensorflow-metadata", "termcolor", "toml",
    "docstring_parser", "cloudpickle", "attrs", "six", "einops", "googleapis-common-protos",
)  # fmt: skip
SOURCE_ONLY = ("promise",)  # has no wheel; one is made here, of Python alone
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
SETS = (
    "iiit5k/train", "svt/train", "icdar2003/train", "icdar2015/train", "iiit5k/test", "svt/test", "icdar2013/test",
    "mlt17_latin/unlabelled", "gw/train", "gw/test",
)  # fmt: skip
HEIGHT, QUALITY = 48, 88
LIMIT = 60 * 2**20
RUN = """#!/usr/bin/env bash
# bash run.sh RECIPE SECONDS OUT: installs what is missing beside the project, from this folder, and runs a recipe.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "$3")
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --no-index --no-deps --no-compile --target "$place/site" "$here"/wheels/*.whl
tar -xJf "$here/files.tar.xz" -C "$place"
export PYTHONPATH=$place/site:$place/project PYTHONUNBUFFERED=1
official=(); [ -d "$place/official" ] && official=(--official="$place/official")
data=(); [ -d "$place/data" ] && data=(--data="$place/data")
cd "$place/project"
python3 tools/recipe.py "$1" --budget="$2" --out="$out" "${data[@]}" "${official[@]}" "${@:4}"
"""


def make(out: Path, data: Path | None, official: str | None) -> None:
    """Writes the bundle and checks it: wheels install into an empty environment, all files together are below LIMIT.

    Raises:
      InputError: a package that cannot be had, or a bundle that is too large.
    """
    shutil.rmtree(out, ignore_errors=True)
    (out / "wheels").mkdir(parents=True)
    _wheels(out / "wheels")
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder)
        _project(files / "project")
        for name in SETS if data else ():
            shrink(data / f"{name}.tar", files / "data" / f"{name}.tar")
        if data:
            pack.run(["--workdir=ppocrv6-small", f"--out={files / 'data' / PPOCR}"])
        if official:
            shutil.copytree(official, files / "official", ignore=shutil.ignore_patterns(".git", "*.png", "*.ipynb"))
        with tarfile.open(out / "files.tar.xz", "w:xz") as tar:  # what the headers of tar and JPEG repeat, goes
            tar.add(files, arcname=".")
    (out / "run.sh").write_text(RUN)
    _install(out / "wheels")
    size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    if size > LIMIT:
        raise InputError(f"{out} has {size / 2**20:.1f} MiB, more than {LIMIT / 2**20:.0f}")
    print(f"{out}: {size / 2**20:.1f} MiB; its wheels install without a network; bash {out}/run.sh NAME SECONDS OUT")


def _wheels(folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    platforms = [f"--platform={name}" for name in PLATFORMS]
    where = ["--only-binary=:all:", "--python-version=3.12", "--implementation=cp", *platforms, "--no-deps"]
    for command in (
        [*pip, "download", *where, "-d", str(folder), *PACKAGES],
        [*pip, "wheel", "--no-deps", "-w", str(folder), *SOURCE_ONLY],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise InputError(f"pip could not collect the wheels: {done.stderr.strip().splitlines()[-1:]}")


def _project(folder: Path) -> None:
    """The tracked files, as they lie in the working tree."""
    names = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=True).stdout
    for name in filter(None, names.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def shrink(source: Path, target: Path) -> None:
    """A tar of word images with labels.tsv, again, its images at most HEIGHT high and as JPEG."""
    if not source.is_file():
        raise InputError(f"{source} is not there; give --data=DIR with the sets that the recipes read")
    words = open_source(source, labels="labels.tsv")
    target.parent.mkdir(parents=True, exist_ok=True)
    lines, files = [], []
    for number in range(len(words)):
        sample = words[number]
        pixels = cv2.imdecode(np.frombuffer(sample["image"], np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            continue
        if len(pixels) > HEIGHT:
            width = max(1, round(pixels.shape[1] * HEIGHT / len(pixels)))
            pixels = cv2.resize(pixels, (width, HEIGHT), interpolation=cv2.INTER_AREA)
        name = f"{Path(sample['key']).stem}.jpg"
        lines.append(f"{name}\t{sample['label'] or ''}\n")
        files.append((name, cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()))
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in [("labels.tsv", "".join(lines).encode()), *files]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def _install(wheels: Path) -> None:
    """The wheels, into an environment that has nothing else, without a network."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin/python"
        command = [str(python), "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", f"{folder}/site"]
        version = ["--only-binary=:all:", "--python-version=3.12", "--implementation=cp"]
        version += [f"--platform={name}" for name in PLATFORMS]
        done = subprocess.run([*command, *version, *map(str, wheels.glob("*.whl"))], capture_output=True, text=True)
        if done.returncode:
            raise InputError(f"the wheels do not install: {done.stderr.strip().splitlines()[-1:]}")
