"""`auralsam2 segment`: all output files, and resuming after a kill."""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import av
import jsonschema
import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from auralsam2.media.audio_track import SoundTrack
from auralsam2.outputs import rle
from auralsam2.outputs.overlay import draw_overlay
from auralsam2.outputs.result_json import SCHEMA_FILE
from auralsam2.utils.atomic_io import claim
from helpers.media_files import click, number_of, numbered, tone, write_clip, write_media

ALL = "overlay,masks,json,coco,frames"
SCHEMA = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
SIZE = (64, 48)


@pytest.fixture
def clip(tmp_path):
    """Three seconds of H.264 and AAC; a click in the sound at 1.7 s."""
    return write_clip(tmp_path / "dog.mp4", 3.0, sound=click(3.0, 1.7, 44_100), rate=44_100)


def overlay_pictures(path):
    """(time, (H, W, 3) RGB) of each picture."""
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def test_every_file_of_the_contract(segment, clip, tmp_path):
    outcome = segment(clip, "--save", ALL, "--json")
    assert outcome.code == 0, outcome.err
    folder = tmp_path / "out" / "dog"
    assert {path.name for path in folder.iterdir()} == {"overlay.mp4", "masks", "frames", "coco.json", "result.json"}
    result = json.loads((folder / "result.json").read_text())
    assert result["schema"] == "auralsam2.result/2"
    assert result["input"] == {
        "path": str(clip),
        "size": [*SIZE],
        "duration": 3.0,
        "fps": 10.0,
        "time_base": "1/10240",
        "audio_rate": 44_100,
    }
    jsonschema.validate(result, SCHEMA)
    assert result["device"] == "cpu"
    assert result["dtype"] == "fp32"
    assert result["timing"].keys() == {"decode", "encoder", "fuser", "decoder", "memory", "write"}
    assert all(seconds > 0 for seconds in result["timing"].values())
    assert [frame["time"] for frame in result["frames"]] == [0.5, 1.5, 2.5]
    assert [frame["slot"] for frame in result["frames"]] == [[0, 1], [1, 2], [2, 3]]
    assert [frame["source_index"] for frame in result["frames"]] == [5, 15, 25]
    assert [frame["pts"] for frame in result["frames"]] == [5 * 1024, 15 * 1024, 25 * 1024]
    for index, frame in enumerate(result["frames"]):
        mask = np.array(Image.open(folder / "masks" / f"{index:06d}.png"))
        assert np.array_equal(rle.decode_rle(frame["rle"]), mask == 255)
        assert set(np.unique(mask)) <= {0, 255}
        assert frame["area"] == pytest.approx((mask == 255).mean(), abs=1e-6)
        assert 0.0 <= frame["iou"] <= 1.0
        assert number_of(np.array(Image.open(folder / "frames" / f"{index:06d}.jpg"))) == 5 + 10 * index
    coco = json.loads((folder / "coco.json").read_text())
    assert len(coco["images"]) == 3
    (line,) = outcome.lines
    assert line["input"] == str(clip)
    assert line["status"] == "done"
    assert line["frames"] == 3
    assert line["intervals"] == result["intervals"]


