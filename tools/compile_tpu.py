"""Compiles the training step of a config for Cloud TPUs, on a machine that has none; needs `pip install -e '.[tpu]'`.

    python tools/compile_tpu.py --config=configs/trba.py --topology=v5e:2x4 --config.model.dtype=bfloat16
    python tools/compile_tpu.py --all [--topology=v5e:2x4] [--effort=-1] --json=configs/results/compile_tpu.json
    python tools/compile_tpu.py --scaling

The batch sizes of a config count for one chip, or for one device where a chip has two (TPU7x; v4, as libtpu counts it).
For each it prints memory in use against what it has, arithmetic, bytes moved, bytes of every collective, and a lower
bound of the step time from the published peaks. --all: every method at its published batch sizes on every topology, or
on that of --topology; the file is written row by row, and rows of the same commit, versions and effort are not compiled
again. --scaling: the chip counts at which communication equals arithmetic, and host cores per chip; needs no libtpu.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# Before jax is imported: there is no TPU to query or to reserve.
os.environ |= dict(JAX_PLATFORMS="cpu", TPU_SKIP_MDS_QUERY="1", ALLOW_MULTIPLE_LIBTPU_LOAD="1")
os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")

import measuring
from absl import flags

from jstr.cli import FLAGS, cli, parse
from jstr.text.messages import InputError

TOPOLOGY = flags.DEFINE_string("topology", None, "CHIP:SHAPE, such as v5e:2x4; v5e:2x4 by default")
ALL = flags.DEFINE_boolean("all", False, "every method on every topology")
SCALING = flags.DEFINE_boolean("scaling", False, "communication against arithmetic, on paper")
EFFORT = flags.DEFINE_float(
    "effort", 0.0, "XLA's search for a fast program: 0 as in training; -1 takes a third of the time or less", -1, 1
)
measuring.define_json()

BFLOAT16 = "--config.model.dtype=bfloat16"
METHODS = {name: f"configs/{name}.py" for name in ("trba", "seqclr", "cr_str", "semimtr")}
TOPOLOGIES = ("v5e:2x4", "v5e:16x16", "v6e:2x4", "v5p:4x4x4")
GIB = 2**30


def devices_of(topology: str) -> list:
    """The chips of CHIP:SHAPE. Raises InputError: libtpu is not installed, or knows no such topology."""
    from jax.experimental import topologies

    try:
        return list(topologies.get_topology_desc(topology, platform="tpu").devices)
    except Exception as error:  # whatever jax and libtpu raise, which differs between versions
        reason = str(error).splitlines()[0][:200]
        raise InputError(f"--topology={topology}: {reason}; needs libtpu (pip install -e '.[tpu]')") from error


def step_of(config, mesh):
    """(jitted step, shapes of its state and batch, images per step, parameters). Batch sizes count for each chip."""
    import jax

    from jstr.data.pipeline import example_batch
    from jstr.parallel import sharding
    from jstr.training import setup

    prepared = setup.prepare(config)
    example = example_batch(config, prepared.objective.streams, prepared.reader.spec, prepared.reader.charset)
    begin, tx, _ = setup.plan_state(config, prepared.objective, example)
    state = jax.eval_shape(begin, jax.random.PRNGKey(0))

    def shape(x, where, times=1):
        whole = (times * x.shape[0], *x.shape[1:]) if times > 1 else x.shape
        return jax.ShapeDtypeStruct(whole, x.dtype, sharding=where)

    batch = jax.tree.map(lambda x: shape(x, sharding.batch_sharding(mesh), mesh.size), example)
    state = jax.tree.map(shape, state, sharding.layout(state, mesh))
    parameters = sum(x.size for x in jax.tree.leaves(state.params))
    images = mesh.size * sum(row.batch_size for row in config.streams.values())
    return setup.make_step(config, prepared.objective, tx, mesh), (state, batch), images, parameters


def flop_of(traced) -> float:
    """Operations of a step on all chips together; loops count with their lengths."""
    import flops

    return sum(product.flops for product in flops.products(traced.jaxpr.jaxpr))


def compiled(config, topology: str, effort: float = 0.0) -> dict:
    """The figures of one step for one chip; `effort` is XLA's exec_time_optimization_effort."""
    import jax
    import tpu_cost

    from jstr.nn import platform
    from jstr.parallel import sharding

    devices = devices_of(topology)
    mesh = sharding.make_mesh(config.mesh, devices)
    row = {"topology": topology, "chip": devices[0].device_kind, "chips": mesh.size, "mesh": dict(mesh.shape)}
    row["devices_a_chip"] = tpu_cost.devices_a_chip(devices)
    chip = tpu_cost.share_of_chip(devices)
    with platform.tracing_for("tpu"):
        step, shapes, images, parameters = step_of(config, mesh)
        traced = step.trace(*shapes)
        flop = flop_of(traced) / mesh.size
        start = time.perf_counter()
        row |= {"batch_per_chip": {n: s.batch_size for n, s in config.streams.items()}, "parameters": parameters}
        row |= {"images": images, "dtype": config.model.get("dtype"), "flops": flop, "effort": effort}
        row["memory_of_chip"] = chip.memory if chip else None
        try:
            program = traced.lower().compile({"exec_time_optimization_effort": effort} if effort else None)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            return row | {"fits": False, "error": " ".join(str(error).split())[:300]}
    row["compile_seconds"] = round(time.perf_counter() - start, 1)
    return row | costs(program, mesh.size, flop, chip)


