"""Takes a trained reader out of JAX, and proves that what was written reads the same.

python -m jstr.export [--workdir=DIR] --to=onnx|stablehlo|tflite|safetensors --out=DIR
python -m jstr.export --workdir=DIR --to=ppocr-onnx --out=FILE.onnx [--original=NAME or FILE.onnx] [--cut]
onnx: read by jstr.onnx_reader with NumPy, OpenCV and onnxruntime. stablehlo: run by jax without this package's models.
tflite: of CTC recognisers and ABINet, with a fixed batch. safetensors: the parameters alone, given wherever a workdir
is. Beside the network lie all that reading needs (reader.json, words.npz) and a model card (README.md). At the end both
readers read the sample words, or --check=DATA: exit status 1 if they differ. ppocr-onnx: a run that went on from
PP-OCR, written into the graph that it came from, for RapidOCR(params={"Rec.model_path": FILE}).
"""

from __future__ import annotations

import json
import os
from argparse import ArgumentTypeError, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jstr import onnx_reader
from jstr.checkpoints import safetensors_file
from jstr.checkpoints.provenance import commit
from jstr.cli import Parser, cli, path
from jstr.inference.exported_reader import ABOUT, FORMAT, WORDS, ExportedReader, checksum, read_about, read_prior
from jstr.inference.reader import WORDS_HELP, Reader, load
from jstr.inference.same_reading import compare, sample_words
from jstr.inference.word_copy import packed_words
from jstr.interop import model_card, onnx_models, ppocr_export, stablehlo, tflite, weights
from jstr.messages import InputError, writing
from jstr.text import Charset, self_contained

TARGETS = ("onnx", "stablehlo", "tflite", "safetensors", "ppocr-onnx")
KEPT = ("charset", "image", "model", "language_model", "pattern")  # of the config: what reading needs
NETWORK = "reader"


def _batch(text: str) -> int | None:
    if text != "dynamic" and not (text.isdecimal() and int(text)):
        raise ArgumentTypeError(f"{text!r}: give dynamic, or a number of images")
    return None if text == "dynamic" else int(text)


def _parse(argv: list[str] | None) -> Namespace:
    parser = Parser("python -m jstr.export", __doc__)
    parser.add_argument("--workdir", type=path, help="a run, a packed file, or a name; default: bundled")
    parser.add_argument("--to", required=True, choices=TARGETS)
    parser.add_argument("--out", required=True, type=path, metavar="DIR", help="the folder (ppocr-onnx: file) to write")
    parser.add_argument("--batch", type=_batch, default="dynamic", help="images at a time: dynamic, or a number")
    parser.add_argument(
        "--quantise", choices=("none", "dynamic-int8"), default="none", help="onnx: smaller, less exact"
    )
    parser.add_argument("--words", metavar="WORDS", help=WORDS_HELP)
    parser.add_argument(
        "--check", type=path, metavar="DATA", help="compare on these images instead of the sample words"
    )
    parser.add_argument("--labels", help="label file inside DATA")
    parser.add_argument("--licence", help="of the weights, for the model card")
    parser.add_argument("--original", type=path, help="ppocr-onnx: the file or name that the run came from")
    parser.add_argument("--cut", action="store_true", help="ppocr-onnx: without classes outside of the run's charset")
    args = parser.parse_args(argv)
    if args.to != "ppocr-onnx" and (args.original or args.cut):
        raise InputError("--original and --cut are for --to=ppocr-onnx")
    if args.quantise != "none" and args.to != "onnx":
        raise InputError(f"--quantise={args.quantise} is for --to=onnx")
    if args.to == "tflite" and args.batch is None:
        args.batch = 1
    return args


def run(argv: list[str] | None = None) -> int:
    """Exit status: 0, or 1 when the exported network reads other texts. Quantised ones may: the difference is said."""
    args = _parse(argv)
    if args.to == "ppocr-onnx":
        print(ppocr_export.write(args.workdir or weights.BUNDLED, args.original, args.out, args.cut))
        return 0
    reader = load(args.workdir or weights.BUNDLED, args.words)
    if reader.model.reads_text:
        raise InputError("a language model reads words, not images: export the ABINet that holds it")
    images = sample_words(args.check, args.labels, reader)
    about = _about(args, reader)
    folder = Path(args.out)
    with writing(f"--out={args.out}", folder):
        _make_folder(folder)
        if args.to == "safetensors":
            file = folder / f"{NETWORK}{safetensors_file.SUFFIX}"
            _write_parameters(file, reader, about)
            exported: Reader | ExportedReader = load(file)
        else:
            names = _write_networks(folder, args, reader)
            _write_reader(folder, about, reader, names)
            exported = LOADERS[args.to](folder)
        result = compare(reader, exported, images)
        facts = {"jax": jax.__version__, "convention": stablehlo.CONVENTION}
        card = model_card.text(about, args.out, result.lines(), **facts)
        (folder / "README.md").write_text(card, encoding="utf-8")
    for line in (*_sizes(folder), *result.lines()):
        print(line)
    return 0 if result.is_same or args.quantise != "none" else 1


