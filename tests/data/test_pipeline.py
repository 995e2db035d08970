import contextlib
import itertools

import numpy as np
import pytest
from testing import tiny_config, write_folder

from jstr.data.pipeline import TrainData
from jstr.data.sample_filter import BrokenImageTracker
from jstr.data.source_config import Share
from jstr.text import Charset
from jstr.text.messages import InputError
from jstr.training import setup

WORDS = [f"w{i:03d}" for i in range(40)]


def data_of(config) -> TrainData:
    prepared = setup.prepare(config)
    return TrainData(config, prepared.reader.charset, prepared.objective.streams, prepared.frames)


def take(data, start, count, **kwargs):
    with contextlib.closing(data.batches(start, **kwargs)) as batches:
        return list(itertools.islice(batches, count))


def same(a, b):
    assert a["keys"] == b["keys"]
    for field, array in a["arrays"]["labelled"].items():
        np.testing.assert_array_equal(array, b["arrays"]["labelled"][field])


@pytest.fixture
def config(tmp_path):
    config = tiny_config(words=dict(path=str(write_folder(tmp_path / "words", WORDS))))
    config.streams.labelled.views.image = {"affine": {}, "noise": {}}
    return config


def test_batches_are_a_function_of_their_number(config):
    straight = take(data_of(config), 0, 12)
    assert straight[0]["arrays"]["labelled"]["image"].shape == (8, 32, 64, 1)
    assert straight[0]["arrays"]["labelled"]["tokens"].shape == (8, 25)
    for start in (0, 3, 7):
        for a, b in zip(straight[start:], take(data_of(config), start, 12 - start), strict=True):
            same(a, b)
    assert straight[0]["keys"] != straight[5]["keys"], "the second epoch is shuffled anew"


def test_an_epoch_holds_every_sample_once(config):
    batches = take(data_of(config), 0, 5)
    keys = [key for batch in batches for key in batch["keys"]]
    assert len(set(keys)) == 40


def test_a_batch_of_one(config):
    """Also one row for each of several processes."""
    expected = [key for batch in take(data_of(config), 0, 1) for key in batch["keys"]]
    shares = [take(data_of(config), 0, 1, process_index=i, process_count=8)[0]["keys"] for i in range(8)]
    assert [key for share in shares for key in share] == expected
    config.streams.labelled.batch_size = 1
    assert [batch["keys"] for batch in take(data_of(config), 0, 8)] == [[key] for key in expected]


def test_workers_give_the_same_batches(config):
    expected = take(data_of(config), 2, 6)
    config.num_workers = 2
    for a, b in zip(expected, take(data_of(config), 2, 6), strict=True):
        same(a, b)


def test_processes_share_each_global_batch(config):
    whole = take(data_of(config), 0, 4)
    parts = [take(data_of(config), 0, 4, process_index=i, process_count=2) for i in range(2)]
    for a, *shares in zip(whole, *parts, strict=True):
        assert sorted(a["keys"]) == sorted(key for share in shares for key in share["keys"])


def test_mixing_follows_the_weights(tmp_path):
    rows = {n: dict(path=str(write_folder(tmp_path / n, WORDS)), weight=w) for n, w in (("a", 3.0), ("b", 1.0))}
    keys = [key for batch in take(data_of(tiny_config(**rows)), 0, 10) for key in batch["keys"]]
    assert sum(key.startswith("a/") for key in keys) == 60


def test_streams_and_sources_have_orders_of_their_own(tmp_path):
    """Also where they use the same images."""
    row = dict(path=str(write_folder(tmp_path / "words", WORDS)))
    config = tiny_config(a=row, b=row)
    config.streams.other = config.streams.labelled.copy_and_resolve_references()
    fields = {name: ("image", "tokens") for name in ("labelled", "other")}
    batches = take(TrainData(config, Charset.make(**config.charset), fields), 0, 4)
    orders = [
        [key[2:] for batch in batches for key in batch["keys"][first : first + 8] if key.startswith(name)]
        for first in (0, 8)
        for name in "ab"
    ]
    assert all(len(order) == 16 for order in orders)
    assert not any(a == b for a, b in itertools.combinations(orders, 2))


