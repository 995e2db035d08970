import io
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
import tensorflow_datasets as tfds

from jstr.core import InputError
from jstr.data.sources.label_files import parse_labels
from jstr.data.sources.open import ConcatSource, FolderSource, LmdbSource, TfdsSource, open_source

REAL_WORDS = Path(__file__).parent / "data" / "real_words"
WORDS = ["Coffee", "7", 'a "b"', "Größe", "x,y"]


def image(i):
    return cv2.imencode(".png", np.full((4, 9, 3), i % 256, np.uint8))[1].tobytes()


def write_lmdb(folder, words, num_samples=None, images=None):
    folder.mkdir(parents=True, exist_ok=True)
    env = lmdb.open(str(folder), map_size=1 << 24)
    with env.begin(write=True) as txn:
        for i, word in enumerate(words, 1):
            if images is None or i <= images:
                txn.put(b"image-%09d" % i, image(i - 1))
            if word is not None:
                txn.put(b"label-%09d" % i, word if isinstance(word, bytes) else word.encode())
        if num_samples != "none":
            txn.put(b"num-samples", str(num_samples if num_samples is not None else len(words)).encode())
    env.close()
    (folder / "lock.mdb").unlink()
    return str(folder)


def write_folder(folder, labels=None, name="labels.tsv", count=5):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        (folder / f"{i}.png").write_bytes(image(i))
    if labels is not None:
        (folder / name).write_bytes(labels if isinstance(labels, bytes) else labels.encode())
    return str(folder)


def tsv(words=WORDS):
    return "".join(f"{i}.png\t{word}\n" for i, word in enumerate(words))


def write_tar(path, members):
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return str(path)


def images(count=5, prefix=""):
    return {f"{prefix}{i}.png": image(i) for i in range(count)}


class TinyWords(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")
    SPLITS = {"train": WORDS, "test": ["zz"]}
    FEATURES = {"picture": tfds.features.Image(), "label": tfds.features.Text(), "other": tfds.features.Text()}

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(self.FEATURES))

    def _split_generators(self, _):
        return {split: self._generate_examples(words) for split, words in self.SPLITS.items()}

    def _generate_examples(self, words):
        for i, word in enumerate(words):
            values = {"picture": io.BytesIO(image(i)), "label": word, "other": "o", "text": word}
            yield i, {name: values[name] for name in self.FEATURES}


class TinyImages(TinyWords):
    SPLITS = {"train": WORDS}
    FEATURES = {"picture": tfds.features.Image()}


class TinyClasses(TinyWords):
    SPLITS = {"train": ["no", "yes"]}
    FEATURES = {"picture": tfds.features.Image(), "label": tfds.features.ClassLabel(names=["yes", "no"])}


def write_tfds(builder, folder):
    builder(data_dir=str(folder)).download_and_prepare(file_format="array_record")
    return str(folder / builder.name / "1.0.0")


def make(kind, tmp_path):
    """A source of every kind that holds WORDS, and the key of its fourth sample."""
    if kind == "lmdb":
        return open_source(write_lmdb(tmp_path / "db", WORDS)), "image-000000004"
    if kind == "lmdbs":
        write_lmdb(tmp_path / "MJ" / "b", WORDS[2:])
        write_lmdb(tmp_path / "MJ" / "a", WORDS[:2])
        return open_source(tmp_path), "MJ/b/image-000000002"
    if kind == "folder":
        return open_source(write_folder(tmp_path, tsv())), "3.png"
    if kind == "tar":
        return open_source(write_tar(tmp_path / "a.tar", {"labels.tsv": tsv().encode(), **images()})), "3.png"
    return open_source(write_tfds(TinyWords, tmp_path) + "#train"), "train/3"


def fails(*expected, **options):
    path = options.pop("path")
    with pytest.raises(InputError) as error:
        open_source(path, **options)
    message = str(error.value)
    assert "\n" not in message and len(message) < 600
    for part in (str(path).partition("#")[0], *expected):
        assert part in message, message
    return message


