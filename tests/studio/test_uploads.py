"""Import of uploaded videos."""

from __future__ import annotations

import asyncio
import io
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from auralsam2.media.audio_track import SoundTrack
from auralsam2.modeling.log_mel import mel_matrix
from auralsam2.studio import uploads
from auralsam2.studio.settings import Limits
from auralsam2.studio.storage import RefusalError, SessionFolder
from auralsam2.types import AUDIO_RATE
from helpers.media_files import click, number_of, tone, write_clip, write_media
from helpers.studio_pages import FPS, SECONDS, TICKS, Studio, wait_for


def refused(studio: Studio, status: int, content: bytes | Iterator[bytes], **query: object) -> str:
    """What is said of an upload that is not taken; nothing of it stays."""
    answer = studio.client.put("/api/upload", params={"name": "my clip.mp4"} | query, content=content)
    assert answer.status_code == status
    assert studio.folders() == []
    message = answer.json()["error"]
    assert str(studio.home) not in message
    return message


def test_properties_of_the_imported_video(studio: Studio, clip: Path) -> None:
    name = studio.upload(clip)
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", name)
    state = studio.get(name)
    assert state["name"] == "clip.mp4"
    assert (state["width"], state["height"], state["fps"], state["ticks"]) == (64, 48, FPS, TICKS)
    assert state["duration"] == pytest.approx(SECONDS, abs=0.1)
    # The pictures on display half a period into each tick, of ten a second.
    assert state["times"] == pytest.approx([0.2, 0.7, 1.2, 1.7, 2.2, 2.7], abs=0.001)
    peaks = state["sound"]["peaks"]
    assert len(peaks) == pytest.approx(SECONDS * 100, abs=10)
    # A sine of half the full scale.
    assert min(low for low, _ in peaks) == pytest.approx(-0.5, abs=0.05)
    assert max(high for _, high in peaks) == pytest.approx(0.5, abs=0.05)
    assert state["objects"] == state["prompts"] == []
    assert not any(state[key] for key in ("undo", "redo", "open"))
    (listed,) = studio.client.get("/api/sessions").json()
    assert listed["id"] == name
    assert listed["objects"] == 0
    assert not listed["done"]

    picture = Image.open(io.BytesIO(studio.client.get(f"/api/sessions/{name}/spectrogram.png").content))
    bands = np.asarray(picture)[..., 1]
    assert bands.shape == (64, len(peaks))
    # The band of the tone, low ones at the bottom, is the loudest in each column.
    band = int(mel_matrix()[round(440 / (AUDIO_RATE / 512))].argmax())
    assert np.abs(63 - bands[:, 5:-10].argmax(0) - band).max() <= 1


def test_frames_equal_those_of_the_clip(studio: Studio, clip: Path) -> None:
    import numpy as np
    from PIL import Image

    name = studio.upload(clip)
    for tick, picture in enumerate([2, 7, 12, 17, 22, 27]):
        answer = studio.client.get(f"/api/sessions/{name}/frame/{tick}.jpg")
        assert answer.headers["content-type"] == "image/jpeg"
        assert "immutable" in answer.headers["cache-control"]
        image = Image.open(io.BytesIO(answer.content))
        assert image.size == (64, 48)
        assert number_of(np.asarray(image)) == picture
    small = studio.client.get(f"/api/sessions/{name}/frame/0.jpg", params={"w": 32})
    assert Image.open(io.BytesIO(small.content)).size == (32, 24)
    for path in ("frame/6.jpg", "frame/-1.jpg", "frame/x.jpg", "mask/0/0.bin", "mask/-1/0.bin", "mask/0/..%2f.bin"):
        assert studio.client.get(f"/api/sessions/{name}/{path}").status_code in (204, 404, 422)


def test_video_supports_range_requests(studio: Studio, clip: Path) -> None:
    name, data = studio.upload(clip), clip.read_bytes()
    full = studio.client.get(f"/api/sessions/{name}/media")
    assert full.headers["content-type"] == "video/mp4"
    assert full.content == data
    part = studio.client.get(f"/api/sessions/{name}/media", headers={"range": "bytes=100-199"})
    assert part.status_code == 206
    assert part.content == data[100:200]


@pytest.mark.parametrize(
    ("ending", "codecs", "kept", "media"),
    [
        (".mkv", {"audio_codec": "pcm_s16le"}, "video.mkv", "video/x-matroska"),
        (".webm", {"codec": "libvpx", "audio_codec": "libopus", "rate": 48_000}, "video.webm", "video/webm"),
        (".avi", {"codec": "mpeg4", "audio_codec": "pcm_s16le"}, "video.avi", "video/x-msvideo"),
    ],
)
def test_content_type_follows_the_content(
    studio: Studio, tmp_path: Path, ending: str, codecs: dict[str, object], kept: str, media: str
) -> None:
    """Whatever the name says."""
    file = write_clip(tmp_path / f"clip{ending}", 1.0, sound=tone(1.0, int(str(codecs.get("rate", 16_000)))), **codecs)
    name = studio.upload(file, name="holiday.html")
    assert (studio.home / "sessions" / name / kept).read_bytes() == file.read_bytes()
    assert studio.client.get(f"/api/sessions/{name}/media").headers["content-type"] == media


