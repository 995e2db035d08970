"""The best text of each search, with its probability: what tests of beam search ask for."""

from jstr.decoding.beam_search import Rules, attention_texts, ctc_texts, position_texts
from jstr.decoding.ranking import ranked


def ctc_search(probabilities, *rules, **more):
    rules = Rules(*rules, **more)
    return ranked(ctc_texts(probabilities, rules), rules.characters, rules.pattern)[0]


def position_search(probabilities, *rules, **more):
    rules = Rules(*rules, **more)
    return ranked(position_texts(probabilities, rules), rules.characters, rules.pattern)[0]


def attention_search(probabilities, advance, steps, *rules, **more):
    rules = Rules(*rules, **more)
    return [
        ranked(texts, rules.characters, rules.pattern)[0]
        for texts in attention_texts(probabilities, advance, steps, rules)
    ]
