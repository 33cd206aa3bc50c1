"""Exports, and sessions restored from them."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import threading
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from pycocotools.coco import COCO

from auralsam2.media.frame_reader import read_frames
from auralsam2.media.probe import probe
from auralsam2.outputs import davis
from auralsam2.outputs.overlay import draw_overlay
from auralsam2.outputs.postprocessing import PostProcessing, postprocess_items
from auralsam2.studio import exports, mask_codec
from auralsam2.studio.commands import ExportCommand
from auralsam2.studio.exports import ExportOrder
from auralsam2.studio.jobs import ExportJob
from auralsam2.studio.session_state import SessionState
from auralsam2.studio.storage import SessionFolder
from helpers.media_files import number_of, numbered, write_clip
from helpers.studio_pages import FPS, TICKS, Page, Studio, wait_for

GREEN, RED = "#00ff00", "#ff0000"


@pytest.fixture
def painted(studio: Studio, clip: Path) -> tuple[str, AbstractContextManager[Any]]:
    """A session with masks of two objects on all frames; the page is still open."""
    name = studio.upload(clip, name="my clip.mp4")
    return name, studio.page(name)


def fill(page: Page) -> None:
    page.ask("box", object=1, tick=0, box=[4, 4, 30, 30])
    page.ask("box", object=3, tick=5, box=[20, 10, 60, 44])
    page.ask("style", object=1, colour=GREEN, name="dog")
    page.ask("style", object=3, colour=RED)
    assert page.ask("run")["ok"]
    page.until("done", "run")


def expected(studio: Studio, session: str, number: int, tick: int, threshold: float = 0.0) -> np.ndarray:
    """The mask that the page shows, worked out as the page does."""
    data = studio.client.get(f"/api/sessions/{session}/mask/{number}/{tick}.bin").content
    _, logits = mask_codec.unpack_mask(data)
    full = F.interpolate(torch.from_numpy(logits)[None, None], (48, 64), mode="bilinear", align_corners=False)
    return full[0, 0].numpy() > threshold


def test_exported_masks_use_threshold_and_score(studio: Studio, painted: Any) -> None:
    name, socket = painted
    with socket as line:
        page = Page(line)
        fill(page)
        for threshold in (0.0, -1.5):
            archive = zipfile.ZipFile(io.BytesIO(studio.export(page, name, "masks", threshold=threshold)))
            names = [f"{number}/{tick:06d}.png" for tick in range(TICKS) for number in (1, 3)]
            assert archive.namelist() == names
            for entry in names:
                picture = np.asarray(Image.open(io.BytesIO(archive.read(entry))))
                number, tick = entry.removesuffix(".png").split("/")
                mask = expected(studio, name, int(number), int(tick), threshold)
                assert set(np.unique(picture)) <= {0, 255}
                assert (picture.astype(bool) != mask).mean() < 0.002  # up to rounding at the border
        assert studio.get(name)["threshold"] == page.state["threshold"] == -1.5
        # A score that no mask has hides all.
        archive = zipfile.ZipFile(io.BytesIO(studio.export(page, name, "masks", score=20.0)))
        assert not any(np.asarray(Image.open(io.BytesIO(archive.read(entry)))).any() for entry in archive.namelist())
        page.ask("style", object=1, hidden=True)
        archive = zipfile.ZipFile(io.BytesIO(studio.export(page, name, "masks")))
        assert {entry.split("/")[0] for entry in archive.namelist()} == {"3"}


def test_davis_and_coco(studio: Studio, painted: Any, tmp_path: Path) -> None:
    name, socket = painted
    with socket as line:
        page = Page(line)
        fill(page)
        archive = zipfile.ZipFile(io.BytesIO(studio.export(page, name, "davis")))
        listed = json.loads(archive.read("objects.json"))
        assert [(row["value"], row["object"], row["name"]) for row in listed] == [(1, 1, "dog"), (2, 3, "Object 3")]
        for tick in range(TICKS):
            image = Image.open(io.BytesIO(archive.read(f"Annotations/{tick:05d}.png")))
            assert image.getpalette() == davis.davis_palette()
            masks = {value: expected(studio, name, number, tick) for value, number in ((1, 1), (2, 3))}
            assert (np.asarray(image) != davis.label_image(masks, 48, 64)).mean() < 0.002
        (tmp_path / "coco.json").write_bytes(studio.export(page, name, "coco"))
        coco = COCO(str(tmp_path / "coco.json"))
        assert coco.getImgIds() == list(range(TICKS))
        for row in coco.dataset["annotations"]:
            mask = expected(studio, name, row["track_id"], row["image_id"])
            assert (coco.annToMask(row).astype(bool) != mask).mean() < 0.002
        assert [row["name"] for row in coco.loadCats([1, 2])] == ["dog", "Object 3"]
        assert {(row["track_id"], row["category_id"]) for row in coco.dataset["annotations"]} == {(1, 1), (3, 2)}
        pictures = zipfile.ZipFile(io.BytesIO(studio.export(page, name, "frames")))
        assert pictures.namelist() == [image["file_name"] for image in coco.dataset["images"]]
        for tick, (entry, picture) in enumerate(zip(pictures.namelist(), [2, 7, 12, 17, 22, 27], strict=True)):
            image = np.asarray(Image.open(io.BytesIO(pictures.read(entry))))
            assert image.shape[:2] == (coco.imgs[tick]["height"], coco.imgs[tick]["width"])
            assert number_of(image) == picture
        assert "my clip" in coco.dataset["info"]["description"]
        assert str(studio.home) not in json.dumps(coco.dataset["info"])


def test_formats_of_segment(studio: Studio, painted: Any, tmp_path: Path) -> None:
    name, socket = painted
    with socket as line:
        page = Page(line)
        fill(page)
        (tmp_path / "matte.mp4").write_bytes(studio.export(page, name, "matte"))
        archives = {
            kind: zipfile.ZipFile(io.BytesIO(studio.export(page, name, kind))).namelist()
            for kind in ("cvat", "mots", "intervals", "labelstudio")
        }
        with np.load(io.BytesIO(studio.export(page, name, "npz"))) as volume:
            assert volume["names"].tolist() == ["dog", "Object 3"]
            masks = expected(studio, name, 3, 4)
            assert ((volume["labels"][4] == 2) != masks).mean() < 0.002
        session = studio.manager.get_open(name)
        for kind in exports.KINDS:
            order = exports.ExportOrder.of(session._state, ExportCommand(kind=kind))
            steps: list[tuple[int, int]] = []
            exports.write_export(order, lambda done, total, steps=steps: steps.append((done, total)))
            dones = [done for done, _ in steps]
            assert dones == sorted(dones), kind
            assert {total for _, total in steps} == {dones[-1]}, kind
        assert [path.suffix for path in (studio.home / "sessions" / name / "exports").iterdir() if path.is_dir()] == []
        with zipfile.ZipFile(studio.home / "sessions" / name / "exports" / "matte-objects.zip") as mattes:
            assert mattes.namelist() == ["1-dog.mp4", "3-Object-3.mp4"]
            mattes.extract("3-Object-3.mp4", tmp_path)
    assert archives["cvat"] == ["images.xml", "video.xml"]
    assert archives["mots"] == [*(f"instances/{tick:06d}.png" for tick in range(TICKS)), "instances/labels.txt"]
    assert len(archives["labelstudio"]) == 4
    assert sorted(archives["intervals"]) == [
        f"intervals.{end}" for end in ("csv", "edl", "fcpxml", "rttm", "vtt", "xml")
    ]
    matte = list(read_frames(tmp_path / "matte.mp4"))
    assert len(matte) == 30, "every frame of the video"
    union = expected(studio, name, 1, 0) | expected(studio, name, 3, 0)
    assert ((matte[0].image[..., 0] > 127) != union).mean() < 0.02
    own = next(iter(read_frames(tmp_path / "3-Object-3.mp4"))).image[..., 0] > 127
    assert (own != expected(studio, name, 3, 0)).mean() < 0.02


def test_masks_are_post_processed(studio: Studio, painted: Any) -> None:
    name, socket = painted
    steps = PostProcessing(smooth=3, fill_holes=True, min_area=20, grow=1.5)
    with socket as line:
        page = Page(line)
        fill(page)
        archive = zipfile.ZipFile(io.BytesIO(studio.export(page, name, "masks")))
        masks = {entry: np.asarray(Image.open(io.BytesIO(archive.read(entry)))) > 0 for entry in archive.namelist()}
        changed = zipfile.ZipFile(io.BytesIO(studio.export(page, name, "masks", **dataclasses.asdict(steps))))
        with np.load(io.BytesIO(studio.export(page, name, "npz", **dataclasses.asdict(steps)))) as volume:
            labels = volume["labels"]
        assert studio.get(name)["edges"] == dataclasses.asdict(steps)
        query = dataclasses.asdict(steps)
        answers = [studio.client.get(f"/api/sessions/{name}/edges/3/{tick}.bin", params=query) for tick in range(TICKS)]
        previews = [mask_codec.unpack_mask(answer.content)[1] for answer in answers]
        soft = studio.client.get(f"/api/sessions/{name}/edges/3/0.bin", params={"feather": 2}).content
        assert studio.client.get(f"/api/sessions/{name}/edges/9/0.bin").status_code == 204
        assert studio.client.get(f"/api/sessions/{name}/edges/3/99.bin").status_code == 204
        assert studio.client.get(f"/api/sessions/{name}/edges/3/0.bin", params={"smooth": 2}).status_code == 422
        refused = studio.client.post(f"/api/sessions/{name}/export", json={"kind": "coco", "smooth": 2})
        assert refused.status_code == 409
        assert "smooth" in refused.json()["error"]
    own = [masks[f"3/{tick:06d}.png"] for tick in range(TICKS)]
    expected_masks = list(postprocess_items(own, steps, lambda _: 3, lambda mask: mask, lambda _, mask: mask))
    assert not np.array_equal(own, expected_masks)
    for tick, mask in enumerate(expected_masks):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(changed.read(f"3/{tick:06d}.png")))) > 0, mask)
        assert np.array_equal(labels[tick] == 2, mask)
        assert np.array_equal(previews[tick] > 0, mask)
    assert {-1.0, 1.0} >= set(np.unique(previews[0]))
    assert np.unique(mask_codec.unpack_mask(soft)[1]).size > 10


def test_exports_of_the_page_are_those_of_the_server() -> None:
    script = (Path(exports.__file__).parent / "web" / "exporting.js").read_text(encoding="utf-8")
    kinds, merging = script[script.index("KINDS = [") : script.index("];")], script[script.index("MERGING") :]
    names = re.findall(r'^  \["([\w-]+)", ', kinds, re.MULTILINE)
    names += [f"{name}-objects" for name in re.findall(r'"([\w-]+)"', merging[: merging.index("]")])]
    assert sorted(names) == sorted(exports.KINDS)


def test_overlay_has_object_colours_and_audio(studio: Studio, painted: Any, clip: Path, tmp_path: Path) -> None:
    name, socket = painted
    with socket as line:
        page = Page(line)
        fill(page)
        (tmp_path / "overlay.mp4").write_bytes(studio.export(page, name, "overlay"))
    answer = studio.client.get(f"/api/sessions/{name}/export/overlay")
    assert answer.headers["content-type"] == "video/mp4"
    assert "my%20clip-overlay.mp4" in answer.headers["content-disposition"]
    assert "attachment" in answer.headers["content-disposition"]
    info = probe(tmp_path / "overlay.mp4")
    assert info.audio_rate is not None
    assert info.duration == pytest.approx(3.0, abs=0.2)
    pictures = list(read_frames(tmp_path / "overlay.mp4"))
    sources = list(read_frames(clip, fps=FPS))
    assert [picture.time for picture in pictures] == pytest.approx([source.slot[0] for source in sources], abs=0.01)
    for tick, (picture, source) in enumerate(zip(pictures, sources, strict=True)):
        image = draw_overlay(source.image, expected(studio, name, 1, tick), (0, 255, 0))
        image = draw_overlay(image, expected(studio, name, 3, tick), (255, 0, 0))
        assert np.abs(picture.image.astype(int) - image).mean() < 20  # the codec halves the colours' size


def test_export_without_masks_or_of_an_unknown_kind(studio: Studio, clip: Path) -> None:
    name = studio.upload(clip)
    for kind in ("overlay", "masks", "davis", "coco"):
        answer = studio.client.post(f"/api/sessions/{name}/export", json={"kind": kind})
        assert answer.status_code == 409
        assert "Listen" in answer.json()["error"]
    for kind in ("../session.json", "video", "", "session.json"):
        answer = studio.client.post(f"/api/sessions/{name}/export", json={"kind": kind})
        assert answer.status_code == 409
        assert "overlay" in answer.json()["error"]
    for path in ("coco", "..%2fsession.json", "session.zip", "overlay.mp4"):
        assert studio.client.get(f"/api/sessions/{name}/export/{path}").status_code in (404, 405)
    for wish in ({"kind": "coco", "threshold": 99}, {"kind": "coco", "score": "NaN"}, {}, []):
        assert studio.client.post(f"/api/sessions/{name}/export", json=wish).status_code == 422
    assert studio.client.post(f"/api/sessions/{name}/export", content=bytes(200_000)).status_code == 413


@pytest.mark.parametrize("cancelled", [False, True])
def test_export_no_longer_runs_when_its_end_is_published(studio: Studio, clip: Path, cancelled: bool) -> None:
    """A page may order the next export as soon as it gets the message."""
    state = SessionState.load(SessionFolder(studio.home / "sessions" / studio.upload(clip)))
    ready, ends = threading.Event(), []

    def publish(message: dict[str, Any]) -> None:
        assert ready.wait(20)
        if message["is"] in ("done", "cancelled"):
            ends.append((message["is"], job.running))

    job = ExportJob(ExportOrder.of(state, ExportCommand(kind="session")), publish)
    if cancelled:
        job.cancel()
    ready.set()
    job.join()
    assert len(ends) == 1
    assert not ends[0][1]


@pytest.mark.parametrize("kind", ["overlay", "masks", "cvat", "coco", "frames", "session"])
def test_cancelled_export_keeps_the_earlier_file(
    studio: Studio, painted: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, socket = painted
    folder = studio.home / "sessions" / name / "exports"
    with socket as line:
        page = Page(line)
        fill(page)
        before = studio.export(page, name, kind)
        real = exports.write_export

        def stopped(order: exports.ExportOrder, advance: exports.Advance) -> Path:
            """Cancelled by the page after the second step."""

            def step(done: int, total: int) -> None:
                if done == 2:
                    session = studio.manager.get_open(name)
                    wait_for(lambda: session._export._order is order)
                    session._export.cancel()
                advance(done, total)

            return real(order, step)

        monkeypatch.setattr("auralsam2.studio.jobs.write_export", stopped)
        answer = studio.client.post(f"/api/sessions/{name}/export", json={"kind": kind, "threshold": 1})
        assert answer.status_code == 200
        assert page.until("cancelled", "export")["kind"] == kind
        assert [path.read_bytes() for path in folder.iterdir()] == [before]


def test_session_is_restored_from_its_archive(start_studio: Callable[..., Studio], clip: Path, tmp_path: Path) -> None:
    studio = start_studio()
    name = studio.upload(clip, name="my clip.mp4")
    with studio.page(name) as socket:
        page = Page(socket)
        fill(page)
        page.ask("sliders", threshold=0.5, score=-3.0)
        data = studio.export(page, name, "session")
        before = studio.get(name)
    other = start_studio(home=tmp_path / "other")
    answer = other.client.put("/api/restore", content=data)
    assert answer.status_code == 200, answer.text
    back = answer.json()["id"]
    assert back != name
    after = other.get(back)
    for key in ("name", "objects", "prompts", "times", "sound", "threshold", "score", "undo"):
        assert after[key] == before[key], key
    for number, tick in ((1, 0), (3, 4)):
        path = f"mask/{number}/{tick}.bin"
        masks = [s.client.get(f"/api/sessions/{i}/{path}").content for s, i in ((studio, name), (other, back))]
        assert masks[0] == masks[1]
    with other.page(back) as socket:
        page = Page(socket)
        assert page.ask("look", object=1, tick=0)["ok"]
        assert page.ask("undo")["ok"]


def changed(data: bytes, change: Callable[[dict[str, bytes]], None]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def test_zip_bomb_is_refused_before_unpacking(studio: Studio, clip: Path) -> None:
    name = studio.upload(clip)
    with studio.page(name) as socket:
        data = studio.export(Page(socket), name, "session")
    bomb = changed(data, lambda files: files.update({"session.json": b" " * 190_000_000}))
    assert len(bomb) < len(data) + 300_000
    tracemalloc.start()
    answer = studio.client.put("/api/restore", content=bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.status_code == 413
    assert "too large" in answer.json()["error"]
    assert peak < 20_000_000


def test_foreign_archives_are_refused(start_studio: Callable[..., Studio], clip: Path, tmp_path: Path) -> None:
    """What is no session is refused, and nothing leaves the session's folder."""
    studio = start_studio(upload=1_000_000)
    name = studio.upload(clip)
    with studio.page(name) as socket:
        page = Page(socket)
        page.ask("box", object=1, tick=0, box=[4, 4, 30, 30])
        data = studio.export(page, name, "session")
    mask = "masks/1/000000.bin"

    def document(text: str) -> Callable[[dict[str, bytes]], None]:
        return lambda files: files.update({"session.json": text.encode()})

    def edited(**more: Any) -> Callable[[dict[str, bytes]], None]:
        return lambda files: files.update(
            {"session.json": json.dumps(json.loads(files["session.json"]) | more).encode()}
        )

    def log(line: str) -> Callable[[dict[str, bytes]], None]:
        return lambda files: files.update({"log.jsonl": line.encode() + b"\n"})

    bad: list[bytes] = [
        b"",
        b"PK\x03\x04",
        data[: len(data) // 2],
        changed(data, lambda files: files.pop("session.json")),
        changed(data, lambda files: files.pop("video.mp4")),
        changed(data, lambda files: files.update({"video.mp4": b"no video"})),
        changed(data, lambda files: files.update({"video.mp4": bytes(1_500_000)})),
        changed(data, lambda files: files.update({"video.mkv": b""})),
        changed(data, lambda files: files.update({mask: b"AUM1"})),
        changed(data, document("{")),
        changed(data, document("[" * 100_000)),
        changed(data, edited(fps="x")),
        changed(data, edited(schema=99)),
        changed(data, log('{"do": "fly"}')),
        changed(data, log('{"do": "undo"}')),
        changed(data, log("[")),
        changed(data, edited(schema=1, log=[{"do": "fly"}], objects=[])),
        changed(data, edited(stale=["x"])),
        changed(data, edited(threshold=1e9)),
        changed(data, edited(fps=10**400)),
        changed(data, edited(fps=True)),
        changed(data, log('{"do": "clear", "object": 1, "tick": 99}')),
        changed(data, edited(stale={})),
        changed(data, edited(model=["x" * 5000])),
        changed(data, lambda files: files.update({"session.json": files["session.json"] + b" " * 190_000_000})),
        changed(data, lambda files: files.update({"session.json": b" " * 20_000_000 + files["session.json"]})),
        changed(data, lambda files: files.update({mask: files[mask] + bytes(15_000_000)})),
    ]
    for number, archive in enumerate(bad):
        answer = studio.client.put("/api/restore", content=archive)
        assert answer.status_code in (413, 422), number
        assert str(studio.home) not in answer.text
        assert studio.folders() == [name]
    tricks = {
        "../../../escaped.txt": b"x",
        "/tmp/escaped.txt": b"x",
        "masks/1/../../../../escaped.bin": b"x",
        "masks/1/000099.bin": changed_tick(data, mask, 99),
        "exports/overlay.mp4": b"x",
        "frames/000000.jpg": b"x",
    }
    answer = studio.client.put("/api/restore", content=changed(data, lambda files: files.update(tricks)))
    assert answer.status_code == 200, answer.text
    folder = studio.home / "sessions" / answer.json()["id"]
    actual = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    frames = {f"frames/{tick:06d}.jpg" for tick in range(TICKS)}
    assert actual == {"video.mp4", "session.json", "log.jsonl", "clip.json", mask} | frames
    assert (folder / "frames/000000.jpg").read_bytes() != b"x"
    assert not list(tmp_path.rglob("escaped*"))


def changed_tick(data: bytes, name: str, tick: int) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        mask = archive.read(name)
    return mask[:8] + tick.to_bytes(4, "little") + mask[12:]


def test_cut_out_of_one_object_inverted(studio: Studio, painted: Any) -> None:
    name, socket = painted
    with socket as line:
        page = Page(line)
        fill(page)
        answer = studio.client.post(
            f"/api/sessions/{name}/export", json={"kind": "cutout-png", "objects": [3], "invert": True}
        )
        assert answer.status_code == 200, answer.text
        page.until("done", "export")
        data = studio.client.get(f"/api/sessions/{name}/export/cutout-png").content
        archive = zipfile.ZipFile(io.BytesIO(data))
        pictures = [entry for entry in archive.namelist() if entry.endswith(".png")]
        assert len(pictures) == 30  # every frame of the source
        alpha = np.asarray(Image.open(io.BytesIO(archive.read(pictures[2]))))[..., 3] > 0
        assert (alpha == expected(studio, name, 3, 0)).mean() < 0.002
        answer = studio.client.post(f"/api/sessions/{name}/export", json={"kind": "coco", "objects": [9]})
        assert "no object 9" in answer.json()["error"]


def test_every_frame_of_a_variable_rate(studio: Studio, tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 0.5, 0.9, 1.0]
    file = write_clip(tmp_path / "variable.mp4", pictures=[numbered(number) for number in range(6)], times=times)
    answer = studio.client.put("/api/upload", params={"name": "a.mp4", "every": True}, content=file.read_bytes())
    name = answer.json()["id"]
    with studio.page(name) as socket:
        page = Page(socket)
        page.ask("box", object=1, tick=3, box=[4, 4, 30, 30])
        page.ask("run")
        page.until("done", "run")
        page.until("state")
        assert studio.get(name)["times"] == pytest.approx(times, abs=1e-3)
        assert page.state["objects"][0]["masks"] == [[0, 5]]
        (tmp_path / "overlay.mp4").write_bytes(studio.export(page, name, "overlay"))
        (tmp_path / "matte.mp4").write_bytes(studio.export(page, name, "matte"))
        session = studio.export(page, name, "session")
    for kind in ("overlay", "matte"):
        assert [frame.time for frame in read_frames(tmp_path / f"{kind}.mp4")] == pytest.approx(times, abs=0.002)
    restored = studio.client.put("/api/restore", content=session).json()["id"]
    assert studio.get(restored)["times"] == studio.get(name)["times"]
