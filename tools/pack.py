"""Packs the newest checkpoint of a run into one small file: python tools/pack.py --workdir=DIR --out=FILE.npz

The file may stand wherever a workdir is read from: jstr.predict, jstr.evaluate, jstr.load, config.init_from.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from jstr.checkpoints import packed
from jstr.cli import Parser, cli, path
from jstr.inference import calibration
from jstr.inference.word_copy import words_to_pack
from jstr.interop import weights
from jstr.text.messages import InputError

KEPT = ("charset", "image", "model", "language_model", "pattern")  # what reading needs; no paths of data


def run(argv: list[str] | None = None) -> None:
    parser = Parser("python tools/pack.py", __doc__)
    parser.add_argument("--workdir", type=path, required=True)
    parser.add_argument("--out", type=path, required=True, metavar="FILE.npz")
    parser.add_argument("--language_model", metavar="WORDS", help="replaces config.language_model.words")
    args = parser.parse_args(argv)
    if not args.out.endswith(packed.SUFFIX):
        raise InputError(f"--out={args.out}: the name must end with {packed.SUFFIX}")
    meta = weights.read_meta(args.workdir)
    saved = weights.load_variables(args.workdir, meta["config"].get("eval_weights", "student"))
    words = words_to_pack(args.workdir, meta, args.language_model)
    config = {name: meta["config"][name] for name in KEPT if meta["config"].get(name)}
    if args.language_model is not None:
        config["language_model"] = config.get("language_model", {}) | {"words": args.language_model}
    meta = {"step": meta["step"], "commit": meta.get("commit"), "config": config} | ({"words": words} if words else {})
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    packed.save(args.out, {"model": saved["params"]["model"]}, saved["model_state"], meta)
    if (measured := calibration.file_of(args.workdir)).is_file():
        shutil.copyfile(measured, calibration.file_of(args.out))
    print(f"{args.out}: {Path(args.out).stat().st_size / 2**20:.1f} MB")


if __name__ == "__main__":
    cli(run)
