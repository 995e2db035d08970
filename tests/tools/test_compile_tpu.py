"""The cost model, and that steps compile for TPUs with only the necessary collectives and no host calls."""

import importlib.util
import json
from types import SimpleNamespace

import numpy as np
import pytest
import tpu_cost
from flops import PEAK_TFLOPS
from testing import call

LIBTPU = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed: pip install -e '.[tpu]'"
)

HLO = """HloModule jit_step, is_scheduled=true

%sum (a: f32[], b: f32[]) -> f32[] {
  ROOT %add.1 = f32[] add(%a, %b)
}

%body (p: (s32[], f32[8])) -> (s32[], f32[8]) {
  %all-reduce.1 = f32[8]{0:T(128)} all-reduce(%x), replica_groups={{0,1},{2,3}}, to_apply=%sum, metadata={op_name="a/b"}
  ROOT %t = (s32[], f32[8]) tuple(%i, %all-reduce.1)
}

%condition (p: (s32[], f32[8])) -> pred[] {
  %constant.1 = s32[]{:T(128)} constant(26)
  ROOT %lt = pred[] compare(%i, %constant.1), direction=LT
}

ENTRY %main (x: f32[8]) -> f32[8] {
  %all-reduce.2 = (f32[32]{0}, /*index=1*/bf16[3,4]{1,0}) all-reduce(%x, %y), replica_groups=mesh['data'=4,'fsdp'=2] {'data'}, to_apply=%sum, metadata={op_name="jit(step)/transpose(jvp(M))/conv"}
  %all-reduce.3 = f32[16]{0} all-reduce(%z), replica_groups=[1,8]<=[8], to_apply=%sum, metadata={op_name="jit(step)/jvp(M)/conv/norm/reduce_sum"}
  %all-gather.1 = (f32[4]{0}, f32[32]{0}) all-gather-start(%z), replica_groups=[1,8]<=[8], metadata={op_name="jit(step)/g"}
  %all-gather.2 = f32[32]{0} all-gather-done(%all-gather.1)
  %while.1 = (s32[], f32[8]) while(%t), condition=%condition, body=%body
  %call = f32[] custom-call(%z), custom_call_target="xla_python_cpu_callback"
  ROOT %r = f32[8]{0} get-tuple-element(%while.1), index=1
}
"""  # noqa: E501


def test_collectives_of_a_program():
    found = tpu_cost.collectives(HLO, 8)
    assert found == {
        ("all-reduce", "backward"): (1, 32 * 4 + 12 * 2, pytest.approx(2 * 3 / 4 * 152)),
        ("all-reduce", "batch norm"): (1, 64, pytest.approx(2 * 7 / 8 * 64)),
        ("all-gather", "forward"): (1, 128, pytest.approx(7 / 8 * 128)),
        ("all-reduce", "forward"): (26, 26 * 32, pytest.approx(26 * 32)),  # in groups of two
    }
    assert tpu_cost.host_calls(HLO) == ["xla_python_cpu_callback"]
    assert tpu_cost.host_calls(HLO.replace("xla_python_cpu_callback", "tpu_custom_call")) == []


def test_bounds_and_balance():
    chip = tpu_cost.Chip(flops=100e12, memory=16e9, bandwidth=1e12, link=100e9)
    assert tpu_cost.bounds(1e12, 2e9, 1e8, chip) == pytest.approx({"compute": 0.01, "memory": 0.002, "links": 0.001})
    found = tpu_cost.balance(1e10, 1_000_000, 512, chip, share=0.5)
    n = found["chips"]
    arithmetic, ring = 1e10 * 512 / (n * 0.5 * 100e12), 8 * 1e6 * (n - 1) / n / 100e9
    assert arithmetic == pytest.approx(ring) and found["images_per_chip"] * n == pytest.approx(512)


def test_devices_that_share_a_chip():
    """libtpu counts the cores of a v4 or TPU7x apart: each has half of the memory, of the peaks and of the links."""

    def slice_of(kind, cores):
        return [SimpleNamespace(device_kind=kind, coords=[x, y, 0]) for x in (0, 1) for y in (0, 1)] * cores

    whole, half = (tpu_cost.share_of_chip(slice_of("TPU v4", cores)) for cores in (1, 2))
    assert whole == tpu_cost.CHIPS["TPU v4"] and whole == tpu_cost.Chip(*(2 * figure for figure in half))
    assert tpu_cost.devices_a_chip(slice_of("TPU7x", 2)) == 2
    assert tpu_cost.share_of_chip(slice_of("TPU7x", 2)).flops == 1e12 * PEAK_TFLOPS["TPU7x"]
    assert tpu_cost.share_of_chip(slice_of("TPU v99", 1)) is None


