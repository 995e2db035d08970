"""Fine-tuning after SeqCLR (Aberdam et al. 2021) on a share of the labels, encoder and decoder together.

    python -m jstr.main --config=configs/finetune.py:compact,encoder=runs/seqclr,labels=0.05 --workdir=runs/finetune \
        --config.data_root=DATA

labels: the share of the labelled words, such as 0.05, 0.1 or 1.0, chosen by label_seed=0; smaller shares are subsets of
larger ones. Without encoder=: the supervised baseline, the same network from scratch on the same words. Options
`compact`, `decoder` and `features` as in configs/seqclr.py. Measured results: configs/results/seqclr.json.
"""

from configs import common


def get_config(arg: str = "") -> common.ConfigDict:
    options = common.arguments(
        arg, compact=False, encoder="", decoder="attention", features="frames", labels=1.0, label_seed=0
    )
    share = dict(share=options.labels, share_seed=options.label_seed)
    config = common.labelled_words(options.compact, options.decoder, **share)
    common.pretrained(config, options.encoder, options.features, frozen=False)
    config.steps, config.log_every, config.eval_every, config.save_every = 50_000, 100, 10_000, 2_000
    if options.compact:
        config.steps, config.log_every, config.eval_every, config.save_every = 6_000, 100, 2_000, 500
    return common.apply(config, "runlocal" if options.runlocal else "")
