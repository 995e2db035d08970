"""Packs the newest checkpoint of a run into one small file: python tools/pack.py --workdir=DIR --out=FILE.npz

The file may stand wherever a workdir is read from: jstr.predict, jstr.evaluate, jstr.load, config.init_from.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from jstr.checkpoints import packed
from jstr.cli import Parser, cli, path
from jstr.inference import calibration
from jstr.inference.word_copy import packed_words
from jstr.interop import weights
from jstr.text.messages import InputError

KEPT = ("charset", "image", "model")  # what reading needs; paths of data stay where they are


def run(argv: list[str] | None = None) -> None:
    parser = Parser("python tools/pack.py", __doc__)
    parser.add_argument("--workdir", type=path, required=True)
    parser.add_argument("--out", type=path, required=True, metavar="FILE.npz")
    parser.add_argument("--language_model", metavar="WORDS", help="a word list to read with, bundled or a file")
    args = parser.parse_args(argv)
    if not args.out.endswith(packed.SUFFIX):
        raise InputError(f"--out={args.out}: the name must end with {packed.SUFFIX}")
    meta = weights.read_meta(args.workdir)
    saved = weights.load_variables(args.workdir, meta["config"].get("eval_weights", "student"))
    meta = {"step": meta["step"], "commit": meta.get("commit"), "config": {k: meta["config"][k] for k in KEPT}}
    if args.language_model:
        meta["config"]["language_model"] = {"words": args.language_model}
        if words := packed_words(meta["config"]):
            meta["words"] = words
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    packed.save(args.out, {"model": saved["params"]["model"]}, saved["model_state"], meta)
    if (measured := calibration.file_of(args.workdir)).is_file():
        shutil.copyfile(measured, calibration.file_of(args.out))
    print(f"{args.out}: {Path(args.out).stat().st_size / 2**20:.1f} MB")


if __name__ == "__main__":
    cli(run)
