"""Adapts a recogniser to your own images of words, without labels, and reads them.

    python -m jstr.main --config=configs/adapt.py --workdir=runs/mine --config.images=FOLDER

FOLDER (or an LMDB, tar or TFDS data set) holds word crops as a text detector cuts them. Training uses rendered words
with their labels, your images by consistency (CR, Zheng et al. 2022) and, where the start reads them with confidence,
as labelled words. At the end the weights are averaged with the start's (WiSE-FT, Wortsman et al. 2022), whose weight is
half the share of your images that it reads with confidence. A tenth of your images is held back for validation.
runs/mine/predictions.tsv holds what is read, the least confident words first. 16 to 54 minutes on one core.

    --config=configs/adapt.py:start=WORKDIR  start from that run (or packed file), with its charset, size and recogniser
    --config=configs/adapt.py:start=ppocrv6-small  start from that published reader (see `jstr predict --help`)
    --config=configs/adapt.py:start=none     start from random weights; then give --config.charset.characters too; the
                                             checkpoint is chosen by `trust` on the tenth that is held back
    --config=configs/adapt.py:labels_only    train on rendered words and confident readings only, without consistency,
                                             in less than half the time
    --config=configs/adapt.py:rounds=3       in rounds: the run reads your images again after each, and learns what it
                                             then reads with confidence; from PP-OCR it ends early where the figure that
                                             chooses the checkpoint falls in two rounds in a row
    --config.self_training.shares="(0.5,0.75,1.0)"  with rounds: instead of what is read with confidence, this part of
                                             the images, the surest, in round 1, 2, 3 ...; from PP-OCR also
                                             --config.self_training.thresholds="()"
    --config=configs/adapt.py:weighted       each reading weighs its confidence in the loss, instead of 1
    --config.words=FILE                      your lexicon: a word (and a tab and log10 of its frequency) on each line;
                                             its words are rendered, and expected where the image is ambiguous;
                                             default: the list that the start was trained with, or English words
    --config.fonts=FOLDER                    your fonts; default: those that the start was trained with
    --config.photos=FOLDER                   photographs instead of images: their words are found first, into
                                             runs/mine/words (--config.find.min_height=12, ...: see jstr detect)
    --config.labels=labels.tsv               words that you have corrected (jstr review): they are learned as well, more
                                             often than the others, and what was read in their images is not used
    --config.test=PATH                       labelled words of the same kind, to follow how well they are read: they are
                                             neither trained on nor used to choose the checkpoint
    --config.lexicon=FILE                    only readings that are words of this list become labels
    --config.pattern.regex="('[A-Z]{3}[0-9]{4}',)"
                                             your images show codes that follow this: such codes are rendered, and only
                                             readings that follow it become labels; also .checksum="('iso6346',)"

Default: start=bundled, the reader that comes with the package. Measured results: configs/results/adapt.json.

A start of PP-OCR (`jstr convert --format=ppocr`) reads so well that it learns from its own surest readings alone, at
a low rate, in its upper layers: 450 steps of 16 in 5 to 15 minutes on one core. `whole` trains all layers,
`consistency` adds CR.
The checkpoint that reads most of a held-back tenth as the start does with its words is used, or a later one that is no
more than a standard error below it; the start is a candidate. At the end the weights are averaged with the start's,
where fewer than 1,000 images were learned: from half of the start for a handful down to nothing of it. Not with
`consistency`, because its rendered words count as images.
`rounds=4` goes on with what it then reads: 4 x 300 steps, half an hour on one core.

Measured results: configs/results/ppocr_adapt.json, handwriting.json.
"""

import json
import os
import zipfile
from pathlib import Path

import numpy as np
from ml_collections import config_dict

from configs import common, common_ppocr

BUNDLED = "bundled"  # a name of jstr/interop/weights.py
ADAPTABLE = ("four_stage", "ppocr")


