"""The page for corrections: what it holds, what it lets nobody do, and, in a real browser, that it works."""

import base64
import hashlib
import json
import re
import shutil
import time

import numpy as np
import pytest
from testing import tiny_config

from configs import common
from jstr.data.review.groups import equal_images
from jstr.data.review.page import Word, page, write_pages
from jstr.data.sources.open import open_source
from jstr.training import loop

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


def image(seed, shape=(20, 60, 3)):
    return np.random.default_rng(seed).integers(0, 255, shape, np.uint8)


def word(number, text="house", folder="/w", **more):
    return Word((f"{folder}/{number}.png",), (image(number),), text, 0.5, **more)


def data_of(html):
    return json.loads(re.search(r'id="data">(.*?)</script>', html)[1])


def test_everything_is_inside_the_page():
    html = page([word(1, others=("mouse", "horse"))], random=False)
    (row,) = data_of(html)["words"]
    assert row["others"] == ["mouse", "horse"] and row["image"].startswith("data:image/jpeg;base64,")
    assert not re.findall(r"(?:src|href)\s*=\s*[\"']?(?!data:)[a-z/]", html.split("<script>")[0])
    assert "http:" not in html and "https:" not in html


def test_hostile_texts_stay_texts():
    html = page([Word((f"/w/{HOSTILE}.png",), (image(1),), HOSTILE, 0.5, (HOSTILE,), HOSTILE)], random=False)
    assert html.count("<script") == 2 and "onerror" not in re.sub(r'id="data">.*?</script>', "", html)
    assert data_of(html)["words"][0]["text"] == HOSTILE
    script = re.search(r"<script>(.*?)</script>", html, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html and "default-src 'none'" in html
    assert "innerHTML" not in script and "eval(" not in script


def test_more_words_than_fit_are_several_pages(tmp_path):
    made = write_pages(tmp_path / "review.html", [word(i) for i in range(5)], random=False, per_page=2)
    assert [path.name for path in made] == ["review.html", "review-2.html", "review-3.html"]
    pages = [data_of(path.read_text()) for path in made]
    assert [len(p["words"]) for p in pages] == [2, 2, 1]
    assert pages[1]["file"] == "labels-2.tsv" and "page 2 of 3" in pages[1]["title"]
    assert len({p["id"] for p in pages}) == 3


def smooth(seed):
    import cv2

    return cv2.resize(image(seed, (4, 12, 3)), (120, 40), interpolation=cv2.INTER_CUBIC)


def test_equal_images_with_equal_texts_are_one():
    noisy = np.clip(smooth(1).astype(int) + np.random.default_rng(0).integers(-3, 4, (40, 120, 3)), 0, 255)
    images = [smooth(1), smooth(2), noisy.astype(np.uint8), smooth(1), smooth(1)]
    assert equal_images(images, ["a", "a", "a", "b", "a"]) == [[0, 2, 4], [1], [3]]
    assert equal_images([smooth(1)], ["a"]) == [[0]]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    program, driver = (next(filter(None, map(shutil.which, names)), None) for names in (
        ("chromium", "chromium-browser", "google-chrome"), ("chromedriver", "chromium-driver")))  # fmt: skip
    if not program or not driver:
        pytest.skip("no chromium with its chromedriver here (Debian: apt-get install chromium chromium-driver)")
    folder = tmp_path_factory.mktemp("browser")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (
        "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking "
        f"disable-component-update disable-sync window-size=1280,900 user-data-dir={folder / 'profile'}"
    ).split():
        options.add_argument(f"--{flag}")
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    opened.folder = folder
    yield opened
    opened.quit()


def type_keys(browser, *keys):
    browser.switch_to.active_element.send_keys(*keys)


def test_a_person_corrects_by_keyboard_reloads_and_saves(browser, tmp_path, capsys):
    from selenium.webdriver.common.keys import Keys

    folder = tmp_path / "words"
    folder.mkdir()
    words = [word(i, text, str(folder)) for i, text in enumerate([HOSTILE, "house", "horse", "mouse", "rest"])]
    words[3] = Word((*words[3].files, str(folder / "twin.png")), (image(3),) * 2, "mouse", 0.5, ("moose",))
    for w in words:
        for file in w.files:
            import cv2

            cv2.imwrite(file, image(1))
    write_pages(tmp_path / "review.html", words, random=True)
    browser.get(f"file://{tmp_path / 'review.html'}")
    assert browser.title == "Words to review"
    type_keys(browser, Keys.ESCAPE)
    type_keys(browser, Keys.ENTER)
    type_keys(browser, "مرحبا", Keys.ENTER)
    browser.refresh()
    browser.switch_to.active_element.send_keys(Keys.ALT, "1")
    time.sleep(0.1)
    counts = browser.find_element("id", "counts").text
    assert "5 of 6 done, 1 unreadable" in counts and "33 %" in counts and "(95 %: 6–79)" in counts
    assert browser.title == "Words to review" and not browser.get_log("browser")
    browser.find_element("id", "save").click()
    saved = browser.folder / "labels.tsv"
    for _ in range(100):
        if saved.exists():
            break
        time.sleep(0.05)
    source = open_source(saved)
    assert list(source.labels()) == [None, "house", "مرحبا", "moose", "moose"]
    assert all(source[i]["image"] for i in range(5))
    assert saved.read_text().startswith(f"filename\tlabel\n{words[0].files[0]}\t###\n")
    config = tiny_config()
    config.model.update(sequence="none")
    config.charset.drop_outside, config.steps, config.evals = True, 1, {}
    config.streams.labelled = common.stream(4, dict(corrected=dict(path=str(saved))))
    loop.run(config, str(tmp_path / "run"))
    assert "corrected: 3 of 5 labels used" in capsys.readouterr().out