def test_seed_changes_the_order(config):
    first = take(data_of(config), 0, 1)[0]["keys"]
    config.seed = 1
    assert take(data_of(config), 0, 1)[0]["keys"] != first


def test_broken_images_are_replaced_and_named(tmp_path):
    folder = write_folder(tmp_path / "words", WORDS * 5)
    (folder / "0007.png").write_bytes(b"broken")
    (folder / "0008.png").unlink()
    data = data_of(tiny_config(words=dict(path=str(folder))))
    batches = take(data, 0, 25)
    broken = {key for batch in batches for key in batch["broken"]}
    assert broken == {"words/0007.png", "words/0008.png"}
    keys = [key for batch in batches for key in batch["keys"]]
    assert len(keys) == 200 and not broken & set(keys)
    assert all(batch["arrays"]["labelled"]["image"].std() > 10 for batch in batches)


def test_more_than_one_percent_broken_stops():
    broken = BrokenImageTracker({"a": 200})
    assert broken.add(["a/1", "a/2", "a/1"]) == ["a/1", "a/2"]
    assert broken.add(["a/1"]) == []
    with pytest.raises(InputError, match="at least 3 of 200 images of a .* more than 1%: a/1, a/2, a/3; fix"):
        broken.add(["a/3"])


def test_nothing_is_dropped_in_silence(tmp_path):
    words = ["fine", "it's", "", "w" * 26]
    data = data_of(tiny_config(words=dict(path=str(write_folder(tmp_path / "w", words)))))
    text = "\n".join(data.notes)
    assert "words: 1 of 4 labels used" in text
    assert '1 outside the charset: "it\'s"' in text and "1 empty" in text and "longer than max_length=25" in text


def test_zero_usable_samples(tmp_path):
    config = tiny_config(words=dict(path=str(write_folder(tmp_path / "w", ["ÄÖ", "ÜÖ"]))))
    with pytest.raises(InputError, match="no usable sample: 2 outside the charset; characters outside.*'öäü'"):
        data_of(config)


@pytest.mark.parametrize(
    "rows, message",
    [
        ({}, "sources is empty"),
        ({"a": dict(weight=1.0)}, "needs a path"),
        ({"a": dict(path="/no/such/place")}, "/no/such/place.*(does not exist|no such)"),
        ({"a": dict(rendered=dict(seed=1, size=9, hight=3))}, "hight"),
        ({"a": dict(rendered=dict(seed=1, size=9, style=dict(wobble=3)))}, "wobble"),
    ],
)
def test_bad_sources(rows, message):
    config = tiny_config()
    config.streams.labelled.sources = rows
    with pytest.raises(InputError, match=message):
        data_of(config)


def test_a_stream_the_objective_does_not_read():
    config = tiny_config()
    config.streams.unlabelled = config.streams.labelled
    with pytest.raises(InputError, match="reads \\['labelled'\\]"):
        data_of(config)


def stream_of(fields, row, **image):
    """The only stream of a config that an objective with these fields would read."""
    config = tiny_config()
    config.streams = {"stream": row}
    config.image.update(image)
    charset = setup.prepare(tiny_config()).reader.charset
    return TrainData(config, charset, {"stream": fields})


def row_of(tmp_path, views=None, **sources):
    rows = {
        name: dict(path=str(write_folder(tmp_path / name, WORDS, shape=(20, 30, 3)))) | row
        for name, row in sources.items()
    }
    return dict(batch_size=8, sources=rows, views=views or {})


def keys_of(data):
    return {data.streams["stream"][i]["key"] for i in range(len(data.sources["stream/words"]))}


def test_a_share_is_nested_counted_and_fixed_by_its_seed(tmp_path):
    def share(**row):
        data = stream_of(("image", "tokens", "has_label"), row_of(tmp_path, words=row))
        return keys_of(data), "\n".join(data.notes)

    small, notes = share(share=0.1)
    assert len(small) == 4 and "words: of these 4 chosen (share=0.1)" in notes
    large, rest = share(share=0.5)[0], share(share=0.5, share_start=0.5)[0]
    assert small < large and len(large) == 20 and not large & rest and len(large | rest) == 40
    assert share(share=0.1)[0] == small != share(share=0.1, share_seed=1)[0]
    assert len(share(share=0.001)[0]) == 1
    apart = [share(share=0.5, share_start=s, labelled=x)[0] for s, x in ((0.0, True), (0.5, False))]
    assert apart == [large, rest], "what is held back without labels is not trained on with them"
    for bad in (dict(share=0.0), dict(share=1.5), dict(share=0.6, share_start=0.5)):
        with pytest.raises(InputError, match="is not a part of 0 to 1"):
            share(**bad)
    with pytest.raises(InputError, match="rendered words have a size"):
        stream_of(("image",), dict(batch_size=8, sources=dict(r=dict(rendered=dict(seed=1, size=9), share=0.5))))


