"""Mutated recipes and Studio sessions for `fuzz.py`."""

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
    """Mutated recipes of `auralsam2 train`, each run until the command looks for its data."""

    def __init__(self, folder: Path, seed: int) -> None:
        import auralsam2.training.run  # noqa: F401 - imported before the time of a case is measured
        from auralsam2.training.recipe import TrainingRecipe

        self._folder, self._seed = folder, seed
        self._texts = [path.read_text(encoding="utf-8") for path in sorted(RECIPES.rglob("*.yaml"))]
        self._values = [
            self._with_local_paths(TrainingRecipe.load(RECIPES / f"stampavs-mini-{name}.yaml").to_dict())
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
        """Train with a recipe; its data are missing, so a valid recipe does not start either."""
        from auralsam2.cli.train import train_command

        train_command(case)

    def leftovers(self, case: Path) -> list[Path]:
        """Return the unfinished files beside the case."""
        return unfinished(case.parent)

    def _with_local_paths(self, values: dict[str, Any]) -> dict[str, Any]:
        """Replace the model's parts by the bundled ones, and the data set by a missing one."""
        model = values["model"] | {"sam2": str(download.BUNDLED / "mini" / "sam2")}
        if model["text"] is not None:
            model["text"] = str(download.BUNDLED / "mini" / "text")
        data = values["data"] | {"root": str(self._folder / "no-data"), "cache": None}
        out = str(self._folder / "out")
        return values | {"model": model, "data": data, "fuser_from": None, "out": out}


class SessionCases:
    """Mutated session archives, and mutated session folders in the home of a Studio."""

    def __init__(self, folder: Path, seed: int) -> None:
        from auralsam2.model import AuralSAM2

        self._folder, self._seed = folder, seed
        self._model = AuralSAM2.from_pretrained("mini", "cpu")
        self._archive, self._disk = self._bases()

    def make(self, number: int) -> Path:
        """Write a case, a ZIP file: a session archive, or the content of a session's folder if it is named `…-disk`."""
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
        """Restore or open a session and send the requests of the page.

        Raises:
            AuralError: the server responds with an error of one line.
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
                    name = _check(client.put("/api/restore", content=case.read_bytes()))["id"]
                self._use(client, name)
        finally:
            logging.getLogger("auralsam2").removeHandler(tracebacks)
        if tracebacks.error is not None:
            raise tracebacks.error

    def leftovers(self, case: Path) -> list[Path]:
        """Return the unfinished files in the case's home, and remove the home."""
        home = self._home(case)
        files = unfinished(home)
        shutil.rmtree(home, ignore_errors=True)
        return files

    def _home(self, case: Path) -> Path:
        return self._folder / f"home-{case.stem}"

    def _studio(self, home: Path) -> Any:
        """Return a client of a Studio that serves a home."""
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
        """Send all requests of a page about a session, then raise the first error."""
        address, errors = f"/api/sessions/{name}", []
        client.get("/api/state")
        requests: list[Callable[[], Any]] = [
            lambda: client.get(address),
            *(lambda part=part: client.get(f"{address}/{part}") for part in ("media", "sound", "mask/1/0.bin")),
            *(lambda w=w: client.get(f"{address}/frame/0.jpg", params={"w": w}) for w in (16, 10**6)),
            lambda: client.patch(address, json={"name": "another"}),
        ]
        for request in requests:
            try:
                _check(request())
            except AuralError as error:
                errors.append(error)
        try:
            self._send_commands(client, name)
        except AuralError as error:
            errors.append(error)
        client.delete(address)
        if errors:
            raise errors[0]

    def _send_commands(self, client: Any, name: str) -> None:
        """Connect, which replays the session's prompts; add prompts, and export masks and session."""
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
                    response = client.post(f"/api/sessions/{name}/export", json={"kind": kind})
                    if response.status_code == 200:
                        _finished(socket)
        except WebSocketDisconnect as error:
            raise AuralError(f"closed by the server ({error.code}) {error.reason}") from error

    def _bases(self) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """Return the members of a session archive, and the files of the same session in its folder."""
        clip = self._folder / "base.mp4"
        _write_clip(clip)
        home = self._folder / "home-base"
        with self._studio(home) as client:
            name = _check(client.put("/api/upload", params={"name": "a.mp4", "fps": 2}, content=clip.read_bytes()))[
                "id"
            ]
            headers = {"origin": f"http://{_HOST}"}
            with client.websocket_connect(f"ws://{_HOST}/api/sessions/{name}/live", headers=headers) as socket:
                _command(socket, {"do": "points", "object": 1, "tick": 0, "points": [[20, 12, 1]]})
                _command(socket, {"do": "look", "object": 1, "tick": 1})
                _command(socket, {"do": "points", "object": 1, "tick": 1, "points": [[22, 12, 1], [1, 1, 0]]})
                _command(socket, {"do": "box", "object": 2, "tick": 0, "box": [4, 4, 30, 30]})
                _command(socket, {"do": "hear", "object": 0, "on": True})
                _check(client.post(f"/api/sessions/{name}/export", json={"kind": "session"}))
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
    """Handler that stores the first exception logged by a server thread."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.error: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Store the exception of a record."""
        if record.exc_info and self.error is None:
            self.error = record.exc_info[1]


def _check(response: Any) -> Any:
    """Return the JSON of a response, if any; raise the server's error as an AuralError."""
    if response.status_code >= 400:
        message = response.json()["error"]
        assert response.status_code != 500
        assert "\n" not in message
        raise AuralError(message)
    return response.json() if response.headers.get("content-type") == "application/json" else None


def _command(socket: Any, command: dict[str, Any]) -> None:
    """Send a command of the page and wait for the response, which may be an error."""
    socket.send_text(json.dumps({"n": 1} | command))
    _wait_for(socket, lambda message: message.get("re") == 1)


def _finished(socket: Any) -> None:
    """Wait for the end of an export."""
    _wait_for(socket, lambda message: message.get("is") in ("done", "cancelled"))


def _wait_for(socket: Any, last: Callable[[dict[str, Any]], bool]) -> None:
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
    """Write one second of noise, 64 x 48 pixels, with audio."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as output:
        video, audio = output.add_stream("libx264", rate=10), output.add_stream("aac", rate=16_000, layout="stereo")
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for start in range(0, 16_000, 1024):
            samples = rng.integers(-9000, 9000, (1, 2048)).astype(np.int16)
            sound = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
            sound.sample_rate, sound.pts = 16_000, start
            output.mux(audio.encode(sound))
        output.mux(audio.encode(None))
        for _ in range(10):
            pixels = rng.integers(0, 256, (48, 64, 3)).astype(np.uint8)
            output.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        output.mux(video.encode(None))
