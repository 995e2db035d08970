"""tools/bench_photos.py: the tars that it reads."""

import tarfile

import bench_photos
import cv2
import numpy as np


def test_a_tar_of_a_whole_folder(tmp_path):
    (tmp_path / "set").mkdir()
    cv2.imwrite(str(tmp_path / "set/a.png"), np.zeros((20, 30, 3), np.uint8))
    (tmp_path / "set/gt.tsv").write_text("a.png\t" + "\t".join("12345678") + "\tword\n")
    with tarfile.open(tmp_path / "set.tar", "w") as tar:
        tar.add(tmp_path / "set", arcname=".")  # as `tar cf set.tar .`
    ((pixels, ((box, text),)),) = bench_photos.photographs(str(tmp_path / "set.tar"), None)
    assert pixels.shape == (20, 30, 3) and box.shape == (4, 2) and text == "word"