@pytest.mark.parametrize("kind", ["lmdb", "lmdbs", "folder", "tar", "tfds"])
def test_source(kind, tmp_path):
    source, key = make(kind, tmp_path)
    labels = list(source.labels())
    assert len(source) == len(labels) == len(WORDS) and sorted(labels) == sorted(WORDS)
    samples = list(source)
    assert [s["label"] for s in samples] == labels
    drawn = [0, 1, 0, 1, 2] if kind == "lmdbs" else range(5)
    assert sorted(s["image"] for s in samples) == sorted(image(i) for i in drawn)
    assert samples[3]["key"] == key and source[np.int64(3)] == samples[3]
    assert source.notes == [] and source.path in repr(source) and str(len(WORDS)) in repr(source)
    for i in (-1, len(WORDS)):
        with pytest.raises(IndexError):
            source[i]
    copy = pickle.loads(pickle.dumps(source))
    assert repr(copy) == repr(source)
    order = list(range(5)) * 100
    with ThreadPoolExecutor(8) as pool:  # the copy also opens its files here
        assert list(pool.map(copy.__getitem__, order)) == [samples[i] for i in order]
    assert list(copy.labels()) == labels


def test_order_is_that_of_the_files(tmp_path):
    for kind in ("lmdb", "folder", "tar", "lmdbs"):
        assert list(make(kind, tmp_path / kind if kind != "tar" else tmp_path)[0].labels()) == WORDS


def test_worker_process_reads(tmp_path):
    for kind in ("lmdb", "tar", "tfds"):
        folder = tmp_path / kind
        folder.mkdir()
        source, _ = make(kind, folder)
        (tmp_path / "source.pickle").write_bytes(pickle.dumps(source))
        code = f"import pickle; print(pickle.load(open({str(tmp_path / 'source.pickle')!r}, 'rb'))[1]['label'])"
        assert len(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) > 1


# ---------------------------------------------------------------- LMDB


def test_lmdb_missing_entries(tmp_path):
    source = open_source(write_lmdb(tmp_path, ["a", None, "c"], num_samples=4, images=2))
    assert list(source.labels()) == ["a", None, "c", None]
    assert [s["image"] is None for s in source] == [False, False, True, True]
    assert "4" in source.notes[0] and "4 images or labels are missing" in source.notes[0]
    beyond = open_source(write_lmdb(tmp_path / "b", ["a", "b"], num_samples=1))
    assert len(beyond) == 1 and "beyond num-samples" in beyond.notes[0]


def test_lmdb_unlabelled(tmp_path):
    path = write_lmdb(tmp_path, [None, None])
    assert list(open_source(path, labelled=False).labels()) == [None, None]
    fails("without labels", "unlabelled", path=path)
    ignored = open_source(write_lmdb(tmp_path / "b", ["a"]), labelled=False)
    assert ignored[0]["label"] is None and ignored[0]["image"] == image(0)


def test_lmdb_twice_and_read_only(tmp_path):
    path = write_lmdb(tmp_path / "db", WORDS)
    os.chmod(path, 0o555)
    one, two = open_source(path), open_source(path + "/data.mdb", labelled=False)
    assert one[0]["image"] == two[0]["image"] and two[0]["label"] is None
    assert os.listdir(path) == ["data.mdb"]
    os.chmod(path, 0o755)


def test_lmdb_linked_twice(tmp_path):
    write_lmdb(tmp_path / "real", WORDS)
    for name in ("x", "y"):
        (tmp_path / "links").mkdir(exist_ok=True)
        (tmp_path / "links" / name).symlink_to(tmp_path / "real")
    (tmp_path / "links" / "z").symlink_to(tmp_path / "links")
    assert open_source(tmp_path / "links").names == ["x", "y"]


def test_lmdb_errors(tmp_path):
    fails("no num-samples", path=write_lmdb(tmp_path / "a", WORDS, num_samples="none"))
    fails("empty", path=write_lmdb(tmp_path / "b", [], num_samples=0))
    fails("not a number", path=write_lmdb(tmp_path / "c", WORDS, num_samples="many"))
    path = write_lmdb(tmp_path / "d", ["a", b"\xff\xfe"])
    fails("labels=", path=path, labels="gt.txt")
    source = open_source(path)
    with pytest.raises(InputError, match="label-000000002 is not UTF-8"):
        list(source.labels())
    with pytest.raises(InputError, match="label-000000002 is not UTF-8"):
        source[1]
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "data.mdb").write_bytes(os.urandom(100_000))
    fails("data.mdb", path=tmp_path / "e")
    (tmp_path / "e" / "data.mdb").write_bytes(bytes(100_000))
    fails("data.mdb", path=tmp_path / "e")


