"""SeqCLR (Aberdam et al. 2021): pre-trains the encoder of TRBA, grey 32x100, on words without labels.

    python -m jstr.main --config=configs/seqclr.py:compact --workdir=runs/seqclr --config.data_root=DATA

Next: configs/probe.py and configs/finetune.py. Without `compact`: the published sizes, on the images of the LMDB `ST`
(SynthText), which needs an accelerator; no official code of this paper was released, and its learning rate and
optimiser are not certain. With `compact`: a quarter of the width and fewer layers, on rendered words and, in equal
parts, 95 % of 7,619 real ones, whose labels are not used; DATA holds iiit5k, svt, icdar2003 and icdar2015 with their
train.tar. The other 5 % of the images are used for validation. Measured results: configs/results/seqclr.json. Options:

    features=visual   contrast the features before the BiLSTM instead of those after it
    stronger          also vary contrast, colour and position more, so that none of them identifies an image
    centred           subtract what the parts of a word share, so that neither its style nor its identity helps
    joint,labels=0.1  add the supervised loss on a tenth of the labels, chosen by label_seed=0, for 3 words of 10
    start=WORKDIR     another recogniser's encoder, with its weights; of PP-OCR (ppocrv6-small) the upper layers train;
                      next: configs/ppocr_finetune.py
"""

from copy import deepcopy

from configs import common, common_ppocr
from configs.adapt import start_from

# In addition to the published operations: these vary what otherwise distinguishes the words of a small batch.
STRONGER = dict(
    contrast=dict(contrast=0.6, brightness=0.25, invert=0.5),
    noise=dict(sigma=15.0, probability=0.5),
    affine=dict(rotate=4.0, shear=0.15, scale=0.1, shift=0.1),
)


def get_config(arg: str = "") -> common.ConfigDict:
    options = common.arguments(
        arg,
        compact=False,
        decoder="attention",
        features="frames",
        stronger=False,
        centred=False,
        joint=False,
        labels=1.0,
        label_seed=0,
        start="",
    )
    if options.labels != 1.0 and not options.joint:
        raise ValueError("config argument labels: give joint too; without it no label is used")
    config = common.base()
    config.charset.layout, config.charset.drop_outside = f"cr_{options.decoder}", True
    config.model = (common.compact_trba() if options.compact else common.trba()) | dict(prediction=options.decoder)
    stream = "mixed" if options.joint else "unlabelled"
    config.objective = dict(
        name="seqclr",
        features=options.features,
        head="none",
        mapping="window",
        size=5,
        temperature=0.1,
        centred=options.centred,
        joint=options.joint,
    )
    batch_size, more = 64 if options.compact else 256, STRONGER if options.stronger else {}
    views = {name: deepcopy(dict(seqclr={}) | more) for name in ("view0", "view1")}
    config.streams[stream] = common.views(batch_size, training(options), **views)
    rest = rows(options, labelled=False, share=0.05, share_start=0.95, share_seed=options.label_seed)
    config.held_back[stream] = common.views(batch_size, rest, **views) | dict(batches=4)
    config.optimizer = common.adam(1e-3, warmup=0.05) if options.compact else common.adadelta()
    config.steps, config.log_every, config.eval_every, config.save_every = 300_000, 100, 10_000, 2_000
    if options.compact:
        config.steps, config.log_every, config.eval_every, config.save_every = 6_000, 100, 1_000, 500
    else:
        config.num_workers = 8
    if options.start and not options.runlocal:
        start_from(config, options.start)
        if config.model.name == "ppocr":
            common_ppocr.fine_tune(config, 1e-4)
    return common.apply(config, "runlocal" if options.runlocal else "")


def rows(options: common.ConfigDict, **more) -> dict:
    """Rows of the real words, or of SynthText if not options.compact; more: keys added to each."""
    return common.real_words(**more) if options.compact else dict(st=dict(path="ST", weight=1.0) | more)


def training(options: common.ConfigDict) -> dict:
    """Unlabelled rows; for the joint form also labelled ones, with 3 of 10 words."""
    unlabelled = rows(options, labelled=False, share=0.95, share_seed=options.label_seed)
    if not options.joint:
        return unlabelled | (dict(varied=common.rendered(seed=3) | dict(labelled=False)) if options.compact else {})
    labelled = rows(options, share=min(options.labels, 0.95), share_seed=options.label_seed)
    for row in labelled.values():
        row["weight"] *= 0.3
    for row in unlabelled.values():
        row["weight"] *= 0.7
    return {f"labelled_{name}": row for name, row in labelled.items()} | unlabelled
