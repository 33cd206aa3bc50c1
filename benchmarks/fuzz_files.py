"""Mutated recipes, Studio sessions and csv files, each run in this process: bad input must end in an `AuralError`.

A kind is a class: `make` writes a case, `run` runs it, `leftovers` lists the unfinished files that it left.
"""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np

from auralsam2.errors import AuralError
from auralsam2.hub import download
from fuzz_tables import CsvCases
from fuzz_values import mutated_bytes, mutated_text, mutated_value, unfinished

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a mutated model name must not reach the network
RECIPES = Path(__file__).parents[1] / "recipes"
_TOKEN = "a-token-for-mutated-sessions"
_HOST = "127.0.0.1:7860"
_ID = "A" * 22


class RecipeCases:
    """Mutated recipes of `auralsam2 train`, each run until its data are looked for.

    Args:
        folder: for the cases.
        seed: of the mutations.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        import auralsam2.training.run  # noqa: F401 - so that no case pays for the import
        from auralsam2.training.recipe import TrainingRecipe

        self._folder, self._seed = folder, seed
        self._texts = [path.read_text(encoding="utf-8") for path in sorted(RECIPES.rglob("*.yaml"))]
        self._values = [
            self._here(TrainingRecipe.load(RECIPES / f"stampavs-mini-{name}.yaml").to_dict())
            for name in ("fuser", "gavs", "sama", "tpavi", "words")
        ]

    def make(self, number: int) -> Path:
        """Write a case."""
        rng = np.random.default_rng((self._seed, number))
        path = self._folder / f"{number:05d}.yaml"
        values = self._values[int(rng.integers(len(self._values)))]
        kind = int(rng.integers(4))
        if kind == 0:
            text = mutated_text(self._texts[int(rng.integers(len(self._texts)))], rng)
        elif kind == 1:
            text = mutated_text(json.dumps(values, indent=1), rng)
        else:
            text = json.dumps(mutated_value(values, rng), indent=1)
        if rng.random() < 0.1:
            base = [f"[{path.name}]", "[nothing.yaml]", "3", "[3]", "[/dev/zero]"][int(rng.integers(5))]
            text = f"base: {base}\n{text}"
        data = text.encode("utf-8", "surrogatepass")
        path.write_bytes(mutated_bytes(data, rng) if rng.random() < 0.1 else data)
        return path

    def run(self, case: Path) -> None:
        """Train with a recipe; its data are missing, so that no valid one starts."""
        from auralsam2.cli.train import train_command

        train_command(case)

    def leftovers(self, case: Path) -> list[Path]:
        """Unfinished files beside the case."""
        return unfinished(case.parent)

    def _here(self, values: dict[str, Any]) -> dict[str, Any]:
        """The recipe with the bundled model's parts and a data set that is missing."""
        model = values["model"] | {"sam2": str(download.BUNDLED / "mini" / "sam2")}
        if model["text"] is not None:
            model["text"] = str(download.BUNDLED / "mini" / "text")
        data = values["data"] | {"root": str(self._folder / "no-data"), "cache": None}
        out = str(self._folder / "out")
        return values | {"model": model, "data": data, "fuser_from": None, "out": out}


