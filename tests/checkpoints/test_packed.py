"""A recogniser in one small file reads as the run it came from."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from testing import REAL_WORDS, ROOT, quick_jit, tiny_config

import jstr
from jstr.checkpoints import checkpoint, packed
from jstr.checkpoints.init_from import init_from
from jstr.core import InputError
from jstr.inference.reader import Reader

sys.path.insert(0, str(ROOT / "tools"))
import pack  # noqa: E402


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed")
    config = tiny_config().to_dict()
    reader = Reader(config)
    images = jnp.zeros((1, *reader.spec.size, 1))
    variables = quick_jit(lambda: reader.model.init(jax.random.PRNGKey(3), images, train=False))()
    variables = jax.tree.map(np.asarray, variables)
    state = {"batch_stats": variables["batch_stats"]}
    meta = {"config": config, "step": 7, "commit": "abc"}
    checkpoint.save_variables(folder / "run", {"model": variables["params"], "extra": np.ones(3)}, state, meta)
    pack.run([f"--workdir={folder / 'run'}", f"--out={folder / 'new' / 'reader.npz'}"])
    return folder / "run", folder / "new" / "reader.npz"


def test_reads_as_the_run_does(files):
    images = sorted(REAL_WORDS.glob("*.png"))[:8]
    run, small = (jstr.load(path).logits(images) for path in files)
    np.testing.assert_allclose(small, run, atol=0.02 * float(np.abs(run).max()))
    assert np.abs(small - run).max() > 0  # half precision, not the same file


def test_is_small_and_holds_no_more_than_reading_needs(files):
    run, small = files
    saved, (meta, loaded) = checkpoint.load_variables(run), packed.load(small)
    assert set(loaded["params"]) == {"model"} and set(meta["config"]) == set(pack.KEPT) and meta["step"] == 7
    size = sum(x.nbytes for x in jax.tree.leaves(saved))
    assert small.stat().st_size < 0.75 * size
    assert all(x.dtype == np.float32 for x in jax.tree.leaves(loaded))


def test_training_starts_from_it(files):
    _, small = files
    loaded = packed.load(small)[1]
    zeros = jax.tree.map(np.zeros_like, loaded)
    params, state, _ = init_from(zeros["params"], zeros["model_state"], [("model", str(small), "model")])
    jax.tree.map(np.testing.assert_array_equal, (params, state), (loaded["params"], loaded["model_state"]))


def test_large_values_stay_exact(tmp_path):
    wide = {"model": {"kernel": np.array([[1e6, 1.0]], np.float32), "bias": np.array([1e-7], np.float32)}}
    packed.save(tmp_path / "a.npz", wide, {}, {"config": {}})
    got = packed.load(tmp_path / "a.npz")[1]["params"]["model"]
    np.testing.assert_array_equal(got["kernel"], wide["model"]["kernel"])
    np.testing.assert_array_equal(got["bias"], wide["model"]["bias"])


@pytest.mark.parametrize("content, words", [(None, "No such file"), (b"no", "packed rec"), (b"PK\3\4", "packed rec")])
def test_what_is_no_packed_file_is_named(tmp_path, content, words):
    path = tmp_path / "x.npz"
    if content:
        path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        jstr.load(path)
