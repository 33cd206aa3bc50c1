"""The Studio in a real browser: Debian's Chromium, driven by Playwright, in front of the real server.

A plugin for the tests of the page. Where there is no browser they are skipped, and the summary says so loudly.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import auralsam2
from helpers.forked_process import ForkedProcess, ForkServer

TOKEN = "a-token-of-the-tests-0123"
DEMO = Path(auralsam2.__file__).parent / "bundled" / "demo.mp4"
PIG = (189, 254)
"""Source pixel that lies on the pig on all frames of the first second of the demo, and a sheep and a goose do not."""
GROUND = (345, 345)
"""Source pixel on which nothing ever is."""
PATIENCE = 60_000
"""Milliseconds: much longer than anything takes, for machines that do other things."""
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a browser."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print a heading and the reason if tests were skipped for lack of a browser, in whichever process they ran."""
    skipped = [report for report in terminalreporter.getreports("skipped") if "browser" in report.keywords]
    if skipped:
        terminalreporter.section("THE PAGE OF THE STUDIO WAS NOT TESTED", red=True, bold=True)
        terminalreporter.line(skipped[0].longrepr[2])


def chromium() -> str | None:
    """The browser, if it is installed."""
    return next(filter(None, map(shutil.which, _CHROMIUM)), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A browser without a window."""
    path = chromium()
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip("no Playwright: pip install 'auralsam2[test]'")
    with sync_playwright() as playwright:
        # The sandbox needs rights that tests in a container do not have; drawing without OpenGL is quicker than its
        # emulation.
        opened = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--mute-audio", "--disable-gpu"]
        )
        yield opened
        opened.close()


@dataclass
class Server:
    """A server of its own home, as a process.

    Attributes:
        fork_server: starts it.
        home: folder of its sessions.
        arguments: more options.
        token: secret of its address.
        port: 0 until the first start; the same at each later one.
    """

    fork_server: ForkServer
    home: Path
    arguments: tuple[str, ...] = ()
    token: str = TOKEN
    port: int = 0
    _process: ForkedProcess | None = None

    @property
    def base(self) -> str:
        """Its address without the token."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def url(self) -> str:
        """Its address as it is printed."""
        return f"{self.base}#token={self.token}"

    def start(self) -> None:
        """Start it, and wait until it serves."""
        command = ["-m", "auralsam2", "studio", "--no-open", "--token", self.token, "--home", str(self.home)]
        command += ["--port", str(self.port), *self.arguments]
        self.home.mkdir(parents=True, exist_ok=True)
        self._process = self.fork_server.start(command, self.home)
        printed = self._process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/#token=(\S+)", printed)
        assert found, f"printed {printed!r}; stderr: {self._process.communicate()[1]}"
        assert found[2] == self.token
        self.port = int(found[1])

    def kill(self) -> None:
        """End it without giving it time to save anything."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


@pytest.fixture(scope="session")
def server(browser: Any, fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the bundled model; it takes little, so that refusing can be tested."""
    server = Server(fork_server, tmp_path_factory.mktemp("studio"), ("--max-upload", "2MB", "--max-minutes", "0.25"))
    server.start()
    yield server
    server.kill()


@dataclass
class Watch:
    """What pages did that they should not: errors on the console, and requests to others.

    Attributes:
        base: the only address that they may ask.
        told: errors. A test that provokes some clears them.
        sizes: bytes of each answer's body, by address.
    """

    base: str
    told: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    def over(self, page: Any) -> None:
        """Watch a page."""
        page.on("console", lambda m: self.told.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.told.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("websocket", lambda socket: socket.on("framesent", lambda text: self.sent.append(str(text))))

    @property
    def strangers(self) -> list[str]:
        """Addresses that were asked and are not the server's."""
        home = urlsplit(self.base).netloc
        urls = map(urlsplit, self.asked)
        return [url.geturl() for url in urls if url.scheme not in ("blob", "data") and url.netloc != home]


class Screen:
    """A tab with the Studio, in the words of a user.

    Args:
        page: of Playwright.
        server: behind it.
    """

    def __init__(self, page: Any, server: Server) -> None:
        self.page, self.server = page, server
        page.set_default_timeout(PATIENCE)

    def home(self) -> None:
        """Go to the first screen."""
        self.page.goto("about:blank")  # an address that differs after # alone loads no page
        self.page.goto(self.server.url)
        self.page.wait_for_selector(".drop")

    def upload(self, file: Path, rate: str = "1") -> None:
        """Pick a file."""
        self.page.select_option("#rate", rate)
        with self.page.expect_file_chooser() as chooser:
            self.page.get_by_role("button", name="Choose a video").click()
        chooser.value.set_files(file)

    def open(self, file: Path = DEMO, rate: str = "1") -> str:
        """Open a video in the editor; the id of its session."""
        self.home()
        self.upload(file, rate)
        return self.editor()

    def editor(self) -> str:
        """Wait for the editor, with its first picture and its connection."""
        self.page.wait_for_selector('.editor[data-link="open"]')
        self.until("(canvas) => canvas.getContext('2d').getImageData(5, 5, 1, 1).data[3] > 0", ".picture")
        return self.page.url.rpartition("#")[2]

    def until(self, condition: str, selector: str) -> None:
        """Wait for a condition on an element.

        Playwright's own way to wait for one needs `eval`, which the page's Content-Security-Policy forbids.
        """
        check = (
            f"(selector) => {{ const e = document.querySelector(selector); return Boolean(e && ({condition})(e)); }}"
        )
        self.settles(lambda: self.page.evaluate(check, selector), condition)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the source is in the window."""
        box = self.page.locator(".ink").bounding_box()
        state = self.state()
        return box["x"] + (x + 0.5) / state["width"] * box["width"], box["y"] + (y + 0.5) / state["height"] * box[
            "height"
        ]

    def state(self) -> dict[str, Any]:
        """What the server says of the session."""
        name = self.page.url.rpartition("#")[2]
        return self.get(f"api/sessions/{name}")

    def get(self, path: str) -> Any:
        """JSON of the server."""
        answer = self.page.request.get(f"{self.server.base}{path}", headers={"X-Token": self.server.token})
        assert answer.ok, answer.text()
        return answer.json()

    def click(self, x: float, y: float, **how: Any) -> None:
        """Click on a pixel of the picture at the playhead, and wait for the repainted mask."""
        playhead = "() => document.querySelector('.lanes').getAttribute('aria-valuenow')"
        self.settles(
            lambda: self.page.locator(".ink").get_attribute("data-tick") == self.page.evaluate(playhead),
            "the picture at the playhead is shown",
        )
        self.painted(lambda: self._click(x, y, **how))

    def _click(self, x: float, y: float, *, modifiers: tuple[str, ...] = (), **how: Any) -> None:
        for key in modifiers:
            self.page.keyboard.down(key)
        self.page.mouse.click(*self.place(x, y), **how)
        for key in modifiers:
            self.page.keyboard.up(key)

    def drag(self, *places: tuple[float, float]) -> None:
        """Drag from pixel to pixel of the source."""
        first, *rest = [self.place(*place) for place in places]
        self.page.mouse.move(*first)
        self.page.mouse.down()
        for place in rest:
            self.page.mouse.move(*place, steps=4)
        self.page.mouse.up()

    def pinch(self, middle: tuple[float, float], before: float, after: float) -> None:
        """Put two fingers on the window, `before` pixels apart, and move them until they are `after` pixels apart."""
        x, y = middle
        session = self.page.context.new_cdp_session(self.page)

        def touch(what: str, *sides: tuple[int, float]) -> None:
            points = [{"x": x + side * apart / 2, "y": y, "id": side + 1} for side, apart in sides]
            session.send("Input.dispatchTouchEvent", {"type": what, "touchPoints": points})

        touch("touchStart", (-1, before))
        touch("touchStart", (-1, before), (1, before))
        for step in range(1, 5):
            apart = before + (after - before) * step / 4
            touch("touchMove", (-1, apart), (1, apart))
        touch("touchEnd")
        session.detach()

    def front(self) -> None:
        """Bring the page before the others, and wait until it is laid out and painted: behind them it is neither."""
        self.page.bring_to_front()
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def painted(self, act: Callable[[], object]) -> None:
        """Do something, and wait until a mask that came of it is painted."""
        self.front()
        self.page.evaluate(
            "() => { window.came = false; addEventListener('painted', () => { window.came = true; }, { once: true }); }"
        )
        act()
        self.settles(lambda: self.page.evaluate("window.came"), "a mask was painted")
        self.answered()

    def answered(self) -> None:
        """Wait until the server has nothing more to answer."""
        self.page.wait_for_selector('.ink:not([aria-busy="true"])')

    def inside(self, x: float, y: float) -> bool:
        """Whether a pixel of the source is painted as part of a mask."""
        width, height = self.size
        part = "(c, [x, y]) => c.getContext('2d').getImageData(x * c.width, y * c.height, 1, 1).data[3]"
        return self.page.locator(".masks").evaluate(part, [(x + 0.5) / width, (y + 0.5) / height]) > 60

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the source."""
        state = self.state()
        return state["width"], state["height"]

    def area(self) -> int:
        """Pixels of the canvas that are painted."""
        return self.drawn(".masks")

    def drawn(self, selector: str, alpha: int = 0) -> int:
        """Pixels of a canvas that are less transparent than this."""
        return self.page.locator(selector).evaluate(
            "(c, a) => c.getContext('2d').getImageData(0, 0, c.width, c.height).data"
            ".filter((value, at) => at % 4 === 3 && value > a).length",
            alpha,
        )

    def picture(self) -> str:
        """The painted masks, to compare."""
        return self.page.locator(".masks").evaluate("(c) => c.toDataURL()")

    def keep(self, selector: str) -> Callable[[], list[str]]:
        """Keep every text that an element has from now on, however briefly; the answer hands them out."""
        self.page.evaluate(
            """(selector) => {
              const element = document.querySelector(selector);
              window.kept = [];
              const keep = () => window.kept.push(element.textContent);
              new MutationObserver(keep).observe(element, { childList: true, characterData: true, subtree: true });
            }""",
            selector,
        )
        return lambda: self.page.evaluate("window.kept")

    def settles(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that the page does not tell of."""
        end, pause = time.monotonic() + PATIENCE / 1000, 20.0
        while not condition():
            assert time.monotonic() < end, f"still not so: {what}"
            self.page.wait_for_timeout(pause)
            pause = min(1.5 * pause, 400)

    def toast(self) -> str:
        """The error that is shown."""
        self.page.wait_for_selector(".toast.error")
        return self.page.locator(".toast.error p").first.text_content()

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def listened(self) -> None:
        """Wait until a run is over."""
        self.page.wait_for_selector(".listen .idle:visible")


@pytest.fixture
def watch(server: Server) -> Iterator[Watch]:
    """Fails a test whose pages wrote errors to the console, or asked others than the server."""
    watching = Watch(server.base)
    yield watching
    assert not watching.told
    assert not watching.strangers


@pytest.fixture
def tab(browser: Any, server: Server, watch: Watch) -> Iterator[Callable[[], Screen]]:
    """Opens tabs of one browser profile at 1280 x 720 pixels."""
    context = browser.new_context(viewport={"width": 1280, "height": 720}, accept_downloads=True)

    def new() -> Screen:
        page = context.new_page()
        watch.over(page)
        return Screen(page, server)

    yield new
    context.close()


@pytest.fixture
def screen(tab: Callable[[], Screen]) -> Screen:
    """One tab."""
    return tab()
