"""Runs a named recipe within a time budget: python tools/recipe.py NAME --budget=540 --out=DIR --data=DATA

A recipe is a series of the project's own commands: it times a step first, chooses how many fit, trains, evaluates and
packs. It ends by itself 30 s before the budget and adds at most 8 files of at most 16 MiB to DIR: `log.txt`,
`results.json` (written again after every part), `metrics.jsonl`, packed weights and images. What does not fit any more
is left out and named; what lay in DIR before stays. `--dry-run` goes through all of it on a CPU with tiny sizes.
`--list` names the recipes.

`--bundle=DIR` packs the project, the wheels that a machine without a network may lack (Python 3.12, x86-64) and the
words under DATA into one folder, and sees that the wheels install into an empty environment; then, on that machine:

    bash DIR/run.sh bench 540 OUT
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import recipes
from recipe_run import SPARE, Run

from jstr.cli import Parser, cli, path
from jstr.text.messages import InputError


def run(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 1 where no part of the recipe came to anything."""
    parser = Parser("python tools/recipe.py", __doc__)
    parser.add_argument("name", nargs="?", metavar="NAME", help=", ".join(recipes.RECIPES))
    parser.add_argument("--budget", type=float, default=540.0, metavar="SECONDS")
    parser.add_argument("--out", type=path, metavar="DIR")
    parser.add_argument(
        "--data", metavar="DIR", help="iiit5k/train.tar and the others, as configs/crnn_real.py reads them"
    )
    parser.add_argument("--official", type=path, metavar="DIR", help="bench: a checkout of the official PyTorch code")
    parser.add_argument(
        "--language", type=path, metavar="WORKDIR", help="semimtr: a language model that was trained before"
    )
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--bundle", type=path, metavar="DIR")
    args = parser.parse_args(argv)
    if args.list:
        print("\n".join(f"{name:18}{recipe.__doc__.splitlines()[0]}" for name, recipe in recipes.RECIPES.items()))
        return 0
    if args.bundle:
        import recipe_bundle

        recipe_bundle.make(Path(args.bundle), Path(args.data) if args.data else None, args.official)
        return 0
    if args.name not in recipes.RECIPES:
        raise InputError(f"recipe {args.name!r}: choose one of {', '.join(recipes.RECIPES)}")
    if not args.out:
        raise InputError("give --out=DIR, a folder for the results")
    if args.budget <= 2 * SPARE and not args.dry_run:
        raise InputError(f"--budget={args.budget:g}: give more than {2 * SPARE:g} seconds")
    if not (args.data or args.dry_run):
        raise InputError("give --data=DIR, the folder of word images; only --dry-run goes without")
    for name in ("data", "official"):
        if getattr(args, name) and not Path(getattr(args, name)).is_dir():
            raise InputError(f"--{name}={getattr(args, name)} is not a folder")
    data = Path(args.data).resolve() if args.data else None
    this = Run(args.name, args.budget, Path(args.out), data, args.dry_run)
    try:
        recipes.RECIPES[args.name](this, args)
    finally:
        this.close()
    return 0 if this.rows["arms"] else 1


if __name__ == "__main__":
    cli(run)
