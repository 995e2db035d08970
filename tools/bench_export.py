"""Exported networks against JAX on one core: python tools/bench_export.py [NAME ...] [--batches=1,3,64] [--json=FILE]

NAME: a reader that jstr.load takes (bundled, ppocrv6-small, a workdir), or one of RECOGNISERS, with random weights.
Compares the probabilities of ONNX and StableHLO with those of JAX on noise, and the processor's time a word of all
three: it does not count what other programs take. Networks have the published width, but for compact.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import measuring
import numpy as np

from jstr.cli import Parser, cli, path

CRNN = dict(name="four_stage", transformation="none", features="vgg", sequence="bilstm", prediction="ctc")
RESNET = CRNN | dict(features="resnet", transformation="tps")
WORDS: tuple[str, tuple[int, int], int] = ("cr_ctc", (32, 100), 1)  # layout, height and width, channels
ABINET: tuple[str, tuple[int, int], int] = ("abinet", (32, 128), 3)
PPOCR: tuple[str, tuple[int, int], int] = ("dtrb_ctc", (48, 320), 3)
RECOGNISERS: dict[str, tuple[dict[str, Any], tuple[str, tuple[int, int], int]]] = {
    "crnn": (CRNN, WORDS),
    "rcnn": (CRNN | dict(features="rcnn"), WORDS),
    "star_net": (RESNET, WORDS),
    "trba": (RESNET | dict(prediction="attention"), ("cr_attention", *WORDS[1:])),
    "compact": (CRNN | dict(features="compact", transformation="tps", width=0.5), WORDS),
    "abinet_vision": (dict(name="abinet_vision"), ABINET),
    "abinet": (dict(name="abinet"), ABINET),
    "v6_small": (dict(name="ppocr", network="v6_small"), PPOCR),
    "v6_tiny": (dict(name="ppocr", network="v6_tiny"), PPOCR),
    "mobile": (dict(name="ppocr", network="mobile"), PPOCR),
}
SECONDS = 0.5  # to measure


def made(name: str) -> Any:
    """A reader with random weights, whose classes are about as probable as those of an untrained one."""
    import jax

    from jstr.inference.reader import Reader
    from jstr.models import example_input

    model, (layout, size, channels) = RECOGNISERS[name]
    charset = dict(characters="36", layout=layout, max_length=25, lower=True, nfkc=False, drop_outside=True)
    image = dict(size=size, channels=channels, keep_ratio=False, backend="cv2")
    reader = Reader(dict(model=model, charset=charset, image=image))
    key, example = jax.random.PRNGKey(0), example_input(reader.model)
    shapes = jax.eval_shape(lambda k, x: reader.model.init(k, x, train=False), key, example)
    rng = np.random.default_rng(0)

    def draw(path: Any, x: Any) -> np.ndarray:
        if jax.tree_util.keystr(path).endswith(("['var']", "['scale']")):
            return np.ones(x.shape, np.float32)
        return (rng.normal(size=x.shape) * np.sqrt(2 / np.prod(x.shape[:-1]) if x.ndim > 1 else 0.01)).astype(
            np.float32
        )

    reader.variables = jax.tree_util.tree_map_with_path(draw, shapes)
    spread = np.std(reader.logits_batch(rng.integers(0, 256, (1, *size, channels), np.uint8)))

    def scaled(path: Any, x: np.ndarray) -> np.ndarray:
        return x * np.float32(2 / spread) if "classifier" in jax.tree_util.keystr(path) else x

    return reader.with_variables(jax.tree_util.tree_map_with_path(scaled, reader.variables))


def measured(run: Callable[[np.ndarray], tuple[list[str], Any]], images: np.ndarray) -> tuple[float, list[str]]:
    """(milliseconds of the processor for an image, texts), when it was called before."""
    start, rounds, texts = time.process_time(), 0, []
    while time.process_time() - start < SECONDS or not rounds:
        texts, _ = run(images)
        rounds += 1
    return 1000 * (time.process_time() - start) / rounds / len(images), texts


def measure(name: str, batches: list[int], kinds: list[str]) -> Iterator[dict[str, Any]]:
    """A row for each batch size."""
    import jax

    import jstr
    from jstr.inference.exported_reader import ExportedReader
    from jstr.interop import onnx_models, stablehlo
    from jstr.onnx_reader import open_session

    reader = made(name) if name in RECOGNISERS else jstr.load(name, "none")
    about = dict(config=dict(charset=_charset(reader), image=_image(reader)), batch=None, frames=None)
    with tempfile.TemporaryDirectory() as folder:
        exported = {}
        if "onnx" in kinds:
            graphs = onnx_models.write(reader.model.__module__.rpartition(".")[2], reader.model, reader.variables)
            for stem, graph in graphs.items():
                (Path(folder) / f"{stem}.onnx").write_bytes(graph.SerializeToString())
            sessions = {n: open_session(Path(folder) / f"{n}.onnx", 1, ["CPUExecutionProvider"]) for n in graphs}
            exported["onnx"] = ExportedReader(about, sessions, None)
        if "stablehlo" in kinds:
            files = stablehlo.write(Path(folder), reader.model, reader.variables, None, ("cpu",))
            exported["stablehlo"] = ExportedReader(about, stablehlo.load(Path(folder), files), None)
        for size in batches:
            shape = (size, *reader.spec.size, reader.spec.channels)
            images = np.random.default_rng(size).integers(0, 256, shape, np.uint8)
            expected = np.asarray(jax.nn.softmax(reader.logits_batch(images)))
            reader.read_batch(images)  # compiles
            row: dict[str, Any] = dict(reader=name, batch=size)
            row["jax_ms"], texts = measured(reader.read_batch, images)
            for kind, other in exported.items():
                found = other.probabilities(images)
                read = found.sum(axis=-1) > 0  # an attention decoder stops when all words have ended
                row[f"{kind}_difference"] = float(np.abs(found - expected)[read].max())
                row[f"{kind}_ms"], others = measured(other.read_batch, images)
                row[f"{kind}_same"] = others == texts
            yield row


def _charset(reader: Any) -> dict[str, Any]:
    from jstr.text import LAYOUTS

    charset = reader.charset
    layout = next(name for name, layout in LAYOUTS.items() if layout == charset.layout)
    return dict(characters=f"literal:{charset.characters}", layout=layout, max_length=charset.max_length)


def _image(reader: Any) -> dict[str, Any]:
    spec = reader.spec
    return dict(size=spec.size, channels=spec.channels, keep_ratio=spec.keep_ratio, backend=spec.backend, pad=spec.pad)


def run(argv: list[str] | None = None) -> None:
    parser = Parser("python tools/bench_export.py", __doc__)
    parser.add_argument("names", nargs="*", default=["bundled"])
    parser.add_argument("--batches", default="1,3,64")
    parser.add_argument("--kinds", default="onnx", help="onnx, stablehlo, or both with a comma between")
    parser.add_argument("--json", type=path, metavar="FILE", help="also write the rows there, behind those it has")
    args = parser.parse_args(argv)
    if hasattr(os, "sched_setaffinity"):  # before jax starts its threads
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    batches, kinds = [int(size) for size in args.batches.split(",")], args.kinds.split(",")
    for name in args.names:
        for row in measure(name, batches, kinds):
            print(" ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items()), flush=True)
            if args.json:
                _add(Path(args.json), row)


def _add(file: Path, row: dict[str, Any]) -> None:
    """Writes a row behind those that a file has."""
    rows = json.loads(file.read_text())["rows"] if file.exists() else []
    file.write_text(json.dumps(measuring.record() | {"rows": [*rows, row]}, indent=2) + "\n")


if __name__ == "__main__":
    cli(run)
