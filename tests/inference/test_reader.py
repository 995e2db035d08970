"""Readers: what they take, what they share, what they refuse."""

import jax
import numpy as np
import pytest
from testing import REAL_WORDS, saved_run

import jstr


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return jstr.load(saved_run(tmp_path_factory.mktemp("run")))


def test_readers_of_one_model_share_what_is_compiled(reader):
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 64, 1), np.uint8)
    expected = reader.read_batch(images)[1]
    other = reader.with_variables(jax.tree.map(lambda x: 2 * x, reader.variables))
    assert other._compiled is reader._compiled and other.spec is reader.spec
    compiled = reader._compiled.decode._cache_size()
    assert not np.allclose(other.read_batch(images)[1], expected)
    np.testing.assert_array_equal(reader.read_batch(images)[1], expected)
    assert reader._compiled.decode._cache_size() == compiled == 1


def test_one_image_or_several(reader):
    path = sorted(REAL_WORDS.glob("*.png"))[0]
    texts, confidences = reader.read(path)
    assert len(texts) == 1 and confidences.shape == (1,)
    assert reader.read([path, str(path)])[0] == texts * 2
    assert reader.read([])[0] == [] and reader.read([])[1].shape == (0,)
