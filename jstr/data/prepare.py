"""Imports a published data set of word images.

python -m jstr.data.prepare --from=FORMAT --src=FOLDER --out=FOLDER

FORMAT is one of
  mjsynth      MJSynth: annotation_{train,val,test}.txt and JPEG files
  synthtext    SynthText: gt.mat and photographs, out of which the words are cut
  iiit5k       IIIT5K: traindata.mat, testdata.mat (--labels=chars: trainCharBound.mat, testCharBound.mat)
  svt          Street View Text: train.xml, test.xml and photographs, out of which the words are cut
  icdar        ICDAR 2013 and 2015 word recognition: gt.txt, Challenge*_Task3_GT.txt
  iam          IAM words: words.txt and words/
  union14m     Union14M-L and its benchmark: JSON lines
  lmdb         LMDB of deep-text-recognition-benchmark and PARSeq
  huggingface  Parquet files with image bytes (--labels=COLUMN names the text)
  folder       images and a label file, .tsv or .csv (--labels=FILE names it)

The result is a TFDS data set written as ArrayRecord, or LMDB. The import can be interrupted at any time; the same
command continues. OUT/report.json says what was left out, and why.
"""

from __future__ import annotations

import signal
import sys
from argparse import Namespace
from types import FrameType

from jstr.cli import Parser, cli, path


class Interruption:
    """Turns the first Ctrl-C or SIGTERM into something that can be asked for; a second one acts at once."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(number, signal.default_int_handler)

    def __call__(self) -> bool:
        return self.asked


def _parse(argv: list[str] | None) -> Namespace:
    parser = Parser("python -m jstr.data.prepare", __doc__)
    parser.add_argument("--from", dest="format", required=True, metavar="FORMAT", help="see above")
    parser.add_argument("--src", required=True, type=path, help="the unpacked data set")
    parser.add_argument(
        "--out", required=True, type=path, help="a new folder; tfds.data_source looks for DIR/FORMAT/1.0.0"
    )
    parser.add_argument("--to", default="array_record", help="array_record (default) or lmdb")
    parser.add_argument("--split", help="import these splits only: train or train,test")
    parser.add_argument("--labels", help="which labels, where a format has several (see above)")
    parser.add_argument("--crops", default="jpg", help="words cut out of photographs: jpg (quality 95, default) or png")
    parser.add_argument("--limit", type=int, help="only the first N lines, photographs or row groups of each split")
    parser.add_argument("--no-check", dest="check", action="store_false", help="do not decode every image")
    parser.add_argument("--jobs", type=int, help="processes; default: one for each core")
    return parser.parse_args(argv)


def _import(args: Namespace, interruption: Interruption) -> None:
    from jstr.data.importers.formats import open_published
    from jstr.data.importers.prepare import is_finished, prepare
    from jstr.data.importers.report import describe

    reader = open_published(args.format, args.src, args.labels, args.crops)
    splits = args.split.split(",") if args.split else None
    options = dict(to=args.to, splits=splits, limit=args.limit, check=args.check, jobs=args.jobs)
    finished = is_finished(args.out)
    report = prepare(reader, args.out, **options, interrupted=interruption)
    if finished:
        print(f"nothing was done: {args.out} holds this import already; its report:")
    print("\n".join(describe(report)))
    usable = [split for split, row in report["splits"].items() if row["words"]]
    mark = "#" if args.to == "array_record" else "/"
    print(f"complete; sources for a config: {', '.join(f'{args.out}{mark}{split}' for split in usable)}")


def run(argv: list[str] | None = None) -> int:
    """Exit status: 0, or 130 when it was interrupted."""
    args = _parse(argv)
    interruption = Interruption()  # before anything else is loaded: that takes a second or two
    from jstr.data.importers.shards import Interrupted

    try:
        _import(args, interruption)
    except (Interrupted, KeyboardInterrupt):
        print("interrupted; the same command continues", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    cli(run)
