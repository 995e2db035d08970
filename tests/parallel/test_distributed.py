"""Many processes and meshes: they make no difference to a run, and it may go on with others."""

import json
import socket

import jax
import numpy as np
import pytest
from testing import call, start, tiny_config

from jstr.data.pipeline import TrainData
from jstr.parallel import distributed
from jstr.text.messages import InputError
from jstr.training import setup


def rows(workdir) -> dict[int, float]:
    """Loss by step."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return {row["step"]: row["train/loss"] for row in lines if "train/loss" in row}


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("localhost", 0))
        return s.getsockname()[1]


def run_two(workdir, *interruption) -> list[tuple[int, str, str]]:
    """(exit status, stdout, stderr) of both processes, with four devices each."""
    arguments, port = ["tests/parallel/two_process.py", workdir, 2], free_port()
    started = [start(*arguments, index, port, *interruption, JAX_NUM_CPU_DEVICES="4") for index in (0, 1)]
    outputs = [process.communicate(timeout=400) for process in reversed(started)][::-1]  # 1 dies first, if one does
    return [(process.returncode, *output) for process, output in zip(started, outputs, strict=True)]


def test_two_processes_equal_one_and_go_on_as_one(tmp_path):
    """SIGTERM to one of two stops both; resumed, one is killed; a single process with eight devices finishes the run.

    The run of eight devices in one process, unbroken, says what the losses are.
    """
    status, _, err = call("tests/parallel/two_process.py", tmp_path / "one", 1, 0, 0, JAX_NUM_CPU_DEVICES="8")
    assert status == 0, err
    expected = rows(tmp_path / "one")
    assert list(expected) == [1, 2, 3, 4, 5, 6]

    both = tmp_path / "both"
    (status, out, err), (other_status, other_out, other_err) = run_two(both, "SIGTERM", 1)
    assert (status, other_status) == (0, 0), err + other_err
    assert "stopped and saved at step 3" in out and "step" not in other_out.replace("Expected", "")
    assert "stopping after this step" in other_err and "stopping" not in err
    found = rows(both)
    assert list(found) == [1, 2, 3]

    (status, out, err), (other_status, *_) = run_two(both, "SIGKILL", 3)
    assert status != 0 and other_status == -9
    assert "continuing from step 3" in out
    assert max(int(p.name) for p in (both / "checkpoints").glob("[0-9]")) == 4
    found |= rows(both)

    status, out, err = call("tests/parallel/two_process.py", both, 1, 0, 0, JAX_NUM_CPU_DEVICES="8")
    assert status == 0 and "continuing from step 4" in out, err
    found |= {step: loss for step, loss in rows(both).items() if step > 4}
    assert list(rows(both)) == list(expected)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-6)
    np.testing.assert_allclose([found[n] for n in expected], list(expected.values()), rtol=1e-3)
    assert (both / "results.json").exists()


def test_shares_of_processes_make_up_the_batch_in_order():
    config = tiny_config()
    prepared = setup.prepare(config)
    data = TrainData(config, prepared.reader.charset, prepared.objective.streams, prepared.frames)
    whole = next(data.batches(3))
    shares = [next(data.batches(3, process_index=i, process_count=4)) for i in range(4)]
    assert whole["keys"] == [key for share in shares for key in share["keys"]]
    images = np.concatenate([share["arrays"]["labelled"]["image"] for share in shares])
    np.testing.assert_array_equal(whole["arrays"]["labelled"]["image"], images)


@pytest.fixture
def initialised(monkeypatch):
    """Arguments of the calls of jax.distributed.initialize, which does nothing."""
    calls = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *arguments: calls.append(arguments))
    for name in ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    return calls


def test_start(initialised, monkeypatch):
    distributed.start()
    distributed.start(num_processes=1)
    assert initialised == []
    distributed.start("host:1234", 2, 1)
    assert initialised.pop() == ("host:1234", 2, 1)
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    distributed.start()
    assert initialised == []
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    distributed.start()
    assert initialised.pop() == (None, None, None)
    distributed.start(num_processes=1)
    assert initialised == []


@pytest.mark.parametrize(
    "given",
    [
        ("host:1", 2, None),
        ("host:1", None, 0),
        (None, 2, 0),
        (None, None, 1),
        ("host", 2, 0),
        ("host:1", 2, 2),
        ("host:1", 2, -1),
    ],
)
def test_start_with_arguments_that_cannot_be(initialised, given):
    with pytest.raises(InputError, match="--coordinator"):
        distributed.start(*given)
    assert initialised == []


def test_processes_that_do_not_find_each_other(initialised, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("DEADLINE_EXCEEDED: Barrier timed out\nmore")

    monkeypatch.setattr(jax.distributed, "initialize", fail)
    with pytest.raises(InputError, match="did not find each other: DEADLINE_EXCEEDED: Barrier timed out; give"):
        distributed.start("host:1234", 2, 1)


def test_what_processes_must_agree_on(monkeypatch, tmp_path):
    """Without others nothing is asked; with another that differs, both are told."""
    distributed.check_same("text", "config")
    assert distributed.broadcast_from_lead(0.1) == 0.1 and distributed.broadcast_from_lead(None) is None
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    others = distributed.multihost_utils
    monkeypatch.setattr(others, "process_allgather", lambda x: np.stack([x, x]))
    monkeypatch.setattr(others, "broadcast_one_to_all", lambda x: x)
    monkeypatch.setattr(others, "sync_global_devices", lambda name: None)
    distributed.check_same("text", "config")
    distributed.check_shared(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert distributed.broadcast_from_lead(0.1) == 0.1
    monkeypatch.setattr(others, "process_allgather", lambda x: np.stack([x, np.zeros_like(x)]))
    with pytest.raises(InputError, match="process 1 and process 0 differ in config"):
        distributed.check_same("text", "config")
    with pytest.raises(InputError, match="process 1 sees another folder"):
        distributed.check_shared(tmp_path)
    assert list(tmp_path.iterdir()) == []
