"""jstr.decoding.greedy for probabilities in NumPy: for exported recognisers, which read without JAX."""

from __future__ import annotations

import numpy as np

from jstr.text import Layout

Decoded = tuple[np.ndarray, np.ndarray]  # ids [B, T] int and confidences [B] float32


def ctc_greedy(probabilities: np.ndarray, layout: Layout) -> Decoded:
    """What greedy.ctc_prediction and greedy.confidence make of the logits of probabilities [B, T, C]."""
    ids, scores = probabilities.argmax(axis=-1), probabilities.max(axis=-1)
    repeated = ids[:, 1:] == ids[:, :-1]
    ids[:, 1:] = np.where(repeated, 0, ids[:, 1:])
    return ids, _confidence(ids, scores, layout)


def attention_greedy(probabilities: np.ndarray, layout: Layout) -> Decoded:
    """What greedy.attention_prediction and greedy.confidence make of the logits of probabilities [B, T, C]."""
    ids, scores = probabilities.argmax(axis=-1), probabilities.max(axis=-1)
    scores[:, -1] = probabilities[:, -1, layout.eos_id]
    ended = np.cumsum(ids == layout.eos_id, axis=1)
    after = (ended > 1) | ((ended == 1) & (ids != layout.eos_id))
    ids = np.where(after, layout.pad_id, ids)
    return ids, _confidence(ids, np.where(ended > 0, 1.0, scores), layout)


def _confidence(ids: np.ndarray, scores: np.ndarray, layout: Layout) -> np.ndarray:
    has_text = (ids >= layout.first_id).any(axis=1)
    return np.where(has_text, scores.prod(axis=1), 0.0).astype(np.float32)
