"""Benchmarks: what they count, print and write. No time is tested."""

import json
import os
import subprocess
import sys

import bench_passes
import flops
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from testing import ROOT, call, consistency_config, contrastive_config, tiny_config

LAYOUT = ("NHWC", "HWIO", "NHWC")


def total(function, *arrays):
    return sum(p.flops for p in flops.products(jax.make_jaxpr(function)(*arrays).jaxpr))


def test_matrix_products():
    a, b = jnp.ones((5, 3, 4)), jnp.ones((5, 4, 7))
    assert total(jnp.matmul, a, b) == 2 * 5 * 3 * 4 * 7
    assert total(jax.grad(lambda a, b: (a @ b).sum(), (0, 1)), a, b) == 3 * 2 * 5 * 3 * 4 * 7


@pytest.mark.parametrize(
    "stride, dilation, padding", [(1, 1, "SAME"), (2, 1, "SAME"), (1, 2, "VALID"), (3, 1, "VALID")]
)
def test_convolutions_count_products_with_pixels(stride, dilation, padding):
    """Equal to the sum of a convolution of ones with ones; each gradient takes as many."""
    x, w = jnp.ones((2, 9, 8, 3)), jnp.ones((3, 2, 3, 5))

    def conv(x, w):
        return jax.lax.conv_general_dilated(
            x, w, (stride, 2), padding, rhs_dilation=(dilation, 1), dimension_numbers=LAYOUT
        )

    wanted = 2 * float(conv(x, w).sum())
    assert total(conv, x, w) == wanted
    assert total(jax.grad(lambda x, w: (conv(x, w) ** 2).sum(), (0, 1)), x, w) == 3 * wanted


def test_grouped_convolutions():
    x, w = jnp.ones((2, 6, 6, 4)), jnp.ones((3, 3, 2, 8))

    def conv(x, w):
        return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=LAYOUT, feature_group_count=2)

    wanted = 2 * float(conv(x, w).sum())
    assert total(conv, x, w) == wanted
    assert total(jax.grad(lambda x, w: (conv(x, w) ** 2).sum(), (0, 1)), x, w) == 3 * wanted


def test_loops_count_with_their_length():
    w, x = jnp.ones((4, 4)), jnp.ones(4)
    one = 2 * 4 * 4
    assert total(lambda x: jax.lax.scan(lambda c, _: (w @ c, None), x, None, length=7)[0], x) == 7 * one
    branches = (lambda x: x, lambda x: w @ (w @ x), lambda x: w @ x)
    assert total(lambda x: jax.lax.switch(1, branches, x), x) == 2 * one
    loop = jax.make_jaxpr(lambda x: jax.lax.while_loop(lambda c: c[0] > 0, lambda c: w @ c, x))(x)
    (product,) = flops.products(loop.jaxpr)
    assert product.unknown and product.flops == one
    assert total(jax.checkpoint(lambda x: jnp.sin(w @ x)), x) == one


def test_layers_by_name(monkeypatch):
    found = [
        flops.Product("extractor/conv_0/conv", False, 2e9, False),
        flops.Product("extractor/conv_0/conv", True, 4e9, False),
        flops.Product("extractor/conv_1", False, 1e9, False),
    ]
    assert flops.layer_table(found) == {"extractor/conv_0": (2e9, 4e9), "extractor/conv_1": (1e9, 0.0)}
    assert flops.layer_table(found, depth=1) == {"extractor": (3e9, 4e9)}
    assert flops.as_markdown(flops.layer_table(found, 1)).splitlines()[-1] == "| all | 3.000 | 4.000 |"


