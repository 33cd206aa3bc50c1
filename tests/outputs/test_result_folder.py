from __future__ import annotations

import json
import logging
import os
import signal
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from auralsam2.errors import OutputError, UsageError
from auralsam2.outputs import rle
from auralsam2.outputs.formats import FORMATS, OUTPUT_FILES
from auralsam2.outputs.result_folder import ResultFolder, is_complete
from auralsam2.types import MediaInfo, Segmentation
from helpers.media_files import tone, write_media

Make = Callable[..., Segmentation]
Run = Callable[..., Path]

ALL = frozenset({"overlay", "masks", "frames", "coco", "json"})
PICTURES = {name for name, entry in FORMATS.items() if entry.pictures} - {"overlay", "frames"}
QUICK = frozenset({"masks", "json", "coco"})
full_device = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def hidden(folder: Path) -> Path:
    (path,) = folder.glob(".auralsam2-*.part")
    return path


@pytest.fixture
def run(tmp_path: Path, info: MediaInfo, header: dict[str, Any], segmentation: Make) -> Run:
    """Writes frames into `tmp_path/dog`."""

    def write(frames: int = 3, save: frozenset[str] = QUICK, radius: float = 10.0, **options: Any) -> Path:
        head = header | {"options": {"request": f"hash {radius}"}}
        with ResultFolder(tmp_path / "dog", info, save, head, **options) as folder:
            for index in range(frames):
                folder.write(segmentation(index, radius=radius))
            folder.close(timing={"decode": 0.5}, warnings=["a note"])
        return tmp_path / "dog"

    return write


def test_all_kinds_are_written(run: Run, tmp_path: Path, segmentation: Make) -> None:
    sound = write_media(tmp_path / "sound.mp4", [segmentation(0).image] * 5, sound=tone(0.5))
    folder = run(5, ALL, audio_from=sound)
    assert visible(folder) == {"overlay.mp4", "masks", "frames", "coco.json", "result.json"}

    result = json.loads((folder / "result.json").read_text())
    assert [frame["index"] for frame in result["frames"]] == [0, 1, 2, 3, 4]
    assert result["intervals"] == [[0.0, 0.5]]
    assert result["timing"] == {"decode": 0.5}
    assert result["warnings"] == ["a note"]

    for index in range(5):
        frame = segmentation(index)
        mask = Image.open(folder / "masks" / f"{index:06d}.png")
        assert mask.mode == "L"
        np.testing.assert_array_equal(np.asarray(mask), frame.mask * 255)
        np.testing.assert_array_equal(rle.decode_rle(result["frames"][index]["rle"]), frame.mask)
        picture = Image.open(folder / "frames" / f"{index:06d}.jpg")
        assert picture.size == (64, 48)
    assert len(visible(folder / "masks")) == len(visible(folder / "frames")) == 5

    images = [image["file_name"] for image in json.loads((folder / "coco.json").read_text())["images"]]
    assert all((folder / name).exists() for name in images)

    with av.open(str(folder / "overlay.mp4")) as video:
        assert len(video.streams.audio) == 1
        pictures = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in video.decode(video=0)]
    assert [time for time, _ in pictures] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=1e-4)
    inside, outside = pictures[0][1][20:28, 16:24], pictures[0][1][:10, 40:]
    assert inside[..., 0].mean() - inside[..., 1].mean() > 40  # pink on noise
    assert abs(outside[..., 0].mean() - outside[..., 1].mean()) < 20


@pytest.mark.parametrize("kind", sorted(OUTPUT_FILES.keys() - PICTURES))
def test_each_kind_can_be_saved_alone(run: Run, kind: str) -> None:
    assert visible(run(2, frozenset({kind}))) == {OUTPUT_FILES[kind]}


def test_normal_exit_closes_the_folder(tmp_path: Path, info: MediaInfo, header: dict, segmentation: Make) -> None:
    with ResultFolder(tmp_path / "dog", info, QUICK, header) as folder:
        folder.write(segmentation(0))
        assert all(name.startswith(".") for name in visible(tmp_path / "dog"))
    assert visible(tmp_path / "dog") == {"masks", "coco.json", "result.json"}
    assert json.loads((tmp_path / "dog" / "result.json").read_text())["timing"] == {}


def test_two_runs_differ_in_timing_alone(run: Run) -> None:
    def texts() -> dict[str, bytes]:
        folder = run(3, QUICK | {"frames"})
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert texts() == texts()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_exception_leaves_no_files(
    tmp_path: Path, info: MediaInfo, header: dict, segmentation: Make, error: type[BaseException]
) -> None:
    def interrupted() -> None:
        with ResultFolder(tmp_path / "dog", info, ALL, header) as folder:
            folder.write(segmentation(0))
            raise error

    with pytest.raises(error):
        interrupted()
    assert visible(tmp_path) == set()


