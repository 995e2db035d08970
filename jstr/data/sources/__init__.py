"""Readers of word images. `open_source` finds out what lies at a path."""

from jstr.data.sources.open import open_source

__all__ = ["open_source"]
