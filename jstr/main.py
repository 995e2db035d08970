"""Trains what a config describes.

python -m jstr.main --config=NAME --workdir=DIR [--config.KEY=VALUE ...]
"""

from __future__ import annotations

import sys

from jstr.cli import COORDINATOR, NUM_PROCESSES, PROCESS_ID, Parser, cli, config_help, parse, path


def run(argv: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if argv is None else argv
    config, workdir = parse([sys.argv[0], *arguments], about=__doc__)
    from jstr.training import launch  # after the flags: a typo should not wait for jax

    launch.run(config, workdir, COORDINATOR.value, NUM_PROCESSES.value, PROCESS_ID.value)


def adapt(argv: list[str] | None = None) -> None:
    """`jstr adapt FOLDER --workdir=DIR`: the config `adapt`, with the images of FOLDER."""
    parser = Parser("jstr adapt", config_help("adapt"))
    parser.add_argument("images", type=path, metavar="FOLDER", help="or LMDB, tar, TFDS: images of single words")
    parser.add_argument("--workdir", type=path, required=True, metavar="DIR", help="where everything is written")
    parser.add_argument(
        "--config", default="adapt", metavar="adapt:OPTIONS", help="see above, also for --config.KEY=VALUE"
    )
    parser.add_argument("--photos", action="store_true", help="FOLDER holds photographs, whose words are found first")
    args, rest = parser.parse_known_args(argv)
    from jstr.data.source_config import from_here

    key = "photos" if args.photos else "images"
    run([f"--config={args.config}", f"--config.{key}={from_here(args.images)}", f"--workdir={args.workdir}", *rest])


if __name__ == "__main__":
    cli(run)