def test_overlay_is_synchronous(segment, clip, tmp_path):
    """Each picture at its time, tinted where its mask is, and the click where it was."""
    assert segment(clip, "--fps", "all").code == 0
    folder = tmp_path / "out" / "dog"
    result = json.loads((folder / "result.json").read_text())
    pictures = overlay_pictures(folder / "overlay.mp4")
    assert [when for when, _ in pictures] == pytest.approx([number / 10 for number in range(30)], abs=1e-3)
    masks = [rle.decode_rle(frame["rle"]) for frame in result["frames"]]
    for number, (_, picture) in enumerate(pictures):
        # Of all masks its own explains the picture best, up to what the codec loses.
        off = [np.abs(picture.astype(int) - draw_overlay(numbered(number), mask)).mean() for mask in masks]
        assert off[number] < 16
        assert off[number] <= min(off) + 0.5
    assert len({mask.tobytes() for mask in masks}) > 20
    with SoundTrack(folder / "overlay.mp4") as track:
        audible = np.abs(track.read(0.0, 3.0)).max(1)
    loud = np.flatnonzero(audible > 0.2) / 16_000
    assert loud[0] == pytest.approx(1.7, abs=0.01)
    assert loud[-1] == pytest.approx(1.75, abs=0.02)
    # The index comes before the media, so that a browser can begin to play.
    data = (folder / "overlay.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize(("end", "seconds"), [(None, 3.0), ("2.2", 2.2)])
def test_overlay_ends_with_the_video(segment, clip, tmp_path, end, seconds):
    """Not a whole second after it was taken, at half a second before the end."""
    assert segment(clip, *(("--end", end) if end else ())).code == 0
    with av.open(str(tmp_path / "out" / "dog" / "overlay.mp4")) as container:
        (last,) = [packet for packet in container.demux(video=0) if packet.pts is not None][-1:]
        assert float((last.pts + last.duration) * last.time_base) == pytest.approx(seconds, abs=0.01)


def test_prompts_are_in_the_result(segment, clip, tmp_path):
    label = np.zeros(SIZE[::-1], np.uint8)
    label[10:30, 20:40] = 255
    Image.fromarray(label).save(tmp_path / "mask.png")
    prompts = ["--point", "30,20", "--point", "5,5,-", "--box", "8,8,40,30@1.5", "--mask", f"{tmp_path}/mask.png@2.5"]
    assert segment(clip, *prompts).code == 0
    message = json.loads((tmp_path / "out" / "dog" / "result.json").read_text())["prompts"]
    assert [(point["x"], point["y"], point["positive"]) for point in message["points"]] == [
        (30, 20, True),
        (5, 5, False),
    ]
    assert message["boxes"] == [{"x0": 8, "y0": 8, "x1": 40, "y1": 30, "time": 1.5}]
    assert message["masks"] == [{"path": f"{tmp_path}/mask.png", "time": 2.5, "value": None}]
    assert message["audio"] == str(clip)


def test_start_and_end_cut_video_and_audio(segment, clip, tmp_path):
    assert segment(clip, "--fps", "all", "--start", "1", "--end", "2").code == 0
    folder = tmp_path / "out" / "dog"
    times = [when for when, _ in overlay_pictures(folder / "overlay.mp4")]
    assert times == pytest.approx([number / 10 for number in range(10)], abs=1e-3)
    with SoundTrack(folder / "overlay.mp4") as track:
        loud = np.flatnonzero(np.abs(track.read(0.0, 1.0)).max(1) > 0.2) / 16_000
    assert loud[0] == pytest.approx(0.7, abs=0.01)


def without_times(folder):
    """All files of a results folder, byte by byte, but the seconds that the stages took."""
    files = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for path in [path for path in files if path.name == "result.json"]:
        result = json.loads(files[path])
        assert result.pop("timing")
        files[path] = json.dumps(result).encode()
    return files


def test_killed_run_is_resumed(fork, small_model, tmp_path):
    """Killed in the second of three inputs: the first is skipped, the rest come out as if nothing had happened."""
    for number, name in enumerate(("a", "b", "c")):
        pictures = [numbered((n + 7 * number) % 100) for n in range(150 if name == "b" else 20)]
        write_media(tmp_path / f"{name}.mp4", pictures, sound=tone(len(pictures) / 10, frequency=300.0 * (number + 1)))
    command = ("-m", "auralsam2", "segment", "a.mp4", "b.mp4", "c.mp4", "--model", small_model, "--save", ALL)
    command += ("--fps", "5", "--json", "--threads", "1")
    out, err = fork(*command, "--out", "whole").communicate(timeout=120)
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["done"] * 3, err

    process = fork(*command)
    deadline = time.monotonic() + 60
    while not any((tmp_path / "out" / "b").glob(".*/masks/000005.png")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    assert not (tmp_path / "out" / "b" / "result.json").exists()
    first = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "a").rglob("*")}

    out, err = fork(*command, "--resume").communicate(timeout=120)
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["skipped", "done", "done"], err
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "a").rglob("*")} == first
    assert without_times(tmp_path / "out") == without_times(tmp_path / "whole")


@pytest.mark.parametrize(
    "change", ["option", "file gone", "other input", "same size", "weights", "mask", "sound", "no hash", "version"]
)
def test_resume_repeats_mismatched_results(segment, clip, small_model, tmp_path, monkeypatch, change):
    model, label = shutil.copytree(small_model, tmp_path / "model"), np.zeros(SIZE[::-1], np.uint8)
    mask, result = tmp_path / "mask.png", tmp_path / "out" / "dog" / "result.json"
    label[10:30, 20:40] = 255
    Image.fromarray(label).save(mask)
    sound = write_media(tmp_path / "sound.wav", sound=tone(3.0), audio_codec="pcm_s16le")
    options = ["--model", model, "--mask", mask, "--audio", sound, "--end", "1", "--save", "masks,json", "--json"]
    assert segment(clip, *options).code == 0
    options += ["--resume"]
    assert segment(clip, *options).lines[0]["status"] == "skipped"
    if change == "option":
        options += ["--fps", "2"]
    elif change == "file gone":
        (tmp_path / "out" / "dog" / "masks" / "000000.png").unlink()
    elif change == "other input":
        write_clip(clip, 2.0)
    elif change == "same size":
        data = clip.read_bytes()
        clip.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif change == "weights":
        weights = load_file(model / "model.safetensors")
        changed = {name: value + 0.01 if value.is_floating_point() else value for name, value in weights.items()}
        save_file(changed, model / "model.safetensors")
    elif change == "mask":
        Image.fromarray(255 - label).save(mask)
    elif change == "sound":
        write_media(sound, sound=tone(3.0, frequency=900.0), audio_codec="pcm_s16le")
    elif change == "no hash":
        result.write_text(re.sub(r'"request": "[0-9a-f]{64}", ', "", result.read_text()))
    else:
        monkeypatch.setattr("auralsam2.outputs.request.__version__", "0.0.0")
    assert [segment(clip, *options).lines[0]["status"] for _ in range(2)] == ["done", "skipped"]


