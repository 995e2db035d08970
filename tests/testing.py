"""Tiny configs and made-up data for tests, and what tests of whole runs share."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import jax
import numpy as np

from configs import common

# compiler_options of jit with which users compile; the suite compiles quickly instead (conftest.py).
AS_SHIPPED: dict[str, int | bool | str] = {"xla_backend_optimization_level": 3}
if "fusion_emitters" in os.environ.get("XLA_FLAGS", ""):
    AS_SHIPPED["xla_cpu_use_fusion_emitters"] = True
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


def contrastive_config(joint: bool = False):
    """The same recogniser, learning from two views of words without labels (`joint`: half of them with)."""
    config = tiny_config()
    stream = "mixed" if joint else "unlabelled"
    sources = dict(rendered=common.rendered(seed=1) | (dict(labelled=False) if joint else {}))
    if joint:
        sources["labelled"] = common.rendered(seed=3)
    config.streams = {stream: common.views(8, sources, view0=dict(seqclr={}), view1=dict(seqclr={}))}
    config.objective = dict(name="seqclr", joint=joint, mapping="window", size=5)
    config.evals = {}
    return config


def quick_jit(function):
    """jax.jit that compiles in a third of the time, whatever the flags: for what runs once, on a few numbers."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def traced_step(config):
    """(shapes of the state after a step of a config, of its metrics): traced and not compiled, at full size."""
    from jstr.data.pipeline import example_batch
    from jstr.parallel import sharding
    from jstr.training import setup

    prepared = setup.prepare(config)
    batch = example_batch(config, prepared.objective.streams, prepared.reader.spec, prepared.reader.charset)
    begin, tx, _ = setup.plan_state(config, prepared.objective, batch)
    state = jax.eval_shape(begin, jax.random.PRNGKey(0))
    step = setup.make_step(config, prepared.objective, tx, sharding.make_mesh(config.mesh, jax.devices()[:1]))
    after, metrics = jax.eval_shape(step, state, jax.eval_shape(lambda: batch))
    assert jax.tree.map(np.shape, after) == jax.tree.map(np.shape, state)
    assert {leaf.dtype for leaf in jax.tree.leaves(after.params)} == {np.dtype("float32")}
    return after, metrics


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


def metric_rows(workdir: Path) -> list[dict]:
    """The rows of metrics.jsonl, without what depends on the clock."""
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    timed = ("seconds", "images_per_second", "data_wait")
    return [{name: value for name, value in row.items() if name not in timed} for row in rows]


def assert_same_weights(workdir: Path, other: Path, weights="student") -> None:
    """Two runs have the same weights and batch statistics, bit for bit."""
    from jstr.checkpoints.checkpoint import load_variables

    jax.tree.map(np.testing.assert_array_equal, load_variables(workdir, weights), load_variables(other, weights))


def interrupted(make_train_step, call: int, number=signal.SIGTERM):
    """make_train_step, whose step raises a signal before that call of it, counted from 1."""

    def make(*args, **options):
        step, calls = make_train_step(*args, **options), 0

        def counted(*state_and_batches):
            nonlocal calls
            calls += 1
            if calls == call:
                signal.raise_signal(number)
            return step(*state_and_batches)

        return counted

    return make


def start(*arguments, new_session=False, **environment) -> subprocess.Popen:
    """`python ARGUMENTS` in the repository root, output captured as text; new_session: in its own process group."""
    pipe = subprocess.PIPE
    env = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT}/tests"} | environment
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=pipe, stderr=pipe, text=True, start_new_session=new_session
    )


def call(*arguments, **environment) -> tuple[int, str, str]:
    """(exit status, stdout, stderr) of `python ARGUMENTS`."""
    process = start(*arguments, **environment)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def consistency_config(watched: bool = False):
    """The recogniser of tiny_config, learning by cr_str from rendered words, half of them without labels.

    watched: words held back, with labels for the metrics; both weights are evaluated; the best checkpoint is kept.
    """
    config = tiny_config()
    config.model.update(sequence="none", projection="mlp")
    config.objective = dict(name="cr_str", threshold=0.0, coral_threshold=0.0, labels="soft", hidden_labels=watched)
    both = dict(weak=dict(cr_weak={}), strong=dict(cr_strong=dict(spatial=0)))
    row = {} if watched else dict(labelled=False)
    config.streams.unlabelled = common.views(4, dict(rendered=common.rendered(seed=7) | row), **both)
    config.teacher = dict(decay=0.9, warmup=True)
    if watched:
        config.held_back.labelled = common.stream(8, dict(rendered=common.rendered(seed=8))) | dict(batches=2)
        config.held_back.unlabelled = common.views(4, dict(rendered=common.rendered(seed=9)), **both) | dict(batches=2)
        config.evals.teacher = common.rendered(seed=2, size=10) | dict(protocol="alnum36", weights="teacher")
        config.keep_best = "held_back/trust"
    return config


def saved_run(folder, **changes):
    """A workdir of an untrained recogniser; changes: of tiny_config."""
    from jstr.checkpoints import checkpoint
    from jstr.inference.reader import Reader

    config = tiny_config().to_dict() | changes
    reader = Reader(config)
    images = np.zeros((1, *reader.spec.size, 1), np.float32)
    variables = jax.jit(lambda: reader.model.init(jax.random.PRNGKey(3), images, train=False))()
    state = {"batch_stats": variables["batch_stats"]}
    checkpoint.save_variables(folder, {"model": variables["params"]}, state, {"config": config, "step": 0})
    return str(folder)


def language_config(tmp_path, **views):
    """A language model of a few thousand parameters on a list of seven words. views: of the stream `text`."""
    path = tmp_path / "list.txt"
    path.write_text("bad\ncafe\nbee\nhide\nfade\ndeaf\na\n")
    config = common.base()
    config.charset = dict(
        characters="abcdefghij", layout="abinet", max_length=5, lower=True, nfkc=False, drop_outside=True
    )
    config.model = dict(name="abinet_language", width=1 / 16, num_layers=2, dropout=0.0)
    config.objective = dict(name="masked_lm")
    row = dict(batch_size=16, sources=dict(list=dict(words=dict(path=str(path)))), views=views)
    config.streams.text = row
    config.held_back.text = row | dict(batches=1, views=dict(noised=dict(one_edit=dict(clean=0.0))))
    return config