def test_shares_are_of_the_whole_source_whatever_is_usable():
    everything, some = np.arange(1000), np.flatnonzero(np.arange(1000) % 3)
    train, rest = (Share(*part).choose(everything, 1000) for part in ((0.9, 0.0), (0.1, 0.9)))
    labelled = Share(0.9).choose(some, 1000)
    assert set(labelled) == set(some) & set(train) and not set(labelled) & set(rest)
    assert np.all(np.diff(labelled) > 0)
    assert len(Share(0.001, 0.5).choose(some, 1000)) == 1


def test_a_mixed_stream_says_which_words_have_a_label(tmp_path):
    fields = ("image", "tokens", "has_label")
    sources = dict(words=dict(weight=0.3), more=dict(weight=0.7, labelled=False))
    data = stream_of(fields, row_of(tmp_path, **sources))
    samples = [data.streams["stream"][i] for i in range(100)]
    assert sum(s["has_label"] for s in samples) == 30
    for sample in samples:
        assert sample["has_label"] == sample["key"].startswith("words/")
        assert np.all(sample["tokens"] == data.charset.padding()) == (not sample["has_label"])
    batch = take(data, 0, 1)[0]["arrays"]["stream"]
    assert batch["has_label"].dtype == bool and batch["has_label"].shape == (8,)
    with pytest.raises(InputError, match="sources.more.labelled=False, but this stream needs every label"):
        stream_of(("image", "tokens"), row_of(tmp_path, **sources))


def test_rendered_words_may_hide_their_labels():
    row = dict(batch_size=8, sources=dict(r=dict(rendered=dict(seed=1, size=9), labelled=False)))
    sample = stream_of(("image", "tokens", "has_label"), row).streams["stream"][0]
    assert not sample["has_label"] and np.all(sample["tokens"] == sample["tokens"][0])


def test_views_draw_from_independent_random_numbers(tmp_path):
    def views(**views):
        data = stream_of(("view0", "view1"), row_of(tmp_path, views=views, words={}))
        return [data.streams["stream"][i] for i in range(8)]

    noise = {"noise": {"probability": 1.0}}
    both = views(view0=noise, view1=noise)
    assert all(np.any(s["view0"] != s["view1"]) for s in both)
    for a, b in zip(both, views(view0={"seqclr": {}, **noise}, view1=noise), strict=True):
        np.testing.assert_array_equal(a["view1"], b["view1"])
    for a, b in zip(both, views(view0=noise, view1=noise), strict=True):
        np.testing.assert_array_equal(a["view0"], b["view0"])
    with pytest.raises(InputError, match="views has \\['view2'\\]; the images of this stream are"):
        views(view2=noise)


def test_padding_is_measured(tmp_path):
    fields = ("image", "image_filled")
    padded = stream_of(fields, row_of(tmp_path, words={}), keep_ratio=True).streams["stream"][0]
    assert padded["image_filled"] == 48 / 64 and np.all(padded["image"][:, 47:48] == padded["image"][:, 48:])
    assert stream_of(fields, row_of(tmp_path, words={})).streams["stream"][0]["image_filled"] == 1


def test_one_source_in_two_streams(tmp_path):
    """Its broken images are counted against the larger of its uses."""
    config = tiny_config()
    config.streams = dict(labelled=row_of(tmp_path, words=dict(share=0.1)), unlabelled=row_of(tmp_path, words={}))
    fields = dict(labelled=("image", "tokens"), unlabelled=("image",))
    data = TrainData(config, setup.prepare(tiny_config()).reader.charset, fields)
    assert data.sizes == {"words": 40}
    assert {"labelled/words": 4, "unlabelled/words": 40} == {name: len(u) for name, u in data.sources.items()}
