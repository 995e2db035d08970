"""How XLA compiles for CPUs: what its library computes, what the user's own flags change, and other devices."""

import re

import jax.numpy as jnp
import pytest

from jstr.parallel import compiling

NAME = compiling.SUMS_BY_LIBRARY[0]


@pytest.fixture(autouse=True)
def no_flags(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    compiling.cpu_option.cache_clear()
    yield
    compiling.cpu_option.cache_clear()


def test_sums_are_left_to_the_library_and_products_are_not():
    def function(x, y):
        return x.sum(axis=(0, 1)), x[0] @ y

    x, y = jnp.ones((64, 32, 32)), jnp.ones((32, 32))
    text = compiling.jit(function).lower(x, y).compile().as_text()
    left_to_it = re.findall(r"%ynn_fusion\S* = (\S+) fusion", text)
    assert left_to_it == ["f32[32]{0}"], "the sum; XLA's own choice has the product, f32[32,32], as well"
    total, product = compiling.jit(function)(x, y)
    assert (total == 64 * 32).all() and (product == 32).all()


def test_options_of_jit_are_passed_on():
    count = []
    power = compiling.jit(lambda x, n: count.append(n) or x**n, static_argnums=1)
    assert power(3.0, 2) == 9 and power(2.0, 2) == 4 and power(2.0, 3) == 8
    assert count == [2, 3]


def test_other_devices_flags_of_the_user_and_unknown_options(monkeypatch):
    assert compiling.cpu_option("cpu", NAME, "") == {NAME: ""}
    assert compiling.cpu_option("tpu", NAME, "") is None
    assert compiling.cpu_option("cpu", "xla_cpu_no_such_option", 1) is None
    compiling.cpu_option.cache_clear()
    monkeypatch.setenv("XLA_FLAGS", f"--{NAME}=")
    assert compiling.cpu_option("cpu", NAME, "") is None
    assert compiling.jit(lambda x: x + 1)(jnp.ones(2)).tolist() == [2, 2]
