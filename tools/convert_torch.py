"""Converts a published PyTorch checkpoint into a workdir that jstr evaluates and continues.

python tools/convert_torch.py --format=dtrb --checkpoint=TPS-ResNet-BiLSTM-Attn.pth --out=runs/trba
Formats: dtrb and cr, the four-stage recognisers; abinet and semimtr, their vision, language or full network.
Needs torch (pip install jstr[torch]). The file is read with weights_only=True: nothing in it is executed.
"""

from __future__ import annotations

import argparse
import sys

from jstr.checkpoints import checkpoint
from jstr.core import InputError
from jstr.interop import torch_abinet, torch_four_stage, torch_tensors
from jstr.training.provenance import commit


def size(text: str) -> tuple[int, int]:
    height, width = text.lower().split("x")
    return int(height), int(width)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", required=True, choices=torch_four_stage.FORMATS + torch_abinet.FORMATS)
    parser.add_argument("--checkpoint", required=True, help="the .pth file")
    parser.add_argument("--out", required=True, help="the workdir to write")
    parser.add_argument("--charset", help="36, 62, 94, file:PATH or the characters; default: what the classes fit")
    parser.add_argument("--image_size", type=size, help="HEIGHTxWIDTH; default: that of the spline, else 32x100")
    parser.add_argument("--max_length", type=int, default=25, help="ABINet: as the tensors say")
    parser.add_argument("--iterations", type=int, default=3, help="ABINet: rounds of correction")
    parser.add_argument("--pad", action="store_true", help="the model was trained with --PAD (aspect ratio kept)")
    return parser.parse_args()


def read(path: str) -> dict:
    """name -> NumPy array; half precision becomes float32."""
    try:
        import torch
    except ImportError as error:
        raise InputError("reading a PyTorch checkpoint needs torch: pip install jstr[torch]") from error
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is no checkpoint makes the reader raise almost anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{path} cannot be read as a checkpoint of tensors: {reason}") from error
    if not hasattr(loaded, "items"):
        raise InputError(f"{path} holds a {type(loaded).__name__}, not a state dict")
    tensors = torch_tensors.state_dict(loaded)
    return {k: (v.float() if v.is_floating_point() else v).numpy() for k, v in tensors.items()}


def main() -> None:
    args = arguments()
    try:
        common = dict(charset=args.charset, image_size=args.image_size)
        if args.format in torch_abinet.FORMATS:
            converted = torch_abinet.convert(read(args.checkpoint), iterations=args.iterations, **common)
        else:
            converted = torch_four_stage.convert(
                read(args.checkpoint), format=args.format, max_length=args.max_length, keep_ratio=args.pad, **common
            )
        model_state = {"batch_stats": converted.batch_stats} if converted.batch_stats else {}
        meta = {"config": converted.config, "step": 0, "seconds": 0.0, "sums": {}, "commit": commit()}
        checkpoint.save_variables(args.out, {"model": converted.params}, model_state, meta)
    except InputError as error:
        print(f"convert_torch: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"{args.out}: {converted.config}")


if __name__ == "__main__":
    main()
