"""Small made-up data sets in the exact forms in which they were published."""

import json

import cv2
import lmdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.io

from jstr.data.importers import shards


def noise(i, shape=(12, 30, 3)):
    return np.random.default_rng(i).integers(0, 256, shape, np.uint8)


def png(i):
    return cv2.imencode(".png", noise(i))[1].tobytes()


def jpg(i):
    return cv2.imencode(".jpg", noise(i))[1].tobytes()


def put(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


def cells(values):
    """A MATLAB cell array 1 x N."""
    array = np.empty((1, len(values)), object)
    array[0, :] = values
    return array


# Each tree: (src, {split: [(key, label, image)]}, {reason: how many were left out}). image: bytes, or a crop uint8.


def mjsynth(root):
    """mjsynth.tar.gz: one file is missing, one empty, one cut off, one has no label in its name."""
    base = root / "mnt/ramdisk/max/90kDICT32px"
    good = {"2425/1/115_Lube_45484.jpg": 1, "1/1/10_ST_ATE_7.jpg": 2, "1/2/3_a.b_9.jpg": 3}
    for name, i in good.items():
        put(base / name, jpg(i))
    put(base / "1/3/1_Empty_1.jpg", b"")
    put(base / "1/3/2_Cut_1.jpg", jpg(4)[:200])
    put(base / "1/3/nolabel.jpg", jpg(5))
    put(base / "annotation_train.txt", "./2425/1/115_Lube_45484.jpg 45484\n./1/1/10_ST_ATE_7.jpg 7\n")
    bad = "./1/3/1_Empty_1.jpg 1\n./1/3/2_Cut_1.jpg 1\n./1/3/nolabel.jpg 1\n./1/3/4_Gone_1.jpg 1\n"
    put(base / "annotation_val.txt", bad + "./1/2/3_a.b_9.jpg 9\n")
    for name in ("annotation.txt", "imlist.txt", "lexicon.txt"):
        put(base / name, "not read\n")
    labels = ["Lube", "ST_ATE", "a.b"]
    words = [(key, label, jpg(i)) for (key, i), label in zip(good.items(), labels, strict=True)]
    left_out = {
        "empty image file": 1, "broken image": 1, "missing file": 1,
        "file name holds no label (NUMBER_LABEL_NUMBER.jpg)": 1,
    }  # fmt: skip
    return root, {"train": words[:2], "val": words[2:]}, left_out


def synthtext(root):
    """SynthText.zip: a slanted box, one over the edge, one outside, a single word as [2, 4], counts that differ."""
    photos = [noise(i, (40, 90, 3)) for i in range(4)]
    names = [f"8/ballet_106_{i}.jpg" for i in range(4)] + ["8/gone_1.jpg"]
    for name, photo in zip(names, photos, strict=False):
        put(root / "SynthText" / name, cv2.imencode(".png", photo)[1].tobytes())  # lossless, whatever the suffix
    slanted = [[10.5, 30.2, 28.0, 9.0], [5.0, 8.0, 17.5, 15.0]]
    edge = [[80, 95, 95, 80], [-3, -3, 10, 10]]
    outside = [[100, 120, 120, 100], [5, 5, 10, 10]]
    thin = [[1, 2, 2, 1], [1, 1, 9, 9]]
    single = np.array([[2, 20, 20, 2], [3, 3, 30, 30]], np.float32)
    first = np.array([slanted, edge, outside, thin], np.float32).transpose(1, 2, 0)
    boxes = [first, single, first[..., :2], first[..., :1], single]
    texts = [
        ["Lines:\nedge ", " away   thin"], ["one"], ["three words here"], ["   "], ["unseen"],
    ]  # fmt: skip
    scipy.io.savemat(
        root / "SynthText/gt.mat",
        {
            "imnames": cells(names),
            "wordBB": cells(boxes),
            "charBB": cells(boxes),
            "txt": cells([np.array(t) for t in texts]),
        },
    )
    words = [
        ("8/ballet_106_0.jpg:0", "Lines:", photos[0][5:18, 9:31]),
        ("8/ballet_106_0.jpg:1", "edge", photos[0][0:10, 80:90]),
        ("8/ballet_106_1.jpg:0", "one", photos[1][3:30, 2:20]),
    ]
    left_out = {
        "box outside the photograph": 1, "box narrower than 2 pixels": 1,
        "words and boxes of the photograph differ in number": 4, "photograph: missing file": 1,
    }  # fmt: skip
    return root, {"train": words}, left_out


def iiit5k(root):
    """IIIT5K-Word_V3.0: structs 1 x N with upper-case GroundTruth, and chars with case."""
    words = {}
    for split, first in (("train", 0), ("test", 3)):
        names = [f"{split}/{i}_1.png" for i in range(first, first + 3)]
        for i, name in enumerate(names):
            put(root / name, png(first + i))
        labels = ["YOU", "50", "RESCUE"]
        words[split] = [(n, label, png(first + i)) for i, (n, label) in enumerate(zip(names, labels, strict=True))]
        lexicon = cells(["YOU", "ME"])
        kinds = [("ImgName", "O"), ("GroundTruth", "O"), ("smallLexi", "O"), ("mediumLexi", "O")]
        rows = np.array([[(n, label, lexicon, lexicon) for n, label, _ in words[split]]], kinds)
        scipy.io.savemat(root / f"{split}data.mat", {f"{split}data": rows})
        rows = [(n, label.title(), np.ones((len(label), 4))) for n, label, _ in words[split]]
        bounds = np.array([rows], [("ImgName", "O"), ("chars", "O"), ("charBB", "O")])
        scipy.io.savemat(root / f"{split}CharBound.mat", {f"{split}CharBound": bounds})
    return root, words, {}


def svt(root):
    """svt.zip: full images with rectangles, of which one leaves the image."""
    photos = {"img/14_03.jpg": noise(1, (60, 80, 3)), "img/00_00.jpg": noise(2, (60, 80, 3))}
    for name, photo in photos.items():
        put(root / name, cv2.imencode(".png", photo)[1].tobytes())
    for split, name in (("train", "img/14_03.jpg"), ("test", "img/00_00.jpg")):
        put(
            root / f"{split}.xml",
            f'<?xml version="1.0" encoding="utf-8"?>\n<tagset>\n   <image>\n      <imageName>{name}</imageName>\n'
            "      <address>341 Southwest 10th Avenue</address>\n      <lex>LIVING,ROOM</lex>\n"
            '      <Resolution x="80" y="60"/>\n      <taggedRectangles>\n'
            '         <taggedRectangle height="20" width="30" x="5" y="10">\n            <tag>LIVING</tag>\n'
            "         </taggedRectangle>\n"
            '         <taggedRectangle height="12" width="40" x="60" y="-2">\n            <tag>R&amp;B</tag>\n'
            "         </taggedRectangle>\n      </taggedRectangles>\n   </image>\n</tagset>\n",
        )
    words = {
        split: [(f"{name}:0", "LIVING", photos[name][10:30, 5:35]), (f"{name}:1", "R&B", photos[name][:10, 60:80])]
        for split, name in (("train", "img/14_03.jpg"), ("test", "img/00_00.jpg"))
    }
    return root, words, {}


def icdar(root):
    """ICDAR 2015: gt.txt with the training images, with byte order mark; the test file beside the folder."""
    train, test = root / "ch4_training_word_images_gt", root / "ch4_test_word_images_gt"
    labels = ["Genaxis Theatre", 'say "hi", \\o/', "###", "###?", ""]
    lines = [f'word_{i}.png, "{label}"' for i, label in enumerate(labels, 1)]
    lines[1] = r'word_2.png, "say \"hi\", \\o/"'
    for i in range(1, 6):
        put(train / f"word_{i}.png", png(i))
        put(test / f"word_{i}.png", png(10 + i))
    put(train / "gt.txt", b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\r\n")
    put(train / "coords.txt", "0,0,1,0,1,1,0,1\r\n")
    put(root / "Challenge4_Test_Task3_GT.txt", 'word_1.png, "Größe"\r\n')
    words = [(f"word_{i}.png", labels[i - 1], png(i)) for i in (1, 2, 4)]
    left_out = {"marked unreadable (###)": 1, "empty label": 1}
    return root, {"train": words, "test": [("word_1.png", "Größe", png(11))]}, left_out


def iam(root):
    """words.tgz and ascii.tgz, with the lists of two splits."""
    lines = [
        "a01-000u-00-00 ok 154 408 768 27 51 AT A", "a01-000u-00-01 ok 154 507 766 213 48 NN MOVE",
        "a01-000u-00-02 err 154 507 766 213 48 NN bad", "b01-000-01-00 ok 154 -1 -1 -1 -1 CD 1 000",
        "c01-000-01-00 ok 154 1 1 1 1 CD unlisted",
    ]  # fmt: skip
    put(root / "ascii/words.txt", "#--- words.txt ---#\n#\n" + "\n".join(lines) + "\n")
    put(root / "trainset.txt", "a01-000u-00\n")
    put(root / "testset.txt", "b01-000-01\n")
    names = ["a01/a01-000u/a01-000u-00-00.png", "a01/a01-000u/a01-000u-00-01.png", "b01/b01-000/b01-000-01-00.png"]
    for i, name in enumerate(names):
        put(root / "words" / name, png(i))
    words = [(name, label, png(i)) for i, (name, label) in enumerate(zip(names, ["A", "MOVE", "1 000"], strict=True))]
    return root, {"train": words[:2], "test": words[2:]}, {"segmentation marked err, not ok": 1}


def union14m(root):
    """Union14M-L: JSON lines for each difficulty; names start at full_images."""
    base = root / "Union14M-L"
    rows = [{"filename": "art_curve/1.jpg", "text": "Größe"}, {"filename": "COCOTextV2/2.jpg", "text": 'a "b" {c}'}]
    for i, row in enumerate(rows):
        put(base / "full_images" / row["filename"], jpg(i))
    annotations = base / "train_annos/mmocr-0.x"
    put(annotations / "train_easy.jsonl", json.dumps(rows[0], ensure_ascii=False) + "\n")
    put(annotations / "val_annos.jsonl", f'{json.dumps(rows[1])}\n\n{{"filename": 3}}\nnot json\n')
    put(base / "train_annos/mmocr1.0.x/train_easy.json", "{}")
    words = [(row["filename"], row["text"], jpg(i)) for i, row in enumerate(rows)]
    return root, {"train_easy": words[:1], "val_annos": words[1:]}, {'line is not {"filename": ..., "text": ...}': 2}


def write_lmdb(folder, samples):
    folder.mkdir(parents=True)
    with lmdb.open(str(folder), map_size=1 << 24) as env, env.begin(write=True) as txn:
        for i, (label, image) in enumerate(samples, 1):
            if image is not None:
                txn.put(b"image-%09d" % i, image)
            if label is not None:
                txn.put(b"label-%09d" % i, label.encode())
        txn.put(b"num-samples", b"%d" % len(samples))


def lmdbs(root):
    """data_lmdb_release: several LMDBs below training, one below validation."""
    write_lmdb(root / "training/MJ/MJ_train", [("slinking", png(0)), ("Größe", png(1))])
    write_lmdb(root / "training/ST", [("CO.", png(2)), (None, png(3)), ("gone", None)])
    write_lmdb(root / "validation", [("x", png(4))])
    mj, number = "training/MJ/MJ_train", "image-00000000"
    train = [(f"{mj}/{number}1", "slinking", png(0)), (f"{mj}/{number}2", "Größe", png(1))]
    words = {
        "train": [*train, (f"training/ST/{number}1", "CO.", png(2))],
        "val": [(f"validation/{number}1", "x", png(4))],
    }
    return root, words, {"empty label": 1, "missing image": 1}


def huggingface(root):
    """data/SPLIT-00000-of-0000N.parquet: images {bytes, path}, a ClassLabel in one file set."""
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = [{"bytes": png(i), "path": f"{i}.png"} for i in range(4)] + [None]
    texts = ["Größe", "x y", None, "last", "none"]
    (root / "data").mkdir(parents=True)
    for part, rows in enumerate((slice(0, 3), slice(3, 5))):
        table = pa.table({"image": pa.array(images[rows], image), "text": texts[rows], "id": list(range(5))[rows]})
        pq.write_table(table, root / f"data/train-0000{part}-of-00002.parquet", row_group_size=2)
    names = json.dumps({"info": {"features": {"text": {"names": ["no", "yes"], "_type": "ClassLabel"}}}})
    table = pa.table({"image": pa.array(images[:2], image), "text": pa.array([1, -1], pa.int64()), "id": [5, 6]})
    table = table.replace_schema_metadata({"huggingface": names})
    pq.write_table(table, root / "data/test-00000-of-00001-1a2b3c.parquet")
    key = "data/train-0000{}-of-00002.parquet:{}".format
    train = [(key(0, 0), "Größe", png(0)), (key(0, 1), "x y", png(1)), (key(1, 0), "last", png(3))]
    test = [("data/test-00000-of-00001-1a2b3c.parquet:0", "yes", png(0))]
    return root, {"train": train, "test": test}, {"empty label": 2, "missing image": 1}


def folder(root):
    """Images and a .tsv of its own name for training, a .csv with other columns for validation."""
    for i in range(3):
        put(root / f"train/deep/{i}.png", png(i))
        put(root / f"val/{i}.jpg", jpg(i))
    put(root / "train/words.tsv", "deep/0.png\tGröße\ndeep/9.png\tgone\ndeep/1.png\tx,y\n")
    put(root / "val/labels.csv", 'id,text,file\n0,"a ""b""",0.jpg\n1,7,2.jpg\n')
    train = [("deep/0.png", "Größe", png(0)), ("deep/1.png", "x,y", png(1))]
    return root, {"train": train, "val": [("0.jpg", 'a "b"', jpg(0)), ("2.jpg", "7", jpg(2))]}, {"missing file": 1}


TREES = {
    "mjsynth": mjsynth, "synthtext": synthtext, "iiit5k": iiit5k, "svt": svt, "icdar": icdar, "iam": iam,
    "union14m": union14m, "lmdb": lmdbs, "huggingface": huggingface, "folder": folder,
}  # fmt: skip


def left_out(report):
    """Reason -> how many words an import left out, over all splits."""
    total = {}
    for row in report["splits"].values():
        shards.add_counts(total, row["left_out"])
    return {reason: row["count"] for reason, row in total.items()}