def test_lmdb_truncated(tmp_path):
    """In other processes: without the check of the size, reading such a file ends in SIGBUS."""
    write_lmdb(tmp_path, [f"word{i}" for i in range(3000)])
    whole = (tmp_path / "data.mdb").read_bytes()
    sizes = [0, 100, 200, 4096, 4097, 8192, 12288, len(whole) // 2, len(whole) - 4096, len(whole) - 1]
    for size in sizes:
        folder = tmp_path / "cut" / str(size)
        folder.mkdir(parents=True)
        (folder / "data.mdb").write_bytes(whole[:size])
    code = (
        "import sys; from jstr.data.sources import open_source; from jstr.core import InputError\n"
        "for path in sys.argv[1:]:\n"
        "  try: list(open_source(path).labels())\n"
        "  except InputError as error: print(error)\n"
        "  else: print('read', path)\n"
    )
    paths = [str(tmp_path / "cut" / str(size)) for size in sizes]
    run = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True)
    assert run.returncode == 0, run
    lines = run.stdout.splitlines()
    assert len(lines) == len(sizes)
    for path, line in zip(paths, lines, strict=True):
        assert path in line and ("truncated" in line or "is empty (0 bytes)" in line) and "copy it again" in line


def test_lmdb_broken_inside(tmp_path):
    """Pages overwritten with noise: an error of lmdb becomes ours."""
    write_lmdb(tmp_path, [f"word{i}" for i in range(3000)])
    file = tmp_path / "data.mdb"
    whole = bytearray(file.read_bytes())
    whole[8192:] = bytes(len(whole) - 8192)
    file.write_bytes(whole)
    fails("damaged", path=tmp_path)


# ---------------------------------------------------------------- folders


@pytest.mark.parametrize(
    "name, data",
    [
        ("labels.tsv", tsv()),
        ("labels.tsv", b"\xef\xbb\xbf" + tsv().replace("\n", "\r\n").encode() + b"\r\n\r\n"),
        ("labels.tsv", "filename\tlabel\n" + tsv()),
        ("gt.txt", tsv()),
        ("gt.txt", '\ufeff0.png, "Coffee"\r\n1.png, "7"\r\n2.png, "a \\"b\\""\r\n3.png, "Größe"\r\n4.png, "x,y"'),
        ("labels.csv", '0.png,Coffee\n1.png,7\n2.png,"a ""b"""\n3.png,Größe\n4.png,"x,y"\n'),
        ("labels.csv", '\ufefffilename,label\r\n0.png,Coffee\n1.png,7\r\n2.png,"a ""b"""\r\n3.png,Größe\n4.png,"x,y"'),
        ("labels.csv", 'id,text,file\n0,Coffee,0.png\n1,7,1.png\n2,"a ""b""",2.png\n3,Größe,3.png\n4,"x,y",4.png\n'),
    ],
)
def test_label_files(tmp_path, name, data):
    source = open_source(write_folder(tmp_path, data, name))
    assert isinstance(source, FolderSource) and source.notes == []
    assert [(s["key"], s["label"], s["image"]) for s in source] == [
        (f"{i}.png", word, image(i)) for i, word in enumerate(WORDS)
    ]


def test_odd_line_ends_stay_in_the_label():
    assert parse_labels("a.png\tx\u2028y\nb.png\t\n".encode(), "labels.tsv") == [("a.png", "x\u2028y"), ("b.png", "")]


def test_folder_missing_unused_and_repeated_files(tmp_path):
    path = write_folder(tmp_path, "0.png\ta\nnot.png\tb\n./1.png\tc\n0.png\td\n", count=4)
    source = open_source(path)
    assert list(source.labels()) == ["a", "b", "c", "d"]
    assert [s["image"] for s in source] == [image(0), None, image(1), image(0)]
    missing, unused = source.notes
    assert "1 files" in missing and "not.png" in missing
    assert "2 images have no line" in unused and "2.png, 3.png" in unused


