"""Imports published data sets of word images: readers of their forms, shards, and the data sets made of them."""