PCM = {"audio_codec": "pcm_s16le"}
OPUS = {"audio_codec": "libopus", "rate": 48_000}


@pytest.mark.parametrize(
    ("ending", "codecs", "copied"),
    [
        (".mp4", {}, False),
        (".mp4", {"audio_codec": "mp3"}, False),
        (".mp4", {"audio_codec": "ac3", "rate": 48_000}, True),
        (".mp4", {"codec": "mpeg4"}, True),
        (".mp4", {"pix_fmt": "yuv444p"}, True),
        (".mov", PCM, True),
        (".webm", {"codec": "libvpx"} | OPUS, False),
        (".mkv", {"codec": "libvpx"} | OPUS, True),
        (".mkv", PCM, True),
        (".avi", {"codec": "mpeg4"} | PCM, True),
        (".avi", {"codec": "mpeg4", "audio_codec": "mp3"}, True),
        (".ts", {}, True),
    ],
)
def test_every_video_has_audio_that_browsers_play(
    studio: Studio, tmp_path: Path, ending: str, codecs: dict[str, Any], copied: bool
) -> None:
    """By container and codecs: as it is, or a copy, with the sound where it was."""
    rate = codecs.get("rate", 16_000)
    file = write_clip(tmp_path / f"clip{ending}", 2.0, sound=click(2.0, 1.0, rate), **({"rate": rate} | codecs))
    name = studio.upload(file)
    answer = studio.client.get(f"/api/sessions/{name}/sound")
    assert (answer.content != file.read_bytes()) == copied
    assert (studio.home / "sessions" / name / "sound.m4a").exists() == copied
    if not copied:
        assert answer.headers["content-type"] in ("video/mp4", "video/webm")
        return
    assert answer.headers["content-type"] == "audio/mp4"
    part = studio.client.get(f"/api/sessions/{name}/sound", headers={"range": "bytes=100-199"})
    assert part.status_code == 206
    assert part.content == answer.content[100:200]
    audible = tmp_path / "heard.m4a"
    audible.write_bytes(answer.content)
    with av.open(str(audible)) as container:
        assert not container.streams.video
        assert container.streams.audio[0].codec.canonical_name in ("aac", "mp3")
    assert onset(audible) == pytest.approx(onset(file), abs=0.005)
    assert onset(file) == pytest.approx(1.0, abs=0.1)  # some containers do not tell of the run-in of a codec
    assert studio.client.get(f"/api/sessions/{name}/media").content == file.read_bytes()


def onset(file: Path) -> float:
    """The second at which a file becomes loud."""
    with SoundTrack(file) as track:
        return np.flatnonzero(np.abs(track.read(0, 2.0)).max(axis=1) > 0.2)[0] / AUDIO_RATE


def test_no_audio_copy_without_audio(studio: Studio, tmp_path: Path) -> None:
    file = write_clip(tmp_path / "clip.avi", 1.0, codec="mpeg4", sound=None)
    name = studio.upload(file)
    assert not list((studio.home / "sessions" / name).glob("sound*"))
    assert not studio.get(name)["audio"]


@pytest.mark.parametrize("ending", [".mp4", ".avi"])
def test_import_reports_its_progress(tmp_path: Path, ending: str) -> None:
    """With and without a copy of the sound at the end."""
    message: list[float] = []
    file = write_clip(tmp_path / f"clip{ending}", 2.0, codec="mpeg4" if ending == ".avi" else "libx264")
    uploads.import_video(SessionFolder(tmp_path), file, "clip", 5.0, Limits(), message.append)
    assert message == sorted(message)
    assert len(message) > 20
    assert message[0] < 0.1
    assert 0.85 < message[-1] <= 1
    assert sum(part < 0.8 for part in message) == 10  # the frames


def test_import_can_be_stopped(tmp_path: Path, clip: Path) -> None:
    file = tmp_path / "received"
    file.write_bytes(clip.read_bytes())

    def stop(part: float) -> None:
        if part > 0.3:
            raise RefusalError(400, "enough")

    with pytest.raises(RefusalError, match="enough"):
        uploads.import_video(SessionFolder(tmp_path), file, "clip", 5.0, Limits(), stop)
    assert 0 < len(list((tmp_path / "frames").iterdir())) < 10