def test_folder_choice_of_labels(tmp_path):
    path = write_folder(tmp_path, tsv())
    (tmp_path / "labels_classic.tsv").write_text(tsv(["one"]))
    source = open_source(path, labels="labels_classic.tsv")
    assert list(source.labels()) == ["one"] and "4 images have no line" in source.notes[0]
    fails("'nope.tsv'", "labels.tsv", "labels_classic.tsv", path=path, labels="nope.tsv")
    (tmp_path / "gt.txt").write_text(tsv())
    assert "gt.txt" in open_source(path).notes[0]
    os.remove(tmp_path / "gt.txt")
    os.remove(tmp_path / "labels.tsv")
    fails("no labels", "labels_classic.tsv", path=path)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "my.lst").write_text("0.png\tx")
    assert list(open_source(path, labels="deep/my.lst").labels()) == ["x"]


def test_folder_unlabelled(tmp_path):
    write_folder(tmp_path / "b", count=2)
    write_folder(tmp_path / "a" / "x", count=1)
    (tmp_path / "a" / "x" / "Z.JPEG").write_bytes(b"not decoded")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "._0.png").write_bytes(b"hidden")
    source = open_source(tmp_path, labelled=False)
    assert [s["key"] for s in source] == ["a/x/0.png", "a/x/Z.JPEG", "b/0.png", "b/1.png"]
    assert list(source.labels()) == [None] * 4 and source[1]["image"] == b"not decoded"
    fails("4 images but no labels", "labels.tsv, gt.txt, labels.csv", "unlabelled", path=tmp_path)
    write_folder(tmp_path, "0.png\ta", count=2)
    everything = open_source(tmp_path, labelled=False)
    assert len(everything) == 6 and "labels.tsv" in everything.notes[0]
    named = open_source(tmp_path, labelled=False, labels="labels.tsv")
    assert [(s["key"], s["label"]) for s in named] == [("0.png", None)]


@pytest.mark.parametrize(
    "name, data, expected",
    [
        ("labels.tsv", "0.png\ta\n1.png,b\n", ["labels.tsv line 2", "'1.png,b'", "TAB"]),
        ("labels.tsv", "0.png a\n", ["labels.tsv line 1", "'0.png a'", "TAB"]),
        ("gt.txt", '0.png, "a"\n1.png b\n', ["gt.txt line 2", "'1.png b'", "TAB"]),
        ("labels.csv", "0.png\ta\n", ["labels.csv line 1", "comma"]),
        ("labels.csv", '0.png,"a"b\n', ["labels.csv line 1", "not CSV"]),
        ("labels.tsv", b"0.png\ta\n1.png\t\xff\n", ["labels.tsv line 2", "UTF-8"]),
        ("labels.csv", b"0.png,a\n1.png,\xe4\n", ["labels.csv line 2", "UTF-8"]),
        ("labels.tsv", "\n\n", ["holds no lines"]),
        ("labels.tsv", "x/0.png\ta\nx/1.png\tb\n", ["none of the 2 files", "x/0.png"]),
    ],
)
def test_label_file_errors(tmp_path, name, data, expected):
    fails(*expected, path=write_folder(tmp_path, data, name))


def test_nothing_to_open(tmp_path):
    fails("does not exist", path=tmp_path / "no")
    fails("does not exist", path=tmp_path / "no#train")
    fails("data.mdb", "dataset_info.json", "labels.tsv, gt.txt, labels.csv", path=tmp_path)
    fails("data.mdb", path=tmp_path, labelled=False)
    (tmp_path / "a.bin").write_bytes(b"x")
    fails("no known kind", path=tmp_path / "a.bin")
    (tmp_path / "a.tar.gz").write_bytes(b"x")
    fails("compressed", path=tmp_path / "a.tar.gz")
    fails("no splits", "#train", path=write_folder(tmp_path, tsv()) + "#train")


def test_hash_in_a_name(tmp_path):
    assert len(open_source(write_folder(tmp_path / "set#1", tsv()))) == len(WORDS)


# ---------------------------------------------------------------- tar


def test_tar_choice_of_labels(tmp_path):
    members = {"labels.tsv": tsv().encode(), "labels_classic.tsv": tsv(["A", "B"]).encode(), **images()}
    path = write_tar(tmp_path / "a.tar", members)
    assert list(open_source(path, labels="labels_classic.tsv").labels()) == ["A", "B"]
    fails("labels.tsv, labels_classic.tsv", path=path, labels="no.tsv")
    unlabelled = open_source(path, labelled=False)
    assert len(unlabelled) == len(WORDS) and unlabelled[2] == {"image": image(2), "label": None, "key": "2.png"}


