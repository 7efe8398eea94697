"""The page of a report in a real browser: what a person sees, and that nothing leaves the machine."""

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest
from PIL import Image

from regraft.recipe import Recipe
from regraft.records import (
    Baseline,
    Candidate,
    ClassScores,
    Interval,
    Learning,
    Lineage,
    Metrics,
    Mistake,
    Report,
)
from regraft.reports import gallery, html

#: A host that nobody but our pages can name, so that a request to it is never Chromium's own.
CANARY = "canary.regraft.test"
HOSTILE = f'<img src="http://{CANARY}/x.png" onerror=alert(1)>'
MAGENTA, GREEN = (255, 0, 255), (0, 200, 0)
SECONDS = 15


@pytest.fixture
def chromium():
    found = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
    if found is None and os.environ.get("CI"):
        pytest.fail("CI must look at the page in a browser: install Chromium there.")
    if found is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    return found


@pytest.fixture
def proxy():
    """A proxy that writes down what it is asked for, and gives nothing."""
    asked: list[str] = []

    class Recorder(StreamRequestHandler):
        timeout = 5

        def handle(self):
            with suppress(OSError):  # the browser may go away
                asked.append(self.rfile.readline(4096).decode("latin-1").strip())
                self.wfile.write(b"HTTP/1.1 502 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with ThreadingTCPServer(("127.0.0.1", 0), Recorder) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield Proxy(port=server.server_address[1], asked=asked)
        server.shutdown()


@dataclass(frozen=True)
class Proxy:
    port: int
    asked: list[str] = field(default_factory=list)

    def from_our_pages(self) -> list[str]:
        """A page without a script asks only for hosts that it names, and ours name one."""
        return [line for line in self.asked if CANARY in line]


def browse(chromium: str, page: Path, proxy: Proxy, folder: Path, *wishes: str) -> str:
    """Open a page with a fresh profile and every request sent to the proxy; return the DOM as text."""
    home = folder / f"home-{page.stem}"
    home.mkdir()
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
        "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--hide-scrollbars", f"--user-data-dir={home / 'profile'}",
        f"--proxy-server=http://127.0.0.1:{proxy.port}", "--proxy-bypass-list=<-loopback>",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        *wishes, "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    with ended(command, env={**os.environ, "HOME": str(home)}) as process:
        dom, talk = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, talk.decode(errors="replace")
    return dom.decode()


@contextmanager
def ended(command: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process group, and leave none of it behind."""
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


class Tags(HTMLParser):
    """Every element and attribute that the browser understood, and the text between them."""

    def __init__(self, dom: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(dom)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def drawn() -> str:
    """A page with two pictures, one mistake without a picture, and hostile names."""
    classes = tuple(
        ClassScores(label=label, precision=0.9, recall=recall, f1=0.9, support=20)
        for label, recall in (("hotdog", 0.95), (HOSTILE, 0.9))
    )
    metrics = Metrics(
        count=40, correct=37, accuracy=0.925, accuracy_interval=Interval(low=0.8014, high=0.9742),
        balanced_accuracy=0.925, macro_f1=0.925, log_loss=0.2123, calibration_error=0.031,
        classes=classes, confusion=((19, 1), (2, 18)),
    )  # fmt: skip
    mistakes = tuple(
        Mistake(key=f"test/{digest}.jpg", digest=digest, label=HOSTILE, predicted="hotdog", probability=0.87)
        for digest in ("wide", "tall", "lost")
    )
    learning = Learning(
        pictures=160, num_features=1280, folds=5, C=0.1, temperature=1.1, accuracy=0.94, log_loss=0.19,
        candidates=tuple(
            Candidate(C=C, log_loss=loss, standard_error=0.02)
            for C, loss in ((0.01, 0.3), (0.1, 0.19), (1, 0.25))
        ),
    )  # fmt: skip
    lineage = Lineage(
        dataset="d" * 64, model="b" * 64, recipe=Recipe().model_dump(mode="json"), seed=0, code="0.1.0",
        environment={"python": HOSTILE},
    )  # fmt: skip
    report = Report(
        parent=None, model="a" * 64, dataset="d" * 64, model_ref="hotdog-lite0:v1", dataset_ref="hotdog:v3",
        weights="c" * 64, split="test", labels=("hotdog", HOSTILE), seen=0, notes=(), metrics=metrics,
        baselines=(Baseline(name="majority class", accuracy=0.5),), mistakes=mistakes, learning=learning,
        lineage=lineage, predictions="e" * 64, page=None,
    )  # fmt: skip
    thumbnails = {
        "wide": gallery.encode(Image.new("RGB", (448, 224), MAGENTA)),
        "tall": gallery.encode(Image.new("RGB", (112, 224), GREEN)),
    }
    return html.render(report, thumbnails)


def area(screenshot: Path, colour: tuple[int, int, int]) -> int:
    """Count the pixels of about one colour."""
    picture = Image.open(screenshot).convert("RGB")
    near = [
        channel.point(lambda value, wanted=wanted: 255 * (abs(value - wanted) < 12))
        for channel, wanted in zip(picture.split(), colour, strict=True)
    ]
    both = Image.composite(near[0], Image.new("L", picture.size), near[1])
    return Image.composite(both, Image.new("L", picture.size), near[2]).histogram()[255]


def test_the_proxy_would_see_a_page_that_asks_for_something(chromium, proxy, tmp_path):
    page = tmp_path / "leaky.html"
    page.write_text(f"<p>{HOSTILE.replace('alert(1)', '')}</p>")

    browse(chromium, page, proxy, tmp_path)

    assert any("/x.png" in line for line in proxy.from_our_pages())


def test_the_page_shows_its_words_and_pictures_and_asks_for_nothing(chromium, proxy, tmp_path):
    page, screenshot = tmp_path / "report.html", tmp_path / "report.png"
    page.write_text(drawn(), encoding="utf-8")

    dom = Tags(
        browse(chromium, page, proxy, tmp_path, "--window-size=1200,4000", f"--screenshot={screenshot}")
    )

    for words in (
        "92.5",
        "37 of 40 pictures",
        "80.1 to 97.4 %",
        "majority class",
        "87.0 %",
        "no preview",
        HOSTILE,
    ):
        assert words in dom.text, words
    assert {tag for tag, _ in dom.elements} & {"script", "iframe", "object", "embed", "form"} == set()
    assert [name for _, attributes in dom.elements for name in attributes if name.startswith("on")] == []
    pictures = [attributes["src"][:23] for tag, attributes in dom.elements if tag == "img"]
    assert pictures == ["data:image/jpeg;base64,"] * 2
    assert area(screenshot, MAGENTA) > 150 * 75  # as wide as its place, half as high
    assert area(screenshot, GREEN) > 75 * 150
    assert proxy.from_our_pages() == []


def test_the_page_fits_a_phone_and_every_picture_decodes(chromium, proxy, tmp_path):
    page = tmp_path / "phone.html"
    page.write_text(
        f'<iframe id="phone" width="390" height="800" srcdoc="{escape(drawn())}"></iframe><p id="seen"></p>'
        "<script>onload = () => { const page = phone.contentDocument; seen.textContent = JSON.stringify({"
        " width: page.documentElement.scrollWidth,"
        " pictures: [...page.images].map(p => [p.naturalWidth, p.naturalHeight]) }) }</script>",
        encoding="utf-8",
    )

    dom = browse(chromium, page, proxy, tmp_path)

    seen = json.loads(dom.partition('id="seen">')[2].partition("</p>")[0])
    assert seen == {"width": 390, "pictures": [[224, 112], [112, 224]]}
    assert proxy.from_our_pages() == []
