"""Decoder evaluation of SeqCLR (Aberdam et al. 2021): a new decoder learns to read from a frozen encoder.

    python -m jstr.main --config=configs/probe.py:compact,encoder=runs/seqclr --workdir=runs/probe \
        --config.data_root=DATA

The encoder runs as in evaluation: its batch normalisation keeps the statistics of pre-training. Without encoder=: a
random encoder, as a lower bound. Options `compact`, `decoder` and `features` as in configs/seqclr.py; decoder=ctc makes
the probe linear. `compact` trains on the labels of 7,619 real words, otherwise on those of the LMDB `ST`. Measured
results: configs/results/seqclr.json.
"""

from configs import common


def get_config(arg: str = "") -> common.ConfigDict:
    options = common.arguments(arg, compact=False, encoder="", decoder="attention", features="frames")
    config = common.labelled_words(options.compact, options.decoder, share=1.0, share_seed=0)
    common.pretrained(config, options.encoder, options.features, frozen=True)
    config.steps, config.log_every, config.eval_every, config.save_every = 50_000, 100, 10_000, 2_000
    if options.compact:
        config.steps, config.log_every, config.eval_every, config.save_every = 4_000, 100, 2_000, 500
    return common.apply(config, "runlocal" if options.runlocal else "")