def test_rows_on_paper():
    lines = tpu_cost.scaling_lines("trba", 384, 50_000_000, 32e9, 4000.0)
    v5e, nvlink, network = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    assert v5e[:5] == ["trba, 384", "50,000,000", "200", "32.00", "v5e"]
    # 1 + 32e9 * 384 * 200e9 / (8 * 50e6 * 0.4 * 197e12) chips; 0.4 * 197e12 / 32e9 images/s
    assert v5e[5:] == ["79", "4.9", "2,462", "0.6"]
    assert int(network[5]) < int(nvlink[5])


ALL = """
import json, sys
sys.path.insert(0, "tools")
import compile_tpu
class Done: returncode, stdout = 0, ""
def run(command, **_):
    options = dict(o.removeprefix("--").split("=") for o in command[2:])
    print("compiled", options["config"], options["topology"])
    row = {"error": "too large", "flops": 1.0, "effort": float(options["effort"])} | compile_tpu.about()
    open(options["json"], "w").write(json.dumps(row))
    return Done
compile_tpu.about, compile_tpu.subprocess.run = lambda: {"commit": COMMIT}, run
compile_tpu.everything(["v5e:2x4", "v6e:2x4"], EFFORT, compile_tpu.Path(FILE))
"""


def test_all_continues_where_it_stopped(tmp_path):
    def compiled(commit, effort):
        said = call("-c", f"COMMIT, EFFORT, FILE = {commit!r}, {effort}, {str(tmp_path / 'rows.json')!r}" + ALL)
        assert said[0] == 0, said
        return [line for line in said[1].splitlines() if line.startswith("compiled")]

    assert len(compiled("a", 0)) == 8 and len(json.loads((tmp_path / "rows.json").read_text())["rows"]) == 8
    assert compiled("a", 0) == []
    assert len(compiled("a", -1)) == len(compiled("b", -1)) == len(compiled("b+", -1)) == len(compiled("b+", -1)) == 8


METHODS = {"supervised": "trba", "seqclr": "seqclr", "cr_str": "cr_str", "semimtr": "semimtr"}


@pytest.mark.tpu
@LIBTPU
@pytest.mark.parametrize("name", METHODS)
def test_compiles_for_v5e(name, tmp_path):
    """The tiny form of each method: gradients and batch statistics are summed, and contrastive rows gathered."""
    out = tmp_path / "row.json"
    command = ["tools/compile_tpu.py", f"--config=configs/{METHODS[name]}.py:runlocal", "--topology=v5e:2x4"]
    status, said, err = call(*command, f"--json={out}", XLA_FLAGS="")  # libtpu knows none of conftest.py's
    assert status == 0, err
    row = json.loads(out.read_text())
    assert row["fits"] and row["host_calls"] == [] and row["chips"] == 8 and row["flops"] > 0
    sizes = {}
    for key, found in row["collectives"].items():
        kind = key.split(",")[0]
        sizes[kind] = sizes.get(kind, 0) + found["bytes"]
    gradients = 4 * row["parameters"]
    passes = {"cr_str": 2, "semimtr": 2}.get(name, 1)  # XLA sums the gradients of each over the chips on its own
    assert 0.9 < sizes.pop("all-reduce") / gradients < passes + 0.5, said
    assert ("all-gather" in sizes) >= (name == "seqclr") and "collective-permute" not in sizes, said
    assert sum(sizes.values()) < (0.5 if name == "seqclr" else 0.1) * gradients, said
    assert np.isfinite(list(row["seconds_at_least"].values())).all()


@pytest.mark.tpu
@LIBTPU
def test_unknown_topology():
    command = ["tools/compile_tpu.py", "--config=configs/crnn.py:runlocal", "--topology=v5e:3x5"]
    status, _, err = call(*command, XLA_FLAGS="")
    assert status == 2 and "error: --topology=v5e:3x5" in err
