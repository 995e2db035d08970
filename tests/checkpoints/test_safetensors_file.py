"""Parameters as safetensors files: what was written comes back, as a start of training too, and damage is one line."""

import json

import numpy as np
import pytest

from jstr.checkpoints import packed, safetensors_file
from jstr.checkpoints.init_from import init_from
from jstr.text.messages import InputError

numpy_file = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed: pip install -e '.[test]'")
META = {"config": {"charset": {"characters": "abc"}}, "step": 7, "licence": "mine", "source": {"workdir": "runs/a"}}
PARAMS = {"model": {"body": {"kernel": np.arange(4.0, dtype=np.float32).reshape(2, 2)}}}
STATE = {"batch_stats": {"body": {"mean": np.array([1, 2], np.float16)}}}


@pytest.fixture
def file(tmp_path):
    safetensors_file.save(tmp_path / "a.safetensors", PARAMS, STATE, META)
    return tmp_path / "a.safetensors"


def fresh(*shape):
    return {"model": {"body": {"kernel": np.zeros(shape)}}}, {"batch_stats": {"body": {"mean": np.zeros(2)}}}


def test_what_was_written_comes_back(file):
    meta, saved = packed.load(file)
    assert meta["config"]["charset"]["characters"].endswith("abc") and {**meta, "config": 0} == {**META, "config": 0}
    np.testing.assert_array_equal(saved["params"]["model"]["body"]["kernel"], PARAMS["model"]["body"]["kernel"])
    assert saved["model_state"]["batch_stats"]["body"]["mean"].tolist() == [1, 2]
    assert json.loads(json.dumps(meta)) == meta
    (beside := file.with_name("beside")).touch()
    assert file.stat().st_mode == beside.stat().st_mode, "others may read it as they may any new file"


def test_training_starts_from_it(file):
    params, state, lines = init_from(*fresh(2, 2), [("model", str(file), "model")])
    np.testing.assert_array_equal(params["model"]["body"]["kernel"], PARAMS["model"]["body"]["kernel"])
    assert state["batch_stats"]["body"]["mean"].tolist() == [1, 2] and "a.safetensors" in lines[0]
    with pytest.raises(InputError, match=r"kernel has shape \(2, 3\), there \(2, 2\)"):
        init_from(*fresh(2, 3), [("model", str(file), "model")])


@pytest.mark.parametrize("keep", [0, 4, 60, -3])
def test_part_of_a_file(file, keep):
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(InputError, match="a.safetensors is damaged or not a safetensors file") as raised:
        packed.load(file)
    assert "\n" not in str(raised.value)


def test_files_of_others(tmp_path, file):
    with pytest.raises(InputError, match="b.safetensors does not exist"):
        packed.load(tmp_path / "b.safetensors")
    numpy_file.save_file({"a": np.zeros(2, np.float32)}, file)
    with pytest.raises(InputError, match="jstr export --to=safetensors did not write it"):
        packed.load(file)
    for text in ("{", "[]", '{"step": 1}'):
        numpy_file.save_file({"params/a": np.zeros(2, np.float32)}, file, metadata={"jstr": text})
        with pytest.raises(InputError, match="metadata 'jstr' are damaged"):
            packed.load(file)
    numpy_file.save_file(
        {"params/a": np.zeros(2), "params/a/b": np.zeros(2)}, file, metadata={"jstr": '{"config": {}}'}
    )
    with pytest.raises(InputError, match="a.safetensors is damaged"):
        packed.load(file)
    file.unlink()
    file.mkdir()
    with pytest.raises(InputError, match="a.safetensors"):
        packed.load(file)