def test_the_layers_of_a_recogniser():
    """Backward takes twice the forward of every layer but the first, whose image needs no gradient."""
    import flax.linen as nn

    class Model(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(8, name="last")(nn.relu(nn.Dense(16, name="first")(x)))

    model, x = Model(), jnp.ones((5, 4))
    params = model.init(jax.random.PRNGKey(0), x)
    trace = jax.make_jaxpr(jax.jit(jax.grad(lambda p: (model.apply(p, x) ** 2).sum())))(params)
    table = flops.layer_table(list(flops.products(trace.jaxpr)), depth=1)
    first, last = 2 * 5 * 4 * 16, 2 * 5 * 16 * 8
    assert table == {"first": (first, first), "last": (last, 2 * last)}


def test_peaks_by_kind_of_device():
    kinds = {"TPU v5 lite": 197, "TPU v5": 459, "TPU v5x": None, "NVIDIA H200": 989, "NVIDIA H100 80GB HBM3": 989}
    kinds |= {"NVIDIA H100 PCIe": 756, "NVIDIA L4": 121, "NVIDIA L40S": 362}
    assert {kind: flops.peak_tflops(kind) for kind in kinds} == kinds
    assert flops.peak_tflops("cpu") is None and flops.peak_tflops("NVIDIA H1") is None


def test_every_view_counts():
    both = dict(labelled=("image", "tokens"), unlabelled=("weak", "strong", "tokens", "has_label"))
    assert bench_passes.views_per_step(consistency_config(), both) == 8 + 2 * 4
    assert bench_passes.views_per_step(contrastive_config(), dict(unlabelled=("view0", "view1"))) == 16
    assert bench_passes.views_per_step(tiny_config(), dict(labelled=("tokens", "noised"))) == 8


TRAIN = ["tools/bench_train.py", "--config=tests/tiny.py", "--bench_steps=2", "--bench_windows=2"]


def test_bench_train(tmp_path):
    file = tmp_path / "a.json"
    options = ["--config.steps_per_dispatch=2", "--peak_tflops=0.5", "--layers", f"--json={file}"]
    status, out, err = call(*TRAIN, *options, f"--profile={tmp_path / 'trace'}")
    assert status == 0, err
    found = json.loads(file.read_text())
    assert found["images_per_step"] == 8 and found["steps_per_dispatch"] == 2
    for part in (found["resident"], found["real"]):
        assert part["ms_min"] <= part["ms_per_step"] <= part["ms_max"]
        np.testing.assert_allclose(part["images_per_second"], 8000 / part["ms_per_step"])
        assert 0 <= part["data_wait"] <= 1
    np.testing.assert_allclose(found["share_of_peak"], found["tflops_per_device"] / 0.5)
    rate = found["gflop_by_hand"] / found["resident"]["ms_per_step"] / found["devices"]
    np.testing.assert_allclose(found["tflops_per_device"], rate)
    assert 0 < found["program_memory_mib"] < found["peak_memory_mib"]
    assert "| extractor/conv_5 |" in out and list((tmp_path / "trace").rglob("*.xplane.pb"))

    status, out, err = call(*TRAIN, "--nobench_real_input", "--config.steps_per_dispatch=2", f"--compare={file}")
    assert status == 0, err
    assert "real input left out: --nobench_real_input" in out
    assert "share of peak: that of cpu is not known, give --peak_tflops" in out
    ratios = {row.split("|")[1].strip(): float(row.split("|")[4]) for row in out.splitlines()[-9:] if "| GFLOP" in row}
    assert ratios == {"GFLOP/step, XLA": 1.0, "GFLOP/step, by hand": 1.0}


def test_bench_input(tmp_path):
    file = tmp_path / "a.json"
    command = ["tools/bench_input.py", "--config=configs/cr_str.py:runlocal", "--bench_seconds=0.1", "--workers=0"]
    status, out, err = call(*command, "--images_per_second=1000", f"--json={file}")
    assert status == 0, err
    found = json.loads(file.read_text())
    rows = list(found["one_core"])
    assert rows[:3] == [f"labelled/rendered: {s}" for s in ("read or render", "+ decode", "+ resize")]
    assert any("view weak (cr_weak)" in row for row in rows) and rows[-1] == "all streams: + batch, threads"
    assert all(rate > 0 for rate in found["one_core"].values()) and set(found["workers"]) == {"0"}
    assert found["views_per_image"] == 1.5
    assert found["cores_needed"] == int(np.ceil(1000 / 1.5 / found["one_core"][rows[-1]]))


def test_bench_decode(tmp_path):
    """An attention decoder that never ends a word runs all steps; one that ends every word runs one."""
    file = tmp_path / "a.json"
    command = ["tools/bench_decode.py", "--batches=1,2", "--bench_seconds=0.1", f"--json={file}"]
    status, out, err = call(
        *command,
        "--config=tests/tiny.py",
        "--config.model.prediction=attention",
        "--config.charset.layout=cr_attention",
    )
    assert status == 0, err
    ms = json.loads(file.read_text())["ms"]
    names = "all steps", "one step", "decoder alone, all steps"
    assert set(ms) == {f"batch {n}, {name}" for n in (1, 2) for name in names}
    assert 0 < ms["batch 2, one step"] and 0 < ms["batch 2, decoder alone, all steps"] and "images/s" in out
    status, out, err = call(*command, "--config=configs/abinet_language.py:compact")
    assert status == 2 and "reads no images" in err


def test_bench_render_from_any_folder(tmp_path):
    few = "import bench_render as bench; bench.WARM_UP = bench.COUNT = 2; bench.run(['--json=a.json'])"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONPATH": str(ROOT / "tools")}
    subprocess.run([sys.executable, "-c", few], cwd=tmp_path, env=environment, check=True)
    rates = json.loads((tmp_path / "a.json").read_text())["images_per_second_one_core"]
    assert list(rates) == ["default", "plain", "every effect"] and all(rate > 0 for rate in rates.values())


@pytest.mark.parametrize(
    "command, says",
    [
        ([*TRAIN, "--compare=/nowhere.json"], "--compare=/nowhere.json: "),
        (["tools/bench_input.py", "--config=tests/tiny.py", "--workers=few"], "--workers=few: give numbers"),
    ],
)
def test_one_clear_line(command, says):
    status, out, err = call(*command)
    assert status == 2 and err.startswith(f"error: {says}") and len(err.splitlines()) == 1 and not out