class SessionCases:
    """Mutated session archives, and mutated session folders on the disk of a Studio.

    Args:
        folder: for the cases.
        seed: of the mutations.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        from auralsam2.model import AuralSAM2

        self._folder, self._seed = folder, seed
        self._model = AuralSAM2.from_pretrained("mini", "cpu")
        self._archive, self._disk = self._bases()

    def make(self, number: int) -> Path:
        """Write a case: a zip to restore, or, by its name, one that holds a session's folder."""
        rng = np.random.default_rng((self._seed, number))
        on_disk = bool(rng.integers(2))
        files = dict(self._disk if on_disk else self._archive)
        for _ in range(int(rng.integers(1, 3))):
            name = str(rng.choice(sorted(files)))
            if rng.random() < 0.6:
                name = "clip.json" if on_disk and rng.random() < 0.5 else "session.json"
            if name not in files:
                continue
            kind = int(rng.integers(8))
            if name.endswith(".json") and kind < 5:
                with suppress(ValueError):
                    files[name] = json.dumps(mutated_value(json.loads(files[name]), rng)).encode()
            elif name.endswith(".json") and kind == 5:
                files[name] = b" " * int(rng.integers(1, 60_000_000)) + files[name]
            elif kind == 6:
                del files[name]
            else:
                files[name] = mutated_bytes(files[name], rng)
        path = self._folder / f"{number:05d}-{'disk' if on_disk else 'zip'}.zip"
        data = _zipped(files)
        if not on_disk and rng.random() < 0.3:
            data = mutated_bytes(data, rng)
        path.write_bytes(data)
        return path

    def run(self, case: Path) -> None:
        """Restore a session, or find it on the disk, then use it as the page does.

        Raises:
            AuralError: the server answers with an error of one line.
        """
        home = self._home(case)
        shutil.rmtree(home, ignore_errors=True)
        if case.stem.endswith("disk"):
            with zipfile.ZipFile(case) as archive:
                archive.extractall(home / "sessions" / _ID)
        tracebacks = _Tracebacks()
        logging.getLogger("auralsam2").addHandler(tracebacks)
        try:
            with self._studio(home) as client:
                name = _ID
                if case.stem.endswith("zip"):
                    name = _answer(client.put("/api/restore", content=case.read_bytes()))["id"]
                self._use(client, name)
        finally:
            logging.getLogger("auralsam2").removeHandler(tracebacks)
        if tracebacks.error is not None:
            raise tracebacks.error

    def leftovers(self, case: Path) -> list[Path]:
        """Unfinished files in the case's home; removes the home."""
        home = self._home(case)
        found = unfinished(home)
        shutil.rmtree(home, ignore_errors=True)
        return found

    def _home(self, case: Path) -> Path:
        return self._folder / f"home-{case.stem}"

    def _studio(self, home: Path) -> Any:
        """A client of a Studio that serves a home."""
        from starlette.testclient import TestClient

        from auralsam2.studio.routes import create_app
        from auralsam2.studio.settings import Limits, Settings
        from auralsam2.studio.storage import SessionStore

        class Client(TestClient):
            def __exit__(self, *error: Any) -> None:
                try:
                    super().__exit__(*error)
                finally:
                    store.__exit__()

        store = SessionStore(home).__enter__()
        settings = Settings(token=_TOKEN, home=home, limits=Limits(memory=1 << 27, disk=1 << 27))
        app = create_app(settings, self._model, store)
        return Client(app, base_url=f"http://{_HOST}", headers={"x-token": _TOKEN})

    def _use(self, client: Any, name: str) -> None:
        """All that a page asks of a session; the first refusal is raised after the rest was asked, too."""
        address, errors = f"/api/sessions/{name}", []
        client.get("/api/state")
        ways: list[Callable[[], Any]] = [
            lambda: client.get(address),
            *(lambda part=part: client.get(f"{address}/{part}") for part in ("media", "sound", "mask/1/0.bin")),
            *(lambda w=w: client.get(f"{address}/frame/0.jpg", params={"w": w}) for w in (16, 10**6)),
            lambda: client.patch(address, json={"name": "another"}),
        ]
        for way in ways:
            try:
                _answer(way())
            except AuralError as error:
                errors.append(error)
        try:
            self._talk(client, name)
        except AuralError as error:
            errors.append(error)
        client.delete(address)
        if errors:
            raise errors[0]

    def _talk(self, client: Any, name: str) -> None:
        """Replay the session's prompts, add one, and export its masks and itself."""
        from starlette.websockets import WebSocketDisconnect

        headers = {"origin": f"http://{_HOST}"}
        try:
            with client.websocket_connect(f"ws://{_HOST}/api/sessions/{name}/live", headers=headers) as socket:
                for command in (
                    {"do": "points", "object": 3, "tick": 1, "points": [[9, 9, 1]]},
                    {"do": "look", "object": 1, "tick": 0},
                    {"do": "undo"},
                ):
                    _command(socket, command)
                for kind in ("masks", "session"):
                    answer = client.post(f"/api/sessions/{name}/export", json={"kind": kind})
                    if answer.status_code == 200:
                        _finished(socket)
        except WebSocketDisconnect as error:
            raise AuralError(f"closed by the server ({error.code}) {error.reason}") from error

    def _bases(self) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """The members of an exported session, and the files of the same session on the disk."""
        clip = self._folder / "base.mp4"
        _write_clip(clip)
        home = self._folder / "home-base"
        with self._studio(home) as client:
            name = _answer(client.put("/api/upload", params={"name": "a.mp4", "fps": 2}, content=clip.read_bytes()))[
                "id"
            ]
            headers = {"origin": f"http://{_HOST}"}
            with client.websocket_connect(f"ws://{_HOST}/api/sessions/{name}/live", headers=headers) as socket:
                _command(socket, {"do": "points", "object": 1, "tick": 0, "points": [[20, 12, 1]]})
                _command(socket, {"do": "look", "object": 1, "tick": 1})
                _command(socket, {"do": "points", "object": 1, "tick": 1, "points": [[22, 12, 1], [1, 1, 0]]})
                _command(socket, {"do": "box", "object": 2, "tick": 0, "box": [4, 4, 30, 30]})
                _command(socket, {"do": "hear", "object": 0, "on": True})
                _answer(client.post(f"/api/sessions/{name}/export", json={"kind": "session"}))
                _finished(socket)
            data = client.get(f"/api/sessions/{name}/export/session").content
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {member: archive.read(member) for member in archive.namelist()}
        root = home / "sessions" / name
        files = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        shutil.rmtree(home)
        return members, {name: data for name, data in files.items() if not name.startswith("exports/")}


