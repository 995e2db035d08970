"""Speed of the official PyTorch code on this machine: python tools/bench_official.py --code=DIR --model=trba|crnn

DIR is a checkout of clovaai/deep-text-recognition-benchmark, of which nothing is kept here. A training step as its
train.py makes it (forward, loss, backward, clipping, Adadelta) on a batch of noise that stays on the device.
--how=published: eager, float32. --how=compiled: torch.compile and bfloat16 autocast. --reading=1,16,64 measures greedy
reading of so many words at a time instead, all 26 steps of the decoder, as its test.py does.
"""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from pathlib import Path

import numpy as np

from jstr.cli import Parser, cli, path
from jstr.text.messages import InputError

STAGES = {"trba": ("TPS", "ResNet", "BiLSTM", "Attn"), "crnn": ("None", "VGG", "BiLSTM", "CTC")}


def options_of(model: str, tiny: bool) -> Namespace:
    """The options that the official model reads. tiny: an eighth of the width."""
    names = dict(
        zip(("Transformation", "FeatureExtraction", "SequenceModeling", "Prediction"), STAGES[model], strict=True)
    )
    width, hidden = (64, 32) if tiny else (512, 256)
    classes = 38 if model == "trba" else 37
    return Namespace(
        **names, num_fiducial=20, imgH=32, imgW=100, input_channel=1, output_channel=width, hidden_size=hidden,
        num_class=classes, batch_max_length=25,
    )  # fmt: skip


class Step:
    """One training step of the official model on noise."""

    def __init__(self, code: str, model: str, batch: int, compiled: bool, tiny: bool):
        import torch

        sys.path.insert(0, code)
        try:
            from model import Model
        except ImportError as error:
            raise InputError(f"--code={code} is no checkout of the official code: {error}") from error
        self.torch, self.device = torch, torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(0)
        self.options, self.attention, self.compiled = options_of(model, tiny), model == "trba", compiled
        self.model = Model(self.options).to(self.device).train()
        self.run = torch.compile(self.model) if compiled else self.model
        self.optimizer = torch.optim.Adadelta(self.model.parameters(), lr=1, rho=0.95, eps=1e-8)
        self.images = torch.rand(batch, 1, 32, 100, device=self.device) * 2 - 1
        self.text = torch.randint(2, self.options.num_class, (batch, 27), device=self.device)

    def __call__(self) -> None:
        torch = self.torch
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.compiled):
            out = self.run(self.images, self.text[:, :-1], is_train=True)
        out = out.float()
        if self.attention:
            loss = torch.nn.functional.cross_entropy(out.reshape(-1, out.shape[-1]), self.text[:, 1:].reshape(-1))
        else:
            lengths = torch.full((len(out),), out.shape[1], dtype=torch.long)
            targets, sizes = self.text[:, :6], torch.full((len(out),), 6, dtype=torch.long)
            scores = out.log_softmax(2).permute(1, 0, 2)
            loss = torch.nn.functional.ctc_loss(scores, targets, lengths, sizes, zero_infinity=True)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5)
        self.optimizer.step()

    def ready(self) -> None:
        if self.device.type == "cuda":
            self.torch.cuda.synchronize()


def reading(step: Step, sizes: list[int], seconds: float = 8.0) -> dict[str, float]:
    """Median milliseconds of reading a batch, by its size."""
    torch, found = step.torch, {}
    step.model.eval()
    for size in sizes:
        images = torch.rand(size, 1, 32, 100, device=step.device) * 2 - 1
        text, times = torch.zeros(size, 26, dtype=torch.long, device=step.device), []
        end = time.perf_counter() + seconds
        while len(times) < 3 or time.perf_counter() < end:
            start = time.perf_counter()
            with torch.no_grad():
                step.model(images, text, is_train=False)
            step.ready()
            times.append(1000 * (time.perf_counter() - start))
        found[f"batch {size}"] = float(np.median(times[1:]))
        print(f"batch {size:4} {found[f'batch {size}']:9.1f} ms", flush=True)
    return found


def measure(step: Step, batch: int, steps: int) -> dict[str, float]:
    """Figures of five windows of `steps` steps, after one window that is not counted."""
    start, windows = time.perf_counter(), []
    step()
    step.ready()
    first = time.perf_counter() - start
    for number in range(6):
        start = time.perf_counter()
        for _ in range(steps):
            step()
        step.ready()
        if number:
            windows.append((time.perf_counter() - start) / steps)
    middle = float(np.median(windows))
    return {
        "images_per_second": batch / middle, "ms_per_step": 1000 * middle, "ms_min": 1000 * min(windows),
        "ms_max": 1000 * max(windows), "first_step_seconds": first,
    }  # fmt: skip


def run(argv: list[str] | None = None) -> None:
    parser = Parser("python tools/bench_official.py", __doc__)
    parser.add_argument("--code", type=path, required=True, metavar="DIR")
    parser.add_argument("--model", choices=STAGES, default="trba")
    parser.add_argument("--how", choices=("published", "compiled"), default="published")
    parser.add_argument("--batch", type=int, default=384)
    parser.add_argument("--steps", type=int, default=5, help="steps in a window")
    parser.add_argument("--tiny", action="store_true", help="an eighth of the width, one step in a window")
    parser.add_argument("--reading", metavar="SIZES", help="measure reading: words at a time, such as 1,16,64")
    parser.add_argument("--json", type=path, metavar="FILE")
    args = parser.parse_args(argv)
    step = Step(args.code, args.model, args.batch, args.how == "compiled", args.tiny)
    if args.reading:
        found = {"ms": reading(step, [int(size) for size in args.reading.split(",")])}
        if args.json:
            Path(args.json).write_text(json.dumps(found | {"torch": step.torch.__version__}, indent=2) + "\n")
        return
    found = measure(step, args.batch, 1 if args.tiny else args.steps)
    name = step.torch.cuda.get_device_name(0) if step.device.type == "cuda" else "cpu"
    found |= {"how": args.how, "batch": args.batch, "torch": step.torch.__version__, "device": name}
    print(f"{args.model}, {args.how}: {found['images_per_second']:,.0f} images/s, {found['ms_per_step']:.1f} ms a step")
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    cli(run)
