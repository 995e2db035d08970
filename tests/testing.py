"""Tiny configs and made-up data for tests."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from configs import common

ROOT = Path(__file__).resolve().parents[1]
REAL_WORDS = ROOT / "tests/data/real_words"


def tiny_config(**sources):
    """A CRNN of a few thousand parameters on rendered words (or on `sources`), four steps of eight images."""
    config = common.base()
    config.model = common.crnn(width=0.0625)
    config.image.size = (32, 64)
    config.streams.labelled = common.stream(8, sources or dict(rendered=common.rendered(seed=1)))
    config.evals.rendered = common.rendered(seed=2, size=10) | dict(protocol="alnum36")
    config.steps, config.log_every, config.eval_every, config.save_every = 4, 2, 2, 2
    return config


def write_folder(folder: Path, words, suffix=".png", shape=(20, 60, 3)) -> Path:
    """An image folder with labels.tsv: noise pictures of the given labels."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    lines = []
    for i, word in enumerate(words):
        picture = rng.integers(0, 256, shape, np.uint8)
        (folder / f"{i:04d}{suffix}").write_bytes(cv2.imencode(suffix, picture)[1].tobytes())
        lines.append(f"{i:04d}{suffix}\t{word}\n")
    (folder / "labels.tsv").write_text("".join(lines))
    return folder


def start(*arguments, **environment) -> subprocess.Popen:
    """`python ARGUMENTS` in the repository root, output captured as text."""
    pipe = subprocess.PIPE
    env = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT}/tests"} | environment
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=pipe, stderr=pipe, text=True)


def call(*arguments, **environment) -> tuple[int, str, str]:
    """(exit status, stdout, stderr) of `python ARGUMENTS`."""
    process = start(*arguments, **environment)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err
