import gzip
import io
import os
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from source_files import (
    WORDS,
    fails,
    image,
    images,
    tsv,
    write_tar,
)

from jstr.data.sources.open import open_source
from jstr.text.messages import InputError


def test_tar_choice_of_labels(tmp_path):
    members = {"labels.tsv": tsv().encode(), "labels_classic.tsv": tsv(["A", "B"]).encode(), **images()}
    path = write_tar(tmp_path / "a.tar", members)
    assert list(open_source(path, labels="labels_classic.tsv").labels()) == ["A", "B"]
    fails("labels.tsv, labels_classic.tsv", path=path, labels="no.tsv")
    unlabelled = open_source(path, labelled=False)
    assert len(unlabelled) == len(WORDS) and unlabelled[2] == {"image": image(2), "label": None, "key": "2.png"}


def test_tar_with_label_files_in_several_folders(tmp_path):
    members = {f"{split}/labels.tsv": tsv().encode() for split in ("test", "train")} | images(5, "train/")
    path = write_tar(tmp_path / "a.tar", members)
    fails("labels in folders below", "test/labels.tsv, train/labels.tsv", path=path)
    with pytest.raises(InputError, match="labels in folders below") as caught:
        open_source(path, labels="labels.tsv")
    assert caught.type is InputError  # not NoLabels, after which inspect would go on without
    assert open_source(path, labels="train/labels.tsv")[2]["image"] == image(2)
    assert len(open_source(path, labelled=False)) == 5
    source = open_source(write_tar(tmp_path / "b.tar", {"gt.txt": b"train/1.png\tb\n"} | members))
    assert list(source.labels()) == ["b"] and "labels from gt.txt" in source.notes[0]


def test_a_second_tar_behind_the_first_is_refused(tmp_path):
    path = tmp_path / "a.tar"
    write_tar(path, {"labels.tsv": tsv().encode(), **images()})
    size = path.stat().st_size
    with open(path, "ab") as stream:
        stream.write(bytes(100_000))
    assert len(open_source(path)) == 5
    path.write_bytes(path.read_bytes()[:size] * 2)
    fails("goes on after its end, at byte", path=str(path))


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
    Path(path).write_bytes(gzip.compress(whole))
    fails("is compressed", "unpack", path=path)
    fails("labels.tsv line 1", path=write_tar(tmp_path / "a.tar", {**members, "labels.tsv": b"0.png,a"}))
    fails("no labels", path=write_tar(tmp_path / "a.tar", images()))
    fails("no image", path=write_tar(tmp_path / "a.tar", {"a.md": b""}), labelled=False)
    source = open_source(write_tar(tmp_path / "a.tar", members))
    copy = pickle.loads(pickle.dumps(source))
    os.remove(path)
    with pytest.raises(InputError, match="cannot be read"):
        copy[0]


def add(archive, name, data=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    archive.addfile(info, io.BytesIO(data))


def test_links_absolute_and_repeated_members(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        lines = "".join(
            f"{name}.png\t{name}\n" for name in ("old", "hard", "soft", "chain", "root", "lost", "up", "late")
        )
        add(archive, "./set/labels.tsv", lines.encode())
        add(archive, "set/old.png", image(1))
        add(archive, "/set/root.png", image(2))
        add(archive, "set/hard.png", type=tarfile.LNKTYPE, linkname="set/old.png")
        add(archive, "set/soft.png", type=tarfile.SYMTYPE, linkname="../set/./root.png")
        add(archive, "set/chain.png", type=tarfile.SYMTYPE, linkname="soft.png")
        add(archive, "set/lost.png", type=tarfile.SYMTYPE, linkname="/etc/hostname")
        add(archive, "set/loop.png", type=tarfile.SYMTYPE, linkname="loop.png")
        add(archive, "../set/up.png", image(3))
        add(archive, "set/pipe.png", type=tarfile.FIFOTYPE)
        add(archive, "set/old.png", image(4))
        add(archive, "set/late.png", type=tarfile.LNKTYPE, linkname="set/old.png")
        add(archive, "set/late.png", image(5))
    source = open_source(tmp_path / "a.tar")
    assert [s["image"] for s in source] == [image(4), image(4), image(2), image(2), image(2), None, None, image(5)]
    lost, missing, unused = source.notes
    assert "3 links and special files lead to no file in the archive: set/lost.png, set/loop.png, set/pipe.png" in lost
    assert "2 files that it names do not exist: lost.png, up.png" in missing and "../set/up.png" in unused
    assert len(open_source(tmp_path / "a.tar", labelled=False)) == 7


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 4000), st.binary(min_size=1, max_size=200))
def test_any_archive_is_read_or_refused_in_one_line(tmp_path, at, noise):
    path = Path(write_tar(tmp_path / "a.tar", {"labels.tsv": tsv().encode(), **images()}))
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + noise + whole[at + len(noise) :])
    before = set(tmp_path.iterdir())
    try:
        for sample in open_source(path):
            assert set(sample) == {"image", "label", "key"}
    except InputError as error:
        assert "\n" not in str(error) and str(path) in str(error)
    assert set(tmp_path.iterdir()) == before