def get_config(arg: str = "") -> common.ConfigDict:
    options = common.arguments(
        arg, start=BUNDLED, labels_only=False, consistency=False, rounds=1, whole=False, weighted=False
    )
    config = common.base()
    config.model = common.crnn(width=0.5) | dict(features="compact")
    config.charset.drop_outside = True
    config.photos, config.labels, config.test, config.lexicon = "", "", "", ""
    config.evals.test = dict(path=config.get_ref("test"), labels="", protocol="alnum36", optional=True)
    config.outlook = 200  # images that are read to say at the start whether adaptation should pay; 0: none
    config.find = dict(split="words", min_score=0.5, min_height=8, reach=4096, margin=-0.12)
    scratch = options.start == "none" or options.runlocal
    if (options.labels_only or options.rounds != 1) and scratch:
        raise ValueError("config arguments labels_only and rounds need a trained start")
    if options.rounds < 1:
        raise ValueError(f"config argument rounds={options.rounds}: give 1 or more")
    config.words, config.fonts = "english", config_dict.placeholder(str)
    if not scratch:
        saved = start_from(config, options.start)
        config.words, fonts = words_and_fonts(saved)
        config.fonts = fonts or config.fonts
        if (options.whole or options.consistency) and config.model.name != "ppocr":
            raise ValueError(
                f"config arguments whole and consistency are for PP-OCR; start={options.start} has them by itself"
            )
        if config.model.name == "ppocr":
            config = from_ppocr(config, options.consistency, options.whole)
            return finished(config, options, steps=300, thresholds=(0.99, 0.98, 0.95))
    else:  # not for a trained start: a new layer with random weights would first teach it that layer's noise
        config.model.projection = "mlp"
    streams(config, scratch)
    config.objective = consistency(attention=config.model.get("prediction") == "attention")
    config.teacher = dict(decay=0.999, warmup=True, update="after", workdir="")
    config.optimizer = common.adamw(2e-3 if scratch else 3e-4, weight_decay=0.01, warmup=0.1)
    if scratch:
        config.keep_best = "held_back/trust"
    else:  # a start that reads few of the images knows little of them that is worth keeping (adapt.json)
        config.average_with_start, config.average_as_sure = 0.5, True
    config.steps, config.log_every, config.eval_every, config.save_every = 30_000 if scratch else 3_000, 100, 300, 300
    if options.labels_only:
        config.objective, config.teacher, config.keep_best = dict(name="supervised"), {}, ""
        del config.streams.unlabelled, config.held_back.unlabelled
    config = finished(config, options, steps=1_500)
    return common.apply(config, "runlocal" if options.runlocal else "")


def finished(
    config: common.ConfigDict, options: common.ConfigDict, steps: int, thresholds: tuple[float, ...] = ()
) -> common.ConfigDict:
    """With rounds of `steps` each, if there are several: your images are read again before all but the first.

    thresholds: the confidence that makes a label in each of these; (): that of the first. If the figure that chooses
    the checkpoint falls in two rounds in a row, the run ends.
    """
    if options.weighted:
        config.objective.weighted = True
    if options.rounds > 1:
        config.steps = options.rounds * steps
        falls = 2 if config.keep_best else 0
        config.self_training = dict(every=steps, thresholds=thresholds, shares=(), stop_after=falls)
    return config


