"""Videos on their way in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from media_files import number_of, tone, write_clip, write_media
from studio_pages import FPS, SECONDS, TICKS, Studio


def refused(studio: Studio, status: int, content: bytes | Iterator[bytes], **query: object) -> str:
    """What is said of an upload that is not taken; nothing of it stays."""
    answer = studio.client.put("/api/upload", params={"name": "my clip.mp4"} | query, content=content)
    assert answer.status_code == status
    assert studio.folders() == []
    message = answer.json()["error"]
    assert str(studio.home) not in message
    return message


def test_what_was_found_out(studio: Studio, clip: Path) -> None:
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
    (listed,) = studio.client.get("/api/state").json()["sessions"]
    assert listed["id"] == name
    assert listed["objects"] == 0


def test_frames_are_those_of_the_clip(studio: Studio, clip: Path) -> None:
    import io

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


def test_the_video_plays_in_parts(studio: Studio, clip: Path) -> None:
    name, data = studio.upload(clip), clip.read_bytes()
    whole = studio.client.get(f"/api/sessions/{name}/media")
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.content == data
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
def test_the_type_is_what_is_inside(
    studio: Studio, tmp_path: Path, ending: str, codecs: dict[str, object], kept: str, media: str
) -> None:
    """Whatever the name says."""
    file = write_clip(tmp_path / f"clip{ending}", 1.0, sound=tone(1.0, int(str(codecs.get("rate", 16_000)))), **codecs)
    name = studio.upload(file, name="holiday.html")
    assert (studio.home / "sessions" / name / kept).read_bytes() == file.read_bytes()
    assert studio.client.get(f"/api/sessions/{name}/media").headers["content-type"] == media


def test_too_large_is_refused_while_it_comes(start_studio: Callable[..., Studio]) -> None:
    studio = start_studio(upload=50_000)
    assert "larger than 0.05 MB" in refused(studio, 413, bytes(50_001))
    sent = []

    def endless() -> Iterator[bytes]:
        """Without a length, as a stream."""
        for _ in range(1000):
            sent.append(1)
            yield bytes(10_000)

    assert "--max-upload" in refused(studio, 413, endless())


def test_too_long_is_refused(start_studio: Callable[..., Studio], clip: Path) -> None:
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
def test_what_is_no_video_is_refused(studio: Studio, content: bytes, words: str) -> None:
    assert words in refused(studio, 422, content)


def test_sound_alone_is_refused(studio: Studio, tmp_path: Path) -> None:
    file = write_media(tmp_path / "sound.wav", sound=tone(1.0), audio_codec="pcm_s16le")
    assert "choose a video" in refused(studio, 422, file.read_bytes())


@pytest.mark.parametrize("fps", ["0", "-1", "nan", "x", "1000"])
def test_rates_that_cannot_be(studio: Studio, clip: Path, fps: str) -> None:
    if fps == "1000":  # no more than the video has
        assert studio.get(studio.upload(clip, fps=1000))["fps"] == 10
    else:
        refused(studio, 422, clip.read_bytes(), fps=fps)


def test_by_default_five_a_second(studio: Studio, clip: Path) -> None:
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
def test_names_are_for_show_alone(studio: Studio, clip: Path, given: str, shown: str) -> None:
    name = studio.upload(clip, name=given)
    assert studio.get(name)["name"] == shown
    assert studio.folders() == [name]


def test_the_demo_clip_opens(studio: Studio) -> None:
    answer = studio.client.post("/api/sessions", json={"demo": True})
    assert studio.get(answer.json()["id"])["audio"]
    for body in ({}, {"demo": False}, {"path": "/etc/passwd"}):
        assert studio.client.post("/api/sessions", json=body).status_code == 422


@pytest.mark.parametrize("name", ["..", "%2e%2e", "a", "..%2f..%2fsessions", "aaaaaaaaaaaaaaaaaaaaaa", "a" * 23])
def test_ids_are_looked_up_and_nothing_else(studio: Studio, clip: Path, name: str) -> None:
    studio.upload(clip)
    for path in ("", "/media", "/frame/0.jpg", "/export/coco", "/mask/0/0.bin"):
        assert studio.client.get(f"/api/sessions/{name}{path}").status_code == 404
    assert studio.client.delete(f"/api/sessions/{name}").status_code in (404, 405)
    assert len(studio.folders()) == 1


def test_a_session_is_renamed_and_deleted(studio: Studio, clip: Path) -> None:
    name = studio.upload(clip)
    assert studio.client.patch(f"/api/sessions/{name}", json={"name": "dogs"}).status_code == 200
    assert studio.client.patch(f"/api/sessions/{name}", json={"name": ""}).status_code == 422
    assert studio.get(name)["name"] == "dogs"
    assert studio.client.delete(f"/api/sessions/{name}").status_code == 200
    assert studio.folders() == []
    assert studio.client.get(f"/api/sessions/{name}").status_code == 404