def costs(program, devices: int, flop: float, chip) -> dict:
    """Memory, traffic and collectives of a compiled step for one chip, and the time that it takes at least."""
    import tpu_cost

    memory, text, cost = program.memory_analysis(), program.as_text(), program.cost_analysis()
    used = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    used += memory.temp_size_in_bytes + memory.generated_code_size_in_bytes
    found = tpu_cost.collectives(text, devices)
    at_least = memory.argument_size_in_bytes + memory.output_size_in_bytes  # the state is read and written
    row = {"memory": used, "fits": chip is None or used <= chip.memory, "bytes_moved": cost["bytes accessed"]}
    row |= {"flops_xla": cost["flops"], "host_calls": tpu_cost.host_calls(text)}
    row["collectives"] = {f"{kind}, {purpose}": c._asdict() for (kind, purpose), c in sorted(found.items())}
    if chip:
        row["seconds_at_least"] = tpu_cost.bounds(flop, at_least, sum(c.sent for c in found.values()), chip)
    return row


def show(name: str, row: dict) -> None:
    """Prints one compilation."""
    batch = " + ".join(map(str, row["batch_per_chip"].values()))
    each = "chip" if row["devices_a_chip"] == 1 else f"device, of which a chip has {row['devices_a_chip']}"
    print(f"{name} on {row['topology']} ({row['chips']} x {row['chip']}), batch {batch} a {each}, {row['dtype']}")
    print(f"  parameters     {row['parameters']:14,}")
    if "memory" not in row:
        print(f"  does not fit: {row['error']}")
        return
    has = row["memory_of_chip"]
    of = f" of {has / GIB:.0f} ({'fits' if row['fits'] else 'DOES NOT FIT'})" if has else ""
    print(f"  memory GiB     {row['memory'] / GIB:14.2f}{of}")
    print(f"  GFLOP          {row['flops'] / 1e9:14.1f}   (XLA, which counts loops once: {row['flops_xla'] / 1e9:.1f})")
    print(f"  moved GB       {row['bytes_moved'] / 1e9:14.2f}   (XLA, with what stays on the chip; loops once)")
    for what, c in row["collectives"].items():
        print(f"  {c['count']:4} x {what:28} {c['bytes'] / 1e6:10.3f} MB")
    if row.get("seconds_at_least"):
        times = {k: 1000 * v for k, v in row["seconds_at_least"].items()}
        print(f"  ms at least    {max(times.values()):14.2f}   ({', '.join(f'{k} {v:.2f}' for k, v in times.items())})")
    print(f"  host calls     {', '.join(row['host_calls']) or 'none'}")
    print(f"  compiled in {row['compile_seconds']} s, effort {row['effort']:g}")


def about() -> dict:
    """Commit and versions, which a result depends on."""
    import jax
    import jaxlib

    from jstr.checkpoints.provenance import commit

    versions = {"jax": jax.__version__, "jaxlib": jaxlib.__version__}
    try:
        from importlib.metadata import version

        versions["libtpu"] = version("libtpu")
    except ImportError:
        pass
    return {"commit": commit(), "versions": versions}


