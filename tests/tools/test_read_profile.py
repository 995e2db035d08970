"""Traces of a CPU, and the times of kernels that run inside others."""

import json

import jax
import jax.numpy as jnp
import pytest
import read_profile

from jstr.text.messages import InputError


def test_a_kernel_counts_without_those_inside_it():
    events = [(0, 100, "while"), (10, 30, "dot.1"), (15, 20, "copy"), (40, 60, "dot.1"), (100, 120, "dot.2")]
    times = {}
    for name, time in read_profile.own_times(events):
        times[name] = times.get(name, 0) + time
    assert times == {"while": 60, "dot.1": 35, "copy": 5, "dot.2": 20}
    assert read_profile.by_kind(times) == {"while": 60, "dot": 55, "copy": 5}
    assert list(read_profile.own_times([(0, 10, "a"), (5, 20, "b")])) == [("a", 10), ("a", -5), ("b", 15)], "overlap"


def test_a_trace_of_a_cpu_names_its_kernels(tmp_path, capsys):
    product = jax.jit(lambda x: jnp.sin(x) @ x)
    x = jnp.ones((256, 256))
    product(x).block_until_ready()
    with jax.profiler.trace(str(tmp_path)):
        product(x).block_until_ready()
    read_profile.run([str(tmp_path), f"--json={tmp_path / 'found.json'}"])
    found = json.loads((tmp_path / "found.json").read_text())
    names = [row["name"] for row in found["kernels"]]
    assert any("sin" in name for name in names) and not any(n.startswith(("$", "end", "Thunk")) for n in names)
    assert found["span_ms"] > 0 and "idle" in capsys.readouterr().out


def test_a_folder_without_a_trace(tmp_path):
    with pytest.raises(InputError, match="holds no trace"):
        read_profile.run([str(tmp_path)])
