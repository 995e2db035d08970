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

import os
from argparse import ArgumentTypeError, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from jstr import onnx_reader
from jstr.checkpoints import safetensors_file
from jstr.cli import Parser, cli, path
from jstr.inference import export_folder
from jstr.inference.exported_reader import NETWORK, ExportedReader, Run, open_export
from jstr.inference.guide import add_options, with_options
from jstr.inference.reader import WORDS_HELP, Reader, load
from jstr.inference.same_reading import compare, sample_words
from jstr.interop import model_card, ppocr_export, stablehlo, tflite, weights
from jstr.text import Charset
from jstr.text.messages import InputError, writing

TARGETS = ("onnx", "stablehlo", "tflite", "safetensors", "ppocr-onnx")


def _batch(text: str) -> int | None:
    if text != "dynamic" and not (text.isdecimal() and int(text)):
        raise ArgumentTypeError(f"{text!r}: give dynamic, or a number of images")
    return None if text == "dynamic" else int(text)


def _parse(argv: list[str] | None) -> Namespace:
    parser = Parser("python -m jstr.export", __doc__)
    parser.add_argument("--workdir", type=path, help="a run, a packed file, or a name; default: bundled")
    parser.add_argument("--to", required=True, choices=TARGETS, help="see above")
    parser.add_argument("--out", required=True, type=path, metavar="DIR", help="the folder (ppocr-onnx: file) to write")
    parser.add_argument(
        "--batch", type=_batch, default="dynamic", help="images at a time: dynamic (default), or a number"
    )
    parser.add_argument(
        "--quantise", choices=("none", "dynamic-int8"), default="none", help="onnx: smaller, less exact"
    )
    parser.add_argument("--words", metavar="WORDS", help=WORDS_HELP)
    parser.add_argument(
        "--check", type=path, metavar="DATA", help="compare on these images instead of the sample words"
    )
    parser.add_argument("--labels", help="label file inside DATA")
    parser.add_argument("--calibration", type=path, metavar="FILE", help="of jstr calibrate; default: the workdir's")
    add_options(parser)
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
    where = args.workdir or weights.BUNDLED
    reader = with_options(load(where, args.words), args)
    if reader.model.reads_text:
        raise InputError("a language model reads words, not images: export the ABINet that holds it")
    images = sample_words(args.check, args.labels, reader)
    about = export_folder.about(reader, where, args)
    folder = Path(args.out)
    with writing(f"--out={args.out}", folder), export_folder.replaced(folder) as part:
        if args.to == "safetensors":
            file = part / f"{NETWORK}{safetensors_file.SUFFIX}"
            export_folder.write_parameters(file, reader, where, about, args)
            exported: Reader | ExportedReader = load(file)
        else:
            names = export_folder.write_networks(part, reader, args)
            export_folder.write_reader(part, about, reader, names)
            exported = LOADERS[args.to](part)
        result = compare(reader, exported, images)
        facts = {"jax": jax.__version__, "convention": stablehlo.CONVENTION}
        card = model_card.text(about, args.out, result.lines(), **facts)
        (part / "README.md").write_text(card, encoding="utf-8")
    for line in (*export_folder.sizes(folder), *result.lines()):
        print(line)
    return 0 if result.is_same or args.quantise != "none" else 1


def load_stablehlo(folder: str | os.PathLike) -> ExportedReader:
    """The reader of a folder that `jstr export --to=stablehlo` wrote, for the platform of this process.

    Raises:
      InputError: not such a folder, damaged, or written by a jax that is too new or too old.
    """
    return open_export(folder, "stablehlo", lambda path, about: stablehlo.load(path, list(about["files"])))


def load_tflite(folder: str | os.PathLike) -> ExportedReader:
    """The reader of a folder that `jstr export --to=tflite` wrote.

    Raises:
      InputError: not such a folder, damaged, or ai-edge-litert is not installed.
    """

    def networks(path: Path, about: Mapping[str, Any]) -> dict[str, Run]:
        return tflite.load(path / tflite.FILE, about["batch"], Charset.make(**about["config"]["charset"]).num_classes)

    return open_export(folder, "tflite", networks)


LOADERS = {"onnx": onnx_reader.load, "stablehlo": load_stablehlo, "tflite": load_tflite}


if __name__ == "__main__":
    cli(run)