def test_resume_removes_what_a_run_left_that_was_killed_after_its_results_appeared(segment, clip, tmp_path):
    assert segment(clip).code == 0
    folder = tmp_path / "out" / "dog"
    files = sorted(folder.rglob("*"))
    hidden = folder / ".auralsam2-0a1b2c3d.part"
    hidden.mkdir()
    (hidden / "rows.jsonl").write_text("{}\n")
    (folder / ".auralsam2.lock").touch()
    with ThreadPoolExecutor(1) as other:
        lock = claim(folder)
        assert other.submit(lock.__enter__).result(), "another run is writing there"
        assert segment(clip, "--resume", "--json").lines[0]["status"] == "skipped"
        assert hidden.exists()
        other.submit(lock.__exit__, None, None, None).result()
    (folder / ".auralsam2.lock").touch()
    manifest = tmp_path / "clips.csv"
    manifest.write_text(f"uri,id\n{clip},dog\n")
    assert "complete: " in segment("--manifest", manifest, "--dry-run").out
    assert hidden.exists()
    assert segment(clip, "--resume", "--json").lines[0]["status"] == "skipped"
    assert sorted(folder.rglob("*")) == files


def test_resume_without_pending_inputs_loads_no_model(segment, clip, small_model, tmp_path):
    """A model of another name and the same files counts as the same."""
    assert segment(clip).code == 0
    other = shutil.copytree(small_model, tmp_path / "other")
    outcome = segment(clip, "--model", other, "--resume", "--json")
    assert outcome.lines[0]["status"] == "skipped"
    assert "loading model" not in outcome.err


def test_silent_track_gives_a_warning(segment, tmp_path):
    path = write_clip(tmp_path / "quiet.mp4", sound=np.zeros((32_000, 2), np.int16))
    outcome = segment(path)
    assert outcome.code == 0
    assert f"auralsam2: warning: {path}: the sound track is silent" in outcome.err.splitlines()
    result = json.loads((tmp_path / "out" / "quiet" / "result.json").read_text())
    assert result["intervals"] == []
    assert not any(frame["sounding"] for frame in result["frames"])


def test_quiet_prints_nothing(segment, clip):
    outcome = segment(clip, "--quiet")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


def test_one_picture_each_ten_seconds(segment, tmp_path):
    """Screen recordings and slides: intervals and overlay follow the sound between two pictures.

    The audio of frame 7 begins at 6.72 s, as in training.
    """
    sound = np.concatenate([np.zeros((5 * 16_000, 2), np.int16), tone(2.0), np.zeros((6 * 16_000, 2), np.int16)])
    path = write_media(tmp_path / "slides.mp4", [numbered(3), numbered(60)], [0.0, 10.0], sound=sound)
    assert segment(path).code == 0
    folder = tmp_path / "out" / "slides"
    result = json.loads((folder / "result.json").read_text())
    rows = result["frames"]
    assert [row["index"] for row in rows if row["sounding"]] == [5, 6, 7]
    assert result["intervals"] == [[5, 8]]
    assert {(row["source_index"], row["time"]) for row in rows[:9]} == {(0, 0.0)}
    pictures = overlay_pictures(folder / "overlay.mp4")
    assert [when for when, _ in pictures] == pytest.approx(range(len(rows)), abs=1e-3)
    for (_, picture), row in zip(pictures, rows, strict=True):
        expected = draw_overlay(numbered(3 if row["index"] < 10 else 60), rle.decode_rle(row["rle"]))
        assert np.abs(picture.astype(int) - expected).mean() < 16


def test_precision_backend_and_size_are_those_of_the_result(segment, clip, tmp_path, monkeypatch):
    """The small model has 64 pixels."""
    monkeypatch.setenv("AURALSAM2_CACHE", str(tmp_path / "cache"))
    masks = []
    for arguments in ((), ("--image-size", 96), ("--image-size", 96, "--dtype", "bf16", "--backend", "openvino")):
        outcome = segment(clip, "--save", "json", "--end", 1, "--resume", *arguments)
        assert outcome.code == 0, outcome.err
        result = json.loads((tmp_path / "out" / "dog" / "result.json").read_text())
        masks.append(result["frames"])
        precision = "bf16" if "bf16" in arguments else "fp32"
        assert outcome.err.splitlines()[0].endswith(f" in {precision}")
        assert result["dtype"] == precision
        assert result["options"]["image_size"] == (96 if arguments else None)
        assert result["options"]["backend"] == ("openvino" if "openvino" in arguments else "torch")
    assert masks[0] != masks[1]
    outcome = segment(clip, "--image-size", 97)
    assert outcome.error == "--image-size 97: give a multiple of 32 from 32 to 4096"
