"""The bench of convolutions: its forms compute the same, and it says how fast."""

import json

import bench_convolution
import numpy as np
import pytest


def test_the_forms_are_one_convolution():
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 5, 7, 4)).astype("f4"), rng.normal(size=(3, 3, 4, 4)).astype("f4")
    direct, *others = (form(x, kernel) for form in bench_convolution.forms().values())
    assert len(others) == 2
    for other in others:
        np.testing.assert_allclose(other, direct, atol=1e-4)


def test_the_gradients_are_those_of_one_convolution():
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 5, 7, 4)).astype("f4"), rng.normal(size=(3, 3, 4, 4)).astype("f4")
    g = rng.normal(size=(2, 5, 7, 4)).astype("f4")
    of = [bench_convolution.gradients(form)(x, kernel, g) for form in bench_convolution.forms().values()]
    for other in of[1:]:
        for theirs, direct in zip(other, of[0], strict=True):
            np.testing.assert_allclose(theirs, direct, atol=1e-4)


@pytest.mark.parametrize("more", [[], ["--gradients"]])
def test_a_line_for_each_layer(tmp_path, monkeypatch, capsys, more):
    monkeypatch.setattr(bench_convolution, "LAYERS", ((3, 4, 8),))
    monkeypatch.setattr(bench_convolution, "SIZE", 32)
    file = tmp_path / "rates.json"
    bench_convolution.run(["--batches=1,2", "--seconds=0.01", f"--json={file}", *more])
    assert len(capsys.readouterr().out.splitlines()) == 3
    row = json.loads(file.read_text())["gflops"]["2 x 3 x 4 x 8"]
    assert set(row) == set(bench_convolution.forms()) and all(value > 0 for value in row.values())
