import os
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # configs and tools are not installed
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "tools"))  # scripts, not a package

# Compiled programs are kept between runs, for this process and for the ones that tests start.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Compiling is most of the time. Without optimisation and fusion emitters it takes a quarter of it; what must hold for
# programs as they are shipped says so itself (tests/nn/test_pooling.py). jaxlib 0.11 has no such emitters to turn off.
QUICK = "--xla_backend_optimization_level=0"
if version("jaxlib").startswith("0.10."):
    QUICK += " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
os.environ.setdefault("XLA_FLAGS", QUICK)
os.environ.setdefault("GLIBC_TUNABLES", "")  # commands that tests run do not restart
os.environ.pop("JSTR_DATA", None)


@pytest.fixture
def double():
    """64-bit numbers in JAX."""
    import jax  # not before the settings above

    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The workdir of an unbroken run of six steps of the tiny config. Copy it before you change it."""
    from testing import tiny_config

    from jstr.training import loop

    workdir = tmp_path_factory.mktemp("trained")
    config = tiny_config()
    config.steps = 6
    loop.run(config, str(workdir))
    return workdir


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory):
    """The workdir of four steps of SeqCLR with validation."""
    from testing import contrastive_config

    from jstr.training import loop

    workdir = tmp_path_factory.mktemp("pretrained")
    config = contrastive_config()
    config.model.sequence = "none"
    config.held_back.unlabelled = config.streams.unlabelled.copy_and_resolve_references()
    config.held_back.unlabelled.sources = dict(rest=dict(rendered=dict(seed=5, size=100)))
    config.held_back.unlabelled.batches = 2
    config.steps = 4
    loop.run(config, str(workdir))
    return workdir