def load_stablehlo(folder: str | os.PathLike) -> ExportedReader:
    """The reader of a folder that `jstr export --to=stablehlo` wrote, for the platform of this process.

    Raises:
      InputError: not such a folder, damaged, or written by a jax that is too new or too old.
    """
    about = read_about(folder)
    if about["kind"] != "stablehlo":
        raise InputError(f"{folder} is an export to {about['kind']}, not to stablehlo")
    networks = stablehlo.load(Path(os.path.expanduser(folder)), list(about["files"]))
    return ExportedReader(about, networks, read_prior(folder, about))


def load_tflite(folder: str | os.PathLike) -> ExportedReader:
    """The reader of a folder that `jstr export --to=tflite` wrote.

    Raises:
      InputError: not such a folder, damaged, or ai-edge-litert is not installed.
    """
    about = read_about(folder)
    if about["kind"] != "tflite":
        raise InputError(f"{folder} is an export to {about['kind']}, not to tflite")
    classes = Charset.make(**about["config"]["charset"]).num_classes
    networks = tflite.load(Path(os.path.expanduser(folder)) / tflite.FILE, about["batch"], classes)
    return ExportedReader(about, networks, read_prior(folder, about))


LOADERS = {"onnx": onnx_reader.load, "stablehlo": load_stablehlo, "tflite": load_tflite}


def _about(args: Namespace, reader: Reader) -> dict[str, Any]:
    """What `reader.json` says, without the checksums."""
    where = args.workdir or weights.BUNDLED
    meta = weights.read_meta(where)
    config = {name: meta["config"][name] for name in KEPT if meta["config"].get(name)}
    config["charset"] = self_contained(config["charset"])
    if args.to in ("stablehlo", "tflite"):  # whose networks take images of one width
        config["image"] = {key: value for key, value in config["image"].items() if key != "widths"}
    if args.words is not None:
        config["language_model"] = (config.get("language_model") or {}) | {"words": args.words}
    return {
        "format": FORMAT,
        "kind": args.to,
        "quantised": args.quantise,
        "batch": args.batch,
        "config": config,
        "source": {
            "workdir": where,
            "step": meta.get("step"),
            "commit": meta.get("commit"),
            "exported_by": commit(),
        },
        "trained_on": model_card.training_sources(meta["config"]),
        "licence": args.licence or model_card.known_licence(where == weights.BUNDLED, config["model"]["name"]),
    }


def _write_parameters(file: Path, reader: Reader, about: Mapping[str, Any]) -> None:
    """Writes a safetensors file, whose metadata are those of a packed file, licence and origin."""
    meta = {name: about[name] for name in ("config", "trained_on", "licence", "source")}
    meta |= {"step": reader.step, "commit": about["source"]["commit"]}
    if words := packed_words(about["config"]):
        meta["words"] = words
    state = {name: values for name, values in reader.variables.items() if name != "params"}
    safetensors_file.save(file, {"model": reader.variables["params"]}, state, meta)


def _make_folder(folder: Path) -> None:
    """An empty folder, or one with an earlier export, whose files are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    there = [p for p in folder.iterdir()]
    ours = {".onnx", ".stablehlo", ".tflite", ".safetensors"}
    known = [p for p in there if p.suffix in ours or p.name in (ABOUT, WORDS, "README.md")]
    if len(known) < len(there) or (there and not any(p.suffix in ours for p in there)):
        raise InputError(f"--out={folder} holds other files; give a folder that is empty or does not exist")
    for file in known:
        file.unlink()


def _write_networks(folder: Path, args: Namespace, reader: Reader) -> list[str]:
    """Writes the network; returns the names of its files."""
    name = reader.model.__module__.rpartition(".")[2]
    if args.to == "stablehlo":
        return stablehlo.write(folder, reader.model, reader.variables, args.batch)
    if args.to == "tflite":
        return tflite.write(folder, reader.model, reader.variables, args.batch)
    graphs = onnx_models.write(name, reader.model, reader.variables, args.batch or onnx_models.BATCH)
    files = []
    for stem, graph in graphs.items():
        file = folder / f"{stem}{onnx_reader.SUFFIX}"
        if args.quantise == "none":
            file.write_bytes(graph.SerializeToString())
        else:
            onnx_models.quantise(graph, file)
        files.append(file.name)
    return files


def _write_reader(folder: Path, about: dict[str, Any], reader: Reader, files: list[str]) -> None:
    """Writes words.npz, if there is a prior over texts, and reader.json."""
    if reader.prior is not None:
        np.savez_compressed(folder / WORDS, **reader.prior.arrays)
        files = [*files, WORDS]
    about["files"] = {name: checksum(folder / name) for name in files}
    (folder / ABOUT).write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _sizes(folder: Path) -> list[str]:
    return [f"{p}: {p.stat().st_size / 1e6:.1f} MB" for p in sorted(folder.iterdir()) if p.stat().st_size > 1e5]


if __name__ == "__main__":
    cli(run)
