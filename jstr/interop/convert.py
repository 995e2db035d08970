"""Converts a published PyTorch checkpoint into a workdir that jstr evaluates and continues.

python -m jstr.interop.convert --format=dtrb --checkpoint=TPS-ResNet-BiLSTM-Attn.pth --out=runs/trba
Formats: dtrb and cr, the four-stage recognisers; abinet and semimtr, their vision, language or full network; ppocr, an
ONNX file of PP-OCRv6 small or tiny, or of v4 or v5 mobile, published or fine-tuned. Needs torch (pip install
jstr[torch]), ppocr needs onnx instead. PyTorch files are read with weights_only=True: nothing in them is executed.
"""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from pathlib import Path

import numpy as np

from jstr.checkpoints import checkpoint
from jstr.checkpoints.provenance import commit
from jstr.cli import Parser, cli, path
from jstr.interop import ppocr, torch_abinet, torch_four_stage, torch_tensors, weights
from jstr.text import is_name
from jstr.text.messages import InputError

FORMATS = (*torch_four_stage.FORMATS, *torch_abinet.FORMATS, "ppocr")
SHOWN = 100  # characters of a charset that are printed


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise ArgumentTypeError(f"{text!r} is no size; give HEIGHTxWIDTH, such as 32x100")
    return int(height), int(width)


def _charset(text: str) -> str:
    return f"file:{text}" if Path(text).is_file() else text


def _parse(argv: list[str] | None) -> Namespace:
    parser = Parser("python -m jstr.interop.convert", __doc__)
    parser.add_argument("--format", required=True, choices=FORMATS, help="see above")
    parser.add_argument(
        "--checkpoint", required=True, type=path, help="the .pth file; ppocr: the .onnx file, or ppocrv6-small, ..."
    )
    parser.add_argument("--out", required=True, type=path, help="the workdir to write")
    names = "36, 62, 94 or ascii, latin, file:PATH or the characters; NAME+space: and the space"
    whole = "default: what the classes fit; ppocr: ascii, and all is every character of the file"
    parser.add_argument("--charset", type=_charset, help=f"{names}; {whole}")
    parser.add_argument(
        "--characters",
        type=path,
        metavar="FILE",
        help="ppocr: the dictionary, one character a line, or inference.yml; default: the metadata; a name: --charset",
    )
    parser.add_argument("--image_size", type=_size, help="HEIGHTxWIDTH; default: that of the spline, else 32x100")
    parser.add_argument(
        "--max_length", type=int, default=25, help="characters; default: 25; ABINet: as its tensors say"
    )
    parser.add_argument("--iterations", type=int, default=3, help="ABINet: rounds of correction; default: 3")
    parser.add_argument("--pad", action="store_true", help="the model was trained with --PAD (aspect ratio kept)")
    return parser.parse_args(argv)


def read(file: str) -> dict[str, np.ndarray]:
    """The tensors of a checkpoint by name; half precision becomes float32.

    Raises:
      InputError: torch is not installed, or the file is not a checkpoint.
    """
    if not Path(file).is_file():
        raise InputError(f"{file}: there is no such file")
    try:
        import torch
    except ImportError as error:
        raise InputError("reading a PyTorch checkpoint needs torch: pip install jstr[torch]") from error
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is no checkpoint makes the reader raise almost anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{file} cannot be read as a checkpoint of tensors: {reason}") from error
    if not hasattr(loaded, "items"):
        raise InputError(f"{file} holds a {type(loaded).__name__}, not a state dict")
    tensors = torch_tensors.state_dict(loaded)
    return {k: (v.float() if v.is_floating_point() else v).numpy() for k, v in tensors.items()}


def _ppocr(checkpoint: str, charset: str | None, dictionary: str | None) -> torch_tensors.Converted:
    """Of an ONNX file, or of a published reader by name."""
    found = weights.find_onnx(checkpoint) or weights.Found(Path(checkpoint))
    return ppocr.convert(found.onnx, charset or found.charset, dictionary or found.dictionary)


def run(argv: list[str] | None = None) -> None:
    args = _parse(argv)
    if args.characters and is_name(args.characters, "all"):
        args.charset, args.characters = args.characters, None
    common = dict(charset=args.charset, image_size=args.image_size)
    if args.format == "ppocr":
        converted = _ppocr(args.checkpoint, args.charset, args.characters)
    elif args.format in torch_abinet.FORMATS:
        converted = torch_abinet.convert(read(args.checkpoint), iterations=args.iterations, **common)
    else:
        converted = torch_four_stage.convert(
            read(args.checkpoint), format=args.format, max_length=args.max_length, keep_ratio=args.pad, **common
        )
    model_state = {"batch_stats": converted.batch_stats} if converted.batch_stats else {}
    meta = {"config": converted.config, "step": 0, "seconds": 0.0, "sums": {}, "commit": commit()}
    checkpoint.save_variables(args.out, {"model": converted.params}, model_state, meta)
    print(f"{args.out}: {_shortened(converted.config)}")


def _shortened(config: dict) -> dict:
    """The config with the first characters of a long charset, for a line of output."""
    characters = config["charset"]["characters"]
    if len(characters) <= SHOWN:
        return config
    return config | {"charset": config["charset"] | {"characters": f"{characters[:SHOWN]}... ({len(characters):,})"}}


if __name__ == "__main__":
    cli(run)