def test_page_requests_the_progress_of_an_import(studio: Studio, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, job, real = threading.Event(), "a-name-of-22-letters-1", uploads.waveform_peaks

    def held(*arguments: Any) -> Any:
        assert go_on.wait(60)
        return real(*arguments)

    monkeypatch.setattr(uploads, "waveform_peaks", held)

    def part() -> float | None:
        return studio.client.get(f"/api/arrivals/{job}").json()["part"]

    assert part() is None
    names: list[str] = []
    query = {"name": "clip.mp4", "job": job}
    sending = threading.Thread(
        target=lambda: names.append(studio.client.put("/api/upload", params=query, content=clip.read_bytes()).json())
    )
    sending.start()
    wait_for(lambda: (part() or 0) > 0.5)
    assert 0.5 < (part() or 0) < 0.8
    assert studio.client.get("/api/sessions").json() == []
    go_on.set()
    sending.join()
    assert studio.folders() == [names[0]["id"]]  # type: ignore[index]
    assert part() is None


def test_too_large_upload_is_stopped(start_studio: Callable[..., Studio]) -> None:
    studio = start_studio(upload=50_000)
    assert "larger than 0.05 MB" in refused(studio, 413, bytes(50_001))
    sent = []

    def endless() -> Iterator[bytes]:
        """Without a length, as a stream."""
        for _ in range(1000):
            sent.append(1)
            yield bytes(10_000)

    assert "--max-upload" in refused(studio, 413, endless())


def test_too_long_video_is_refused(start_studio: Callable[..., Studio], clip: Path) -> None:
    message = refused(start_studio(minutes=0.02), 422, clip.read_bytes())
    assert message.startswith("my clip.mp4: 0.1 minutes are more than 0.02: ")
    assert "--max-minutes" in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"<html><script>alert(1)</script></html>" * 50, "not a video"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "not a video"),
    ],
)
def test_other_files_than_videos_are_refused(studio: Studio, content: bytes, words: str) -> None:
    assert words in refused(studio, 422, content)


def test_audio_file_is_refused(studio: Studio, tmp_path: Path) -> None:
    file = write_media(tmp_path / "sound.wav", sound=tone(1.0), audio_codec="pcm_s16le")
    assert "choose a video" in refused(studio, 422, file.read_bytes())


@pytest.mark.parametrize("fps", ["0", "-1", "nan", "x", "1000"])
def test_invalid_rates_are_refused(studio: Studio, clip: Path, fps: str) -> None:
    if fps == "1000":  # no more than the video has
        assert studio.get(studio.upload(clip, fps=1000))["fps"] == 10
    else:
        refused(studio, 422, clip.read_bytes(), fps=fps)


def test_default_rate_is_five_frames_per_second(studio: Studio, clip: Path) -> None:
    assert studio.get(studio.upload(clip, fps=None))["fps"] == 5


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\clips\\dog.mp4", "dog.mp4"),
        ("a\x00b\n.mp4", "ab.mp4"),
        ("", "video"),
        ("x" * 500, "x" * 120),
        ("Hündchen 🐕.mp4", "Hündchen 🐕.mp4"),
    ],
)
def test_file_names_are_for_display_alone(studio: Studio, clip: Path, given: str, shown: str) -> None:
    name = studio.upload(clip, name=given)
    assert studio.get(name)["name"] == shown
    assert studio.folders() == [name]


def test_demo_clip_opens(studio: Studio) -> None:
    answer = studio.client.post("/api/sessions", json={"demo": True})
    assert studio.get(answer.json()["id"])["audio"]
    for body in ({}, {"demo": False}, {"path": "/etc/passwd"}):
        assert studio.client.post("/api/sessions", json=body).status_code == 422


@pytest.mark.parametrize("name", ["..", "%2e%2e", "a", "..%2f..%2fsessions", "aaaaaaaaaaaaaaaaaaaaaa", "a" * 23])
def test_session_ids_are_no_paths(studio: Studio, clip: Path, name: str) -> None:
    studio.upload(clip)
    for path in ("", "/media", "/frame/0.jpg", "/export/coco", "/mask/0/0.bin"):
        assert studio.client.get(f"/api/sessions/{name}{path}").status_code == 404
    assert studio.client.delete(f"/api/sessions/{name}").status_code in (404, 405)
    assert len(studio.folders()) == 1


def test_session_can_be_renamed_and_deleted(studio: Studio, clip: Path) -> None:
    name = studio.upload(clip)
    assert studio.client.patch(f"/api/sessions/{name}", json={"name": "dogs"}).status_code == 200
    assert studio.client.patch(f"/api/sessions/{name}", json={"name": ""}).status_code == 422
    assert studio.get(name)["name"] == "dogs"
    assert studio.client.patch(f"/api/sessions/{name}", json={"done": True}).status_code == 200
    assert studio.client.get("/api/sessions").json()[0]["done"]
    assert studio.client.delete(f"/api/sessions/{name}").status_code == 200
    assert studio.folders() == []
    assert studio.client.get(f"/api/sessions/{name}").status_code == 404


def test_stalled_upload_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "STALL", 0.05)

    async def body() -> AsyncIterator[bytes]:
        yield b"abc"
        await asyncio.sleep(60)
        yield b"def"

    upload = uploads.receive_upload(body(), None, tmp_path / "file", Limits())
    # In a thread, as Playwright leaves a running event loop in the main thread.
    with ThreadPoolExecutor(1) as thread, pytest.raises(RefusalError, match="stalled") as refusal:
        thread.submit(asyncio.run, upload).result()
    assert refusal.value.status == 408
