"""config.photos: words found in photographs become the images of a run."""

import pytest
from photos_testing import encoded, photograph, red_is_text  # noqa: F401

from configs import adapt
from jstr.data.photos import words_file
from jstr.text.messages import InputError
from jstr.training.own_photographs import find_words

pytestmark = pytest.mark.usefixtures("red_is_text")


@pytest.fixture
def config(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/one.png").write_bytes(encoded(photograph((100, 200, 300, 240))))
    config = adapt.get_config()
    config.photos = str(tmp_path / "photos")
    return config


def test_words_become_images_everywhere(config, tmp_path, capsys):
    (tmp_path / "photos/broken.jpg").write_bytes(b"")
    (tmp_path / "photos/blank.png").write_bytes(encoded(photograph()))
    find_words(config, str(tmp_path / "run"))
    words = str(tmp_path / "run/words")
    assert config.images == words and config.streams.unlabelled.sources.images.path == words
    assert len(words_file.load(f"{words}/words.tsv")) == 1
    out = capsys.readouterr().out
    assert "broken.jpg: an empty file" in out and "1 words; 1 photographs without words" in out
    find_words(config, str(tmp_path / "run"))  # a run that goes on
    (tmp_path / "photos/one.png").rename(tmp_path / "photos/two.png")
    capsys.readouterr()
    find_words(config, str(tmp_path / "run"))
    earlier = "2 words, 1 of them in 1 photographs no longer given; 1 photographs without words"
    assert earlier in capsys.readouterr().out


def test_photographs_without_words(config, tmp_path):
    config.find.min_height = 500
    with pytest.raises(InputError, match="no word was found in 1 photographs"):
        find_words(config, str(tmp_path / "run"))
    config.photos = str(tmp_path)
    config.find.min_height = -1
    with pytest.raises(InputError, match="config.find.min_height=-1: give 1 to"):
        find_words(config, str(tmp_path / "run"))


def test_photographs_or_images(config, tmp_path):
    config.images = "words/"
    with pytest.raises(InputError, match="give one of them"):
        find_words(config, str(tmp_path / "run"))
    config.images, config.photos = "", str(tmp_path / "none")
    with pytest.raises(InputError, match="none"):
        find_words(config, str(tmp_path / "run"))


def test_labels_of_a_person_are_a_source_of_their_own():
    config = adapt.get_config()
    config.labels = "labels.tsv"
    sources = config.streams.labelled.sources
    assert sources.corrected.path == "labels.tsv" and sources.read.read_by.corrected == "labels.tsv"