def test_exception_keeps_the_earlier_result(run: Run, info: MediaInfo, header: dict, segmentation: Make) -> None:
    path = run(3)
    before = (path / "result.json").read_bytes()

    def interrupted() -> None:
        with ResultFolder(path, info, QUICK, header) as folder:
            folder.write(segmentation(0))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert visible(path) == {"masks", "coco.json", "result.json"}
    assert len(visible(path / "masks")) == 3
    assert (path / "result.json").read_bytes() == before


def test_new_result_replaces_the_earlier_one(run: Run) -> None:
    run(5)
    path = run(2)
    assert visible(path / "masks") == {"000000.png", "000001.png"}
    assert len(json.loads((path / "result.json").read_text())["frames"]) == 2


def test_replacing_masks_removes_the_earlier_result_json(run: Run) -> None:
    run(5)
    assert visible(run(2, frozenset({"masks"}))) == {"masks", "coco.json"}


def test_additional_kind_keeps_earlier_files(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run(2)
    with caplog.at_level(logging.WARNING):
        path = run(2, frozenset({"frames"}))
    assert visible(path) == {"masks", "coco.json", "result.json", "frames"}
    assert "coco.json, masks, result.json from an earlier run" in caplog.text


KILLED = """
import time
from pathlib import Path
import numpy as np
from auralsam2.outputs.result_folder import ResultFolder
from auralsam2.types import MediaInfo, Segmentation
info = MediaInfo(path=Path("dog.mp4"), width=64, height=48, fps=10, duration=1, audio_rate=None, audio_channels=0)
header = dict(model="mini", prompts={}, options={}, device="cpu", dtype="fp32")
with ResultFolder(Path("dog"), info, frozenset({"overlay", "masks", "frames", "coco", "json"}), header) as folder:
    for index in range(3):
        mask = np.ones((48, 64), bool)
        image = np.zeros((48, 64, 3), np.uint8)
        slot = (index / 10, (index + 1) / 10)
        folder.write(Segmentation(index=index, time=index / 10, slot=slot, mask=mask, logits=mask.astype("f4"), iou=1.0,
                                  object_score=1.0, sounding=True, image=image))
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(os.name != "posix", reason="no SIGKILL")
@pytest.mark.parametrize("earlier", [False, True])
def test_next_run_removes_hidden_files_of_a_killed_run(run: Run, tmp_path: Path, fork: Callable, earlier: bool) -> None:
    folder = tmp_path / "dog"
    if earlier:
        run(2)
    before = visible(folder)
    process = fork("-c", KILLED)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    remaining = visible(folder) - before
    assert remaining
    assert all(name.startswith(".") for name in remaining)
    assert len(list(hidden(folder).glob("masks/*.png"))) == 3
    assert visible(run(4)) == {"masks", "coco.json", "result.json"}
    assert len(visible(folder / "masks")) == 4


@full_device
@pytest.mark.parametrize(("planted", "named"), [("masks/000001.png", "masks/000001.png"), ("result.json", "dog")])
def test_full_disk_leaves_no_files(
    tmp_path: Path, info: MediaInfo, header: dict, segmentation: Make, planted: str, named: str
) -> None:
    def filled() -> None:
        with ResultFolder(tmp_path / "dog", info, QUICK, header) as folder:
            (hidden(tmp_path / "dog") / planted).symlink_to("/dev/full")
            for index in range(3):
                folder.write(segmentation(index))

    with pytest.raises(OutputError, match=rf"{named}: cannot be written \(No space .*free some space"):
        filled()
    assert visible(tmp_path) == set()


def test_errors_of_the_overlay_name_the_visible_file(tmp_path: Path, info: MediaInfo, header: dict) -> None:
    with (
        pytest.raises(OutputError, match=r"dog/overlay\.mp4: no picture") as caught,
        ResultFolder(tmp_path / "dog", info, ALL, header),
    ):
        pass
    assert ".part" not in str(caught.value)
    assert visible(tmp_path) == set()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("masks/notes.txt", "holds notes.txt"),
        ("masks/1.png", "holds 1.png"),
        ("frames/000000.png", "holds 000000.png"),
        ("overlay.mp4/x", "overlay.mp4: is in the way"),
        ("result.json/x", "result.json: is in the way"),
        ("masks", "masks: is in the way"),
    ],
)
def test_foreign_files_are_never_replaced(run: Run, tmp_path: Path, path: str, message: str) -> None:
    file = tmp_path / "dog" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("precious")
    with pytest.raises(OutputError, match=message):
        run(1, ALL)
    assert file.read_text() == "precious"
    assert list((tmp_path / "dog").glob(".*")) == []


def test_files_of_the_desktop_are_ignored(run: Run) -> None:
    (run(1) / "masks" / ".DS_Store").write_text("")
    assert visible(run(2) / "masks") == {"000000.png", "000001.png"}


def test_bad_arguments(tmp_path: Path, info: MediaInfo, header: dict, segmentation: Make) -> None:
    with pytest.raises(UsageError, match="cannot save gif, mask: choose from overlay, masks"):
        ResultFolder(tmp_path, info, frozenset({"mask", "gif", "json"}), header)
    with pytest.raises(UsageError, match="nothing to save"):
        ResultFolder(tmp_path, info, frozenset(), header)
    with pytest.raises(KeyError, match="device"):
        ResultFolder(tmp_path, info, QUICK, {key: header[key] for key in header if key != "device"})
    with (
        pytest.raises(ValueError, match="got frame 1, expected frame 0"),
        ResultFolder(tmp_path, info, QUICK, header) as folder,
    ):
        folder.write(segmentation(1))
    assert visible(tmp_path) == set()


def test_memory_does_not_grow_with_length(tmp_path: Path, info: MediaInfo, header: dict, segmentation: Make) -> None:
    frame = segmentation(0)
    masks = np.random.default_rng(0).random((8, 32, 32)) < 0.5

    def peak(frames: int) -> tuple[int, int]:
        path = tmp_path / str(frames)
        with ResultFolder(path, info, frozenset({"json", "coco"}), header) as folder:
            tracemalloc.start()
            for index in range(frames):
                # Every other frame is silent, so that there are as many intervals as can be.
                result = {"index": index, "time": index / 10, "mask": masks[index % 8], "sounding": index % 2 == 0}
                result["slot"] = (index / 10, (index + 1) / 10)
                rest = {name: getattr(frame, name) for name in ("logits", "iou", "object_score", "image")}
                folder.write(Segmentation(**result, **rest))
            folder.close()
            _, limit = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        is_complete(path, "hash", header["options"]["save"])
        return limit, (path / "result.json").stat().st_size

    peak(10)  # imports and caches
    short, _ = peak(100)
    long, size = peak(2000)
    assert size > 1_000_000
    assert long < short + 50_000


@pytest.mark.parametrize("save", [QUICK, ALL])
def test_result_is_complete_for_its_request(run: Run, save: frozenset[str]) -> None:
    folder = run(3, save)
    assert is_complete(folder, "hash 10.0", save)
    assert not is_complete(folder, "hash 11.0", save)
    assert not is_complete(folder, "hash 10.0", save - {"json"})


def test_result_appears_whole_or_not_at_all(run: Run, tmp_path: Path) -> None:
    """While another run replaces it again and again."""
    path = tmp_path / "dog" / "result.json"
    over, observed = threading.Event(), []

    def read() -> None:
        while not over.is_set():
            try:
                observed.append(len(json.loads(path.read_text())["frames"]))
            except FileNotFoundError:
                observed.append(None)
            except ValueError as error:
                observed.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(30):
        run(3)
    over.set()
    reader.join()
    assert 3 in observed
    assert set(observed) <= {3, None}


@pytest.mark.parametrize("lost", ["masks/000001.png", "frames/000002.jpg", "coco.json", "overlay.mp4", "result.json"])
def test_result_with_a_missing_file_is_not_complete(run: Run, lost: str) -> None:
    folder = run(3, ALL)
    (folder / lost).unlink()
    assert not is_complete(folder, "hash 10.0", ALL)


@pytest.mark.parametrize("change", ["cut", "schema", "binary", "deep", "name", "digits", "no request", "no options"])
def test_damaged_result_is_not_complete(run: Run, change: str) -> None:
    folder = run(3)
    path = folder / "result.json"
    text = path.read_text()
    assert is_complete(folder, "hash 10.0", QUICK)
    if change == "cut":
        path.write_text(text[: len(text) // 2])
    elif change == "schema":
        path.write_text(text.replace("auralsam2.result/2", "auralsam2.result/3"))
    elif change == "binary":
        path.write_bytes(b"{\n\xff\xfe\x00")
    elif change == "no request":
        path.write_text(text.replace('{"request": "hash 10.0"}', "{}"))
    elif change == "no options":
        path.write_text(text.replace('{"request": "hash 10.0"}', "null"))
    else:
        line = {"deep": '"x": ' + "[" * 100_000, "name": "[1]: [", "digits": '"x": 1' + "0" * 5000}[change]
        path.write_text(text.replace("{\n", f"{{\n{line}\n", 1))
    assert not is_complete(folder, "hash 10.0", QUICK)


def test_missing_folder_is_not_complete(tmp_path: Path) -> None:
    assert not is_complete(tmp_path / "missing", "hash 10.0", ["json"])
