"""What follows the last step: the table, results.json, the user's own images read, and what to type next."""

from __future__ import annotations

import json
from pathlib import Path

from jstr.checkpoints.provenance import commit, machine
from jstr.core import Config, Objective, Recognizer
from jstr.inference import predictions_file, score
from jstr.inference.reader import load
from jstr.parallel import distributed
from jstr.text.messages import duration
from jstr.text.metrics import Score, table
from jstr.training.clock import Clock
from jstr.training.evaluation import benchmark_scores, saved_weights
from jstr.training.setup import Parts
from jstr.training.tracker import Tracker


def finish(parts: Parts, tracker: Tracker, step: int, clock: Clock) -> dict[str, Score]:
    """Prints and writes the results of a run that ended at `step`; returns the scores its workdir reads with."""
    config, workdir, best = parts.config, parts.workdir, tracker.best
    scores, validation = tracker.evaluation.scores, tracker.evaluation.validation
    if best:
        print(f"best by {config.keep_best}: step {best['step']:,} ({best['value']:.4g}), with which {workdir} reads")
    print(f"trained {step:,} steps in {duration(clock.total)}")
    if best and best["step"] != step:
        step, validation = best["step"], best["held_back"]
        scores = benchmark_scores(parts, saved_weights(workdir))
    _write_results(parts, step, scores, validation, clock)
    print(what_next(config, parts.objective, parts.reader.model, workdir), flush=True)
    if parts.unread is not None:
        reader = load(workdir)  # in all processes: orbax waits for them
        lines = predictions_file.write(reader, parts.unread, workdir) if distributed.is_lead_host() else []
        print("\n".join(lines), flush=True)
    return scores


def _write_results(parts: Parts, step: int, scores: dict[str, Score], validation: dict, clock: Clock) -> None:
    """The table and results.json, where something was measured."""
    config, usual = parts.config, parts.config.eval_weights
    if not scores and not validation:
        return
    own = {n: s for n, s in scores.items() if config.evals[n].get("weights", usual) == usual}
    others = {n: s for n, s in scores.items() if n not in own}  # an average is over the sets of one reader
    about = {"step": step, "seconds": round(clock.total, 1), "commit": commit(), "seed": config.seed}
    about |= {"machine": machine()} | ({"held_back": validation} if validation else {})
    about |= {"other_weights": score.as_json(others)} if others else {}
    text = json.dumps(score.as_json(own, **about), indent=2)
    if distributed.is_lead_host():
        (Path(parts.workdir) / "results.json").write_text(text + "\n")
    print("\n".join(table(part) for part in (own, others) if part))


def what_next(config: Config, objective: Objective, model: Recognizer, workdir: str) -> str:
    """What to type next."""
    if "logits" not in objective.requires:
        return f"Only the encoder has learned; go on with configs/probe.py or configs/finetune.py:encoder={workdir}"
    what, given = "Read an image", config.get("example_image") or "IMAGE"
    if model.reads_text:
        what, given = "Correct a word", "--words WORD"
    return f"{what} with:\npython -m jstr.predict --workdir={workdir} {given}"