def streams(config: common.ConfigDict, scratch: bool) -> None:
    """Rendered words with labels, a tenth of your images for validation and the others for training."""
    given = dict(words=config.get_ref("words"), fonts=config.get_ref("fonts"))
    pattern = pattern_of(config)
    labelled = dict(
        plain=common.rendered(seed=1, style=common.PLAIN, **given) | dict(weight=0.25 if scratch else 0.1),
        varied=common.rendered(seed=3, pattern=pattern, **given) | dict(weight=0.75 if scratch else 0.9),
    )
    config.language_model.words = given["words"]
    both = dict(weak=dict(cr_weak={}), strong=dict(cr_strong={}))
    images = dict(path=config.get_ref("images"))
    if not scratch:
        labelled["read"] = images | dict(share=0.9, weight=0.75, read_by=read_by(config, threshold=0.9))

    labelled["corrected"] = corrected(config)

    def own_images(**part) -> dict:
        return common.views(32, dict(images=images | dict(labelled=False) | part), **both)

    config.streams.labelled = common.stream(32, labelled, both["weak"])
    config.streams.unlabelled = own_images(share=0.9)
    validation = dict(varied=common.rendered(seed=5, pattern=pattern, **given))
    config.held_back.labelled = common.stream(32, validation, both["weak"])
    config.held_back.unlabelled = own_images(share=0.1, share_start=0.9)
    for row in config.held_back.values():
        row.batches = 4


def read_by(config: common.ConfigDict, threshold: float) -> dict:
    """How the start reads your images, and what of it becomes labels."""
    names = dict(language_model="words", corrected="labels", lexicon="lexicon")
    given = {key: config.get_ref(name) for key, name in names.items()}
    return dict(workdir=config.init_from[0][1], threshold=threshold, pattern=pattern_of(config)) | given


def pattern_of(config: common.ConfigDict) -> dict:
    """References to config.pattern, of codes where it is not empty."""
    return {key: config.pattern.get_ref(key) for key in config.pattern}


def corrected(config: common.ConfigDict) -> dict:
    """The source of config.labels, if given: each of its few words comes far more often than one without a person."""
    return dict(path=config.get_ref("labels"), optional=True, weight=0.25)


def from_ppocr(config: common.ConfigDict, consistent: bool, whole: bool) -> common.ConfigDict:
    """The recipe of a strong start.

    consistent: with rendered words and CR, which takes three times as long. whole: all layers are trained.
    """
    given = dict(words=config.get_ref("words"), fonts=config.get_ref("fonts"))
    config.language_model.update(words=given["words"], width=16)
    images = dict(path=config.get_ref("images"))
    # Words weigh twice as much as in reading: confident mistakes that are no words would be learned (ppocr_adapt.json).
    by = read_by(config, threshold=0.8) | dict(language_weight=1.0)
    # What it has learned of the surest corrects the mistakes in the others, which would else teach themselves. Codes,
    # which are no words, are rarely so sure (handwriting.json, guided.json).
    read = images | dict(share=0.9, read_by=by | dict(threshold=0.99, fallback=0.8))
    config.streams.labelled = common.stream(16, dict(read=read, corrected=corrected(config)), common_ppocr.LIGHT)
    held_back = images | dict(share=0.1, share_start=0.9, read_by=by)
    config.held_back.labelled = common.stream(32, dict(read=held_back))
    common_ppocr.fine_tune(config, 2e-4, whole)
    config.steps, config.log_every, config.eval_every, config.save_every = 450, 50, 150, 50
    # A standard error of 256 words of which 95 % are right, as the start's readings are: a better reader gets no more.
    config.keep_best, config.keep_best_noise = "held_back/right", 0.014
    # Few images are soon known by heart; the average with the start then reads others better (handwriting.json).
    config.average_with_start, config.average_below = 0.5, 1000
    if consistent:
        varied = common.rendered(seed=3, pattern=pattern_of(config), **given)
        config.streams.labelled.sources.varied = varied | dict(weight=0.25)
        own = images | dict(labelled=False)
        both = dict(weak=dict(cr_weak={}), strong=dict(cr_strong={}))
        config.streams.unlabelled = common.views(16, dict(images=own | dict(share=0.9)), **both)
        config.held_back.unlabelled = common.views(32, dict(images=own | dict(share=0.1, share_start=0.9)), **both)
        config.objective = consistency(attention=False) | dict(coral_weight=0.0)
        config.teacher = dict(decay=0.99, warmup=True, update="after", workdir="")
        config.keep_best, config.keep_best_noise = "held_back/trust", 0.0
    for row in config.held_back.values():
        row.batches = 8
    return config