def test_tar_with_folders_and_missing_files(tmp_path):
    members = {"./set/labels.tsv": b"0.png\ta\nnot.png\tb", **images(3, "./set/"), "./set/._0.png": b"hidden"}
    source = open_source(write_tar(tmp_path / "a.tar", members))
    assert [s["image"] for s in source] == [image(0), None]
    assert "not.png" in source.notes[0] and "2 images have no line" in source.notes[1]


def test_a_tar_that_is_open_when_the_program_ends(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"labels.tsv": tsv().encode(), **images()})
    program = f"from jstr.data.sources import open_source\nsource = open_source({str(path)!r})\nsource[0]"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr


def test_tar_errors(tmp_path):
    members = {"labels.tsv": tsv().encode(), **images()}
    path = write_tar(tmp_path / "a.tar", members)
    whole = Path(path).read_bytes()
    for size in (0, 100, 700, 1100, 2048, 3000):
        Path(path).write_bytes(whole[:size])
        fails("copy", path=path)
    Path(path).write_bytes(os.urandom(5000))
    fails("not a readable", path=path)
    fails("labels.tsv line 1", path=write_tar(tmp_path / "a.tar", {**members, "labels.tsv": b"0.png,a"}))
    fails("no labels", path=write_tar(tmp_path / "a.tar", images()))
    fails("no image", path=write_tar(tmp_path / "a.tar", {"a.md": b""}), labelled=False)
    source = open_source(write_tar(tmp_path / "a.tar", members))
    copy = pickle.loads(pickle.dumps(source))
    os.remove(path)
    with pytest.raises(InputError, match="cannot be read"):
        copy[0]


# ---------------------------------------------------------------- TFDS


def test_tfds_splits(tmp_path):
    path = write_tfds(TinyWords, tmp_path)
    fails("train, test", "#", path=path)
    fails("no split 'val'", "train, test", path=path + "#val")
    fails("labels=", path=path + "#train", labels="gt.txt")
    test = open_source(path + "#test")
    assert isinstance(test, TfdsSource) and list(test.labels()) == ["zz"] and test.split == "test"
    assert len(open_source(os.path.dirname(path) + "#train[:40%]")) == 2  # the folder above the version will do
    unlabelled = open_source(path + "#test", labelled=False)
    assert unlabelled[0] == {"image": image(0), "label": None, "key": "test/0"} and list(unlabelled.labels()) == [None]
    assert "tensorflow" not in sys.modules


def test_tfds_features(tmp_path):
    path = write_tfds(TinyImages, tmp_path)
    fails("no feature label or text", "unlabelled", path=path)
    assert len(open_source(path, labelled=False)) == len(WORDS)
    classes = open_source(write_tfds(TinyClasses, tmp_path))
    assert sorted(classes.labels()) == ["no", "yes"] and classes[0]["label"] in ("no", "yes")


def test_tfds_errors(tmp_path):
    fails("not_a_data_set", "cannot open", path="tfds:not_a_data_set")
    (tmp_path / "dataset_info.json").write_text("{")
    fails("cannot open", path=tmp_path)
    path = write_tfds(TinyImages, tmp_path / "cut")
    record = next(Path(path).glob("*array_record*"))
    whole = record.read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 1):
        record.write_bytes(whole[:size])
        with pytest.raises(InputError, match="cannot be read"):
            open_source(path, labelled=False)[0]
    record.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        open_source(path, labelled=False)[0]


# ---------------------------------------------------------------- others


def test_concat_errors_name_the_part(tmp_path):
    write_lmdb(tmp_path / "a", WORDS)
    write_lmdb(tmp_path / "b", [], num_samples=0)
    assert "b is empty" in fails(path=tmp_path)
    shutil.rmtree(tmp_path / "b")
    write_lmdb(tmp_path / "c", ["x"], num_samples=2)
    source = open_source(tmp_path)
    assert isinstance(source, ConcatSource) and source.parts[0].__class__ is LmdbSource
    assert len(source) == len(WORDS) + 2 and str(tmp_path / "c") in source.notes[0]


def test_real_words():
    source = open_source(REAL_WORDS)
    assert len(source) == 64 and source.notes == []
    for sample in source:
        assert cv2.imdecode(np.frombuffer(sample["image"], np.uint8), cv2.IMREAD_COLOR) is not None
        assert sample["label"].isalnum() and sample["label"].isascii() and 2 <= len(sample["label"]) <= 12