def everything(topologies, effort: float, file: Path | None) -> None:
    """--all: each compilation in its own process; the table at the end."""
    rows = read_rows(file) if file and file.is_file() else {}
    now = about() | {"effort": effort}
    for topology in topologies:
        for method, path in METHODS.items():
            name = f"{method}, {topology}" + (f", effort {effort:g}" if effort else "")
            if not now["commit"].endswith("+") and now.items() <= rows.get(name, {}).items():
                print(f"{name}: in {file}")
                continue
            with tempfile.TemporaryDirectory() as folder:
                out = f"{folder}/row.json"
                command = [__file__, f"--config={path}", f"--topology={topology}", BFLOAT16, f"--json={out}"]
                command += [f"--effort={effort}"]
                done = subprocess.run([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True)
                print(done.stdout, end="", flush=True)
                if not Path(out).exists():
                    raise InputError(f"{name} did not compile, see above")
                rows[name] = json.loads(Path(out).read_text())
            if file:
                file.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    for line in table(rows):
        print(line)


def read_rows(file: Path) -> dict[str, dict]:
    """The rows of an earlier --all. Raises InputError: the file holds something else."""
    try:
        return dict(json.loads(file.read_text())["rows"])
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"--json={file}: it holds no rows of --all; give another file") from error


def table(rows: dict[str, dict]) -> list[str]:
    """The compilations as a Markdown table."""
    lines = ["| step | memory GiB | GFLOP | moved GB | all-reduce MB | other MB | ms at least |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, row in rows.items():
        if "memory" not in row:
            lines.append(f"| {name} | does not fit | {row['flops'] / 1e9:,.0f} | | | | |")
            continue
        reduced = sum(c["bytes"] for k, c in row["collectives"].items() if k.startswith("all-reduce"))
        other = sum(c["bytes"] for c in row["collectives"].values()) - reduced
        least = 1000 * max(row["seconds_at_least"].values()) if row.get("seconds_at_least") else float("nan")
        lines.append(
            f"| {name} | {row['memory'] / GIB:.1f} | {row['flops'] / 1e9:,.0f} | {row['bytes_moved'] / 1e9:.1f} | "
            f"{reduced / 1e6:.1f} | {other / 1e6:.1f} | {least:.1f} |"
        )
    return lines


def scaling() -> None:
    """--scaling: the cost model in numbers."""
    import importlib

    import tpu_cost

    from jstr.nn import platform
    from jstr.parallel import sharding

    rate = json.loads((ROOT / "configs/results/bench_cpu.json").read_text())
    rate = rate["input"]["crnn"]["images_per_second_per_core"]["batch"]
    print(f"At {tpu_cost.SHARE:.0%} of the peak; host: {rate:,} images/s per core, without augmentation\n")
    print(
        "| model, batch | parameters | all-reduced MB | GFLOP/image | chip, link | chips | images/chip "
        "| images/s per chip | host cores |"
    )
    print("| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |")
    for name in ("trba", "abinet"):
        config = importlib.import_module(f"configs.{name}").get_config()
        batch = config.streams.labelled.batch_size
        config.streams.labelled.batch_size = 8
        with platform.tracing_for("tpu"):
            step, shapes, images, parameters = step_of(config, sharding.make_mesh())
            flop = flop_of(step.trace(*shapes)) / images
        print("\n".join(tpu_cost.scaling_lines(name, batch, parameters, flop, rate)))


def run() -> None:
    if {"--all", "--scaling"} & set(sys.argv):
        FLAGS(sys.argv)
        if SCALING.value:
            return scaling()
        measuring.check_json()
        return everything([TOPOLOGY.value] if TOPOLOGY.value else TOPOLOGIES, EFFORT.value, measuring.json_file())
    config, _ = parse(sys.argv, workdir_needed=False)
    measuring.check_json()
    row = compiled(config, TOPOLOGY.value or "v5e:2x4", EFFORT.value) | about()
    show(config.objective.name + " " + config.model.name, row)
    measuring.write_json(row)
    return None if row["fits"] else 1


if __name__ == "__main__":
    cli(run)
