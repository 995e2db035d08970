"""A compact CRNN learns Korean from words rendered on the fly: the 2,350 syllables of KS X 1001, digits, Latin letters.

    python -m jstr.main --config=configs/korean.py --workdir=runs/korean

It starts from the encoder of the bundled reader. 46 minutes on one core. Measured results, by the protocol `exact`:
configs/results/korean.json.
"""

from configs import common


def get_config(arg: str = "") -> common.ConfigDict:
    config = common.base()
    # NFKC composes the letters of a syllable, which some systems store separately, into one character.
    config.charset.update(characters="korean", max_length=12, lower=False, nfkc=True)
    config.image.update(size=(32, 128), keep_ratio=True)  # syllables are as wide as high; four of them fill the width
    config.model = common.crnn(width=0.5) | dict(features="compact")
    # Letters of any script are made of strokes: start from the encoder of the bundled reader.
    encoder = ("model/extractor", "model/sequence_0", "model/sequence_1")
    config.init_from = tuple((part, "bundled", part) for part in encoder)
    config.init_allow_missing = ("model/decoder",)
    plain = dict(common.PLAIN, kinds=(0.6, 0.2, 0.2), random_length=(1, 6))
    varied = dict(kinds=(0.6, 0.1, 0.3), random_length=(1, 6))
    sources = dict(plain=_words(seed=1, style=plain), varied=_words(seed=3, style=varied))
    config.streams.labelled = common.stream(32, sources)
    # The first two sets hold training words in new images; the third holds random strings of syllables, so that a
    # memorised word does not help.
    config.evals = dict(
        plain=_words(seed=2, size=1000, style=dict(plain, kinds=(1, 0, 0))),
        varied=_words(seed=2, size=1000, style=dict(varied, kinds=(1, 0, 0))),
        random=_words(seed=4, size=1000, style=dict(plain, kinds=(0, 0, 1), random_length=(2, 4))),
    )
    for row in config.evals.values():
        row.protocol = "exact"
    config.optimizer = common.adam(2e-3, warmup=0.05)
    config.steps, config.log_every, config.eval_every, config.save_every = 6000, 100, 2000, 500
    config = common.apply(config, arg)
    if common.arguments(arg).runlocal:
        config.streams.labelled.sources = dict(rendered=_words(seed=1))
        config.evals = dict(rendered=_words(seed=99, size=16) | dict(protocol="exact"))
    return config


def _words(seed: int, **options) -> dict:
    return common.rendered(seed, fonts="korean", words="korean", **options)