def consistency(attention: bool) -> dict:
    """CR. A CTC teacher gives strings, because the frames of views with different geometry do not correspond."""
    return dict(
        name="cr_str",
        labels="soft" if attention else "hard",
        divergence="kl",
        temperature=0.4,
        confidence="product",
        threshold=0.5,
        cons_reduction="character",
        cons_weight=1.0,
        coral_weight=0.01,
        coral_threshold=0.6,
        coral_normalise=False,
        hidden_labels=False,
    )


def start_from(config: common.ConfigDict, start: str) -> dict:
    """Takes charset, image, model and weights of a run or packed file; returns its config.

    Raises:
      ValueError: it cannot be adapted.
    """
    start = os.path.expanduser(start)  # a shell leaves the ~ of --config=adapt:start=~/runs/a
    saved = saved_config(start)
    if saved["model"]["name"] not in ADAPTABLE:
        raise ValueError(
            f"config argument start={start} is {saved['model']['name']}; only four-stage recognisers, "
            "such as CRNN and TRBA, and PP-OCR's can be adapted (ABINet: configs/semimtr.py)"
        )
    for name in ("charset", "image", "model"):
        config[name] = config_dict.ConfigDict(
            {k: tuple(v) if isinstance(v, list) else v for k, v in saved[name].items()}
        )
    config.init_from = (("model", start, "model"),)
    return saved


def words_and_fonts(saved: dict) -> tuple[str, str | None]:
    """The word list and the fonts that a run was rendered with, where its config names them; else English, and None.

    A reader of another language would forget it on English words.
    """
    sources = [source for row in saved.get("streams", {}).values() for source in row.get("sources", {}).values()]
    rendered = [source["rendered"] for source in sources if "rendered" in source]
    named = {key: [row[key] for row in rendered if isinstance(row.get(key), str)] for key in ("words", "fonts")}
    words = [*named["words"], (saved.get("language_model") or {}).get("words") or "english"]
    return words[0], (named["fonts"] or [None])[0]


def saved_config(start: str) -> dict:
    """The config of a run or packed file; of a published reader, what `start_from` takes. Raises ValueError: none."""
    name, _, characters = start.partition(":")
    if name in common_ppocr.PUBLISHED:
        if characters == "all":  # only the file of the reader says which they are
            raise ValueError(
                f"config argument start={start}: first write a workdir that knows its characters, by jstr convert "
                f"--format=ppocr --checkpoint={start} --out=DIR, and give start=DIR"
            )
        return common_ppocr.ppocr(common_ppocr.PUBLISHED[name], characters)
    place = common.BUNDLED if start == BUNDLED else Path(start)
    try:
        if place.suffix == ".safetensors":  # its header: a length of 8 bytes, then JSON
            with place.open("rb") as file:
                header = json.loads(file.read(min(int.from_bytes(file.read(8), "little"), 1 << 27)))
            return json.loads(header["__metadata__"]["jstr"])["config"]
        if place.suffix != ".npz":
            return json.loads((place / "config.json").read_text())
        with np.load(place) as file:
            return json.loads(str(file["meta"]))["config"]
    except OSError as error:
        if name == BUNDLED and characters:
            raise ValueError(
                f"config argument start={start}: {BUNDLED} reads its own characters only; give start={BUNDLED}, or "
                f"start=ppocrv6-small:{characters}"
            ) from error
        if start == BUNDLED:
            raise ValueError(
                "no reader comes with this copy of jstr; give configs/adapt.py:start=WORKDIR of a run, or start=none"
            ) from error
        raise ValueError(f"config argument start={start}: {error.strerror}; give a workdir, or start=none") from error
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"config argument start={start} holds neither a run nor a packed reader") from error
