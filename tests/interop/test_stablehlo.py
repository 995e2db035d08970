"""StableHLO networks are written for all platforms, and loaded for this one. Their values: see test_onnx_models."""

import jax
import numpy as np
import pytest
from onnx_testing import ABINET, CTC, config, images, jax_probabilities, random_variables

from jstr.interop import stablehlo
from jstr.models import abinet_vision
from jstr.models.four_stage import Model
from jstr.text.messages import InputError


def test_fast_convolutions_for_all_platforms(tmp_path):
    model = Model(config(CTC), features="compact", transformation="tps", sequence="none", width=1 / 4, num_fiducials=6)
    variables, pixels = random_variables(model), images(model, 2)
    files = stablehlo.write(tmp_path, model, variables, None)
    assert sorted(files) == [f"reader-{platform}.stablehlo" for platform in ("cpu", "cuda", "tpu")]
    found = stablehlo.load(tmp_path, files)["reader"](images=pixels)[0]
    np.testing.assert_allclose(found, jax_probabilities(model, variables, pixels), atol=2e-5)
    with pytest.raises(InputError, match="no network for cpu"):
        stablehlo.load(tmp_path, [name for name in files if "cpu" not in name])
    (tmp_path / files[0]).write_bytes(b"damaged")
    with pytest.raises(InputError, match="jax .* cannot read it"):
        stablehlo.load(tmp_path, files)


def test_a_fixed_batch(tmp_path):
    fields = dict(width=1 / 16, blocks=(1,) * 5, num_layers=1, attention="additive")
    model = abinet_vision.Model(config(ABINET, (16, 20)), **fields)
    files = stablehlo.write(tmp_path, model, random_variables(model), 2, ("cpu",))
    exported = jax.export.deserialize(bytearray((tmp_path / files[0]).read_bytes()))
    assert exported.in_avals[0].shape == (2, 16, 20, 1) and exported.platforms == ("cpu",)