KINDS: dict[str, type] = {"recipe": RecipeCases, "session": SessionCases, "csv": CsvCases}


class _Tracebacks(logging.Handler):
    """Keeps the first exception that a server thread has logged.

    Attributes:
        error: the exception, or None.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.error: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the exception of a record."""
        if record.exc_info and self.error is None:
            self.error = record.exc_info[1]


def _answer(response: Any) -> Any:
    """The JSON of an answer, if it is JSON.

    Raises:
        AuralError: the server refuses; its message is one line.
    """
    if response.status_code >= 400:
        message = response.json()["error"]
        assert response.status_code != 500
        assert "\n" not in message
        raise AuralError(message)
    return response.json() if response.headers.get("content-type") == "application/json" else None


def _command(socket: Any, command: dict[str, Any]) -> None:
    """Send a command of the page and wait for its answer, which may be a refusal."""
    socket.send_text(json.dumps({"n": 1} | command))
    _until(socket, lambda news: news.get("re") == 1)


def _finished(socket: Any) -> None:
    """Wait for the end of an export."""
    _until(socket, lambda news: news.get("is") in ("done", "cancelled"))


def _until(socket: Any, last: Callable[[dict[str, Any]], bool]) -> None:
    while True:
        message = socket.receive()
        socket._raise_on_close(message)
        if message.get("text") is not None and last(json.loads(message["text"])):
            return


def _zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def _write_clip(path: Path) -> None:
    """One second of noise, 64 x 48 pixels, with sound."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as output:
        video, audio = output.add_stream("libx264", rate=10), output.add_stream("aac", rate=16_000, layout="stereo")
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for at in range(0, 16_000, 1024):
            samples = rng.integers(-9000, 9000, (1, 2048)).astype(np.int16)
            sound = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
            sound.sample_rate, sound.pts = 16_000, at
            output.mux(audio.encode(sound))
        output.mux(audio.encode(None))
        for _ in range(10):
            pixels = rng.integers(0, 256, (48, 64, 3)).astype(np.uint8)
            output.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        output.mux(video.encode(None))
