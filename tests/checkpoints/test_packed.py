"""A recogniser in one small file reads as the run it came from."""

import contextlib
import functools
import json
import operator
import sys
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util
from testing import REAL_WORDS, ROOT, quick_jit, saved_run, tiny_config

import jstr
from jstr.checkpoints import checkpoint, packed
from jstr.checkpoints.init_from import init_from
from jstr.inference import word_copy
from jstr.inference.calibration import expected_texts
from jstr.inference.reader import Reader
from jstr.text.messages import InputError

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


def test_several_runs_are_averaged(files, tmp_path):
    run, _ = files
    (meta, saved), out = (checkpoint.read_meta(run), checkpoint.load_variables(run)), tmp_path / "average.npz"
    other = jax.tree.map(lambda x: np.asarray(x) + 1, saved)
    checkpoint.save_variables(tmp_path / "other", other["params"], other["model_state"], meta)
    given = [f"--workdir={run}", f"--workdir={tmp_path / 'other'}", f"--workdir={tmp_path / 'other'}"]
    pack.run([*given, f"--out={out}"])
    meta, loaded = packed.load(out)
    for part in ({"model": saved["params"]["model"]}, loaded["params"]), (saved["model_state"], loaded["model_state"]):
        jax.tree.map(lambda one, mean: np.testing.assert_allclose(mean, one + 2 / 3, rtol=1e-3, atol=1e-3), *part)
    assert meta["averaged"] == [{"step": 7, "commit": "abc"}] * 3 and jstr.load(out)


def test_runs_that_are_different_are_not_averaged(files, tmp_path):
    run, small = files
    meta, loaded = packed.load(small)
    for name, value in (("image", {"size": (1, 1)}), ("charset", {"characters": "ab"}), ("model", {})):
        given = {"config": checkpoint.read_meta(run)["config"] | {name: value}, "step": 7}
        checkpoint.save_variables(tmp_path / name, loaded["params"], loaded["model_state"], given)
        with pytest.raises(InputError, match=f"{name} has another config.{name} than .*run; only runs that began"):
            pack.run([f"--workdir={run}", f"--workdir={tmp_path / name}", f"--out={tmp_path / 'a.npz'}"])


def test_reads_with_the_words_of_the_run(tmp_path):
    """Also with what was kept of them, and their pattern; --language_model stands before it."""
    words = tmp_path / "list.txt"
    words.write_text("santa\nsanta\nsanta\nhotel\n")
    options = dict(language_model=dict(words=str(words), weight=0.3, width=4), pattern=dict(regex="[a-z]+"))
    run, out = saved_run(tmp_path / "run", **options), tmp_path / "packed.npz"
    word_copy.keep(run, options)
    words.unlink()
    pack.run([f"--workdir={run}", f"--out={out}"])
    expected = expected_texts(jstr.load(run))
    assert expected_texts(jstr.load(out)) == expected and "weight 0.3" in expected["words"]
    pack.run([f"--workdir={run}", f"--out={out}", "--language_model=none"])
    assert expected_texts(jstr.load(out)) == expected | dict(words=None)


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


def test_damaged_and_hostile_files_are_refused_in_one_line(files, tmp_path):
    whole = files[1].read_bytes()
    path, rng = tmp_path / "reader.npz", np.random.default_rng(0)

    def refused(says="is not a packed recogniser"):
        with pytest.raises(InputError, match=says) as error:
            packed.load(path)
        assert "\n" not in str(error.value) and str(path) in str(error.value)

    for cut in (0, 10, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:cut])
        refused()
    for at in rng.integers(0, len(whole), 60).tolist():  # damaged in one place: refused, or the same names
        path.write_bytes(whole[:at] + rng.bytes(8) + whole[at + 8 :])
        with contextlib.suppress(InputError):
            assert set(packed.load(path)[1]) == {"params", "model_state"}
    np.savez_compressed(path, meta=np.array("{}"), **{"params/a": np.array(["text"])})
    refused()
    np.savez_compressed(path, meta=np.array("{}"), **{"params/a": np.zeros(1), "params/a/b": np.zeros(1)})
    refused()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:  # 1 MB that unpacks to 1.1 GB
        with archive.open("params.npy", "w", force_zip64=True) as member:
            for _ in range(1100):
                member.write(bytes(1 << 20))
    refused()
    with zipfile.ZipFile(path, "w") as archive:  # a header that asks for 40 GB
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000,)}\n"
        archive.writestr("params.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    refused()


@pytest.mark.parametrize(
    "path, value",
    [
        ("model", None),
        ("model.width", 2.0**70),
        ("model.name", {}),
        ("image", {"a": 1}),
        ("image.size", None),
        ("image.size", [10**6, 10**6]),
        ("charset.characters", 0.5),
        ("charset.characters", "file:/dev/zero"),
        ("charset.layout", {}),
        ("charset.max_length", "\ud800"),
        ("language_model", 3),
    ],
)
def test_configs_of_another_form_are_one_line(files, tmp_path, path, value):
    """A file of somebody else may hold any config."""
    meta, variables = packed.load(files[1])
    *parents, name = ("config." + path).split(".")
    functools.reduce(operator.getitem, parents, meta)[name] = value
    with open(tmp_path / "reader.npz", "wb") as file:
        flat = traverse_util.flatten_dict(variables, sep="/")
        np.savez(file, meta=np.array(json.dumps(meta)), **flat)
    with pytest.raises(InputError) as error:
        jstr.load(tmp_path / "reader.npz")
    assert "\n" not in str(error.value) and len(str(error.value)) < 600
