"""Cut-outs, mattes and overlays at the rate of the source, decoded by the command `ffmpeg`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from auralsam2.errors import InputError, OutputError, UsageError
from auralsam2.media.probe import probe
from auralsam2.outputs.cutouts import AlphaOptions
from auralsam2.outputs.export import ExportOptions, export_result
from auralsam2.outputs.result_folder import ResultFolder
from auralsam2.types import Segmentation
from helpers.ffmpeg_frames import ffmpeg_frames
from helpers.media_files import corners, tone, write_media

WIDTH, HEIGHT, RATE = 96, 66, 2.0
SOURCE_RATE = Fraction(24_000, 1001)
HEADER = {"model": "mini", "prompts": {"audio": None}, "device": "cpu", "dtype": "fp32"}


def disc(index: int) -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return (x - 20 - 15 * index) ** 2 + (y - 33) ** 2 < 15**2


def held(time: float, start: float = 0.0) -> np.ndarray:
    """The mask of the half second that a time is in."""
    return disc(min(int((time - start + 1e-6) * RATE), 1))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pictures = [corners(WIDTH, HEIGHT)] * 24
    path = tmp_path_factory.mktemp("source") / "dog.mp4"
    return write_media(path, pictures, fps=SOURCE_RATE, sound=tone(1.0, 48_000), rate=48_000)


def write_result(
    folder: Path, video: Path, *, save: frozenset[str] = frozenset({"json"}), start: float = 0.0, **options: object
) -> Path:
    """Write disc 0, 1, … as the masks of the half seconds of a video."""
    header = HEADER | {"options": {"fps": RATE, "start": start, "end": None, "audio_track": None}}
    info = probe(video)
    sound = video if info.audio_rate else None
    with ResultFolder(folder, info, save, header, audio_from=sound, fps=RATE, start=start, **options) as writer:
        for index in range(int((1 - start) * RATE)):
            mask = disc(index)
            writer.write(
                Segmentation(
                    index=index,
                    time=start + (index + 0.4) / RATE,
                    slot=(start + index / RATE, start + (index + 1) / RATE),
                    mask=mask,
                    logits=mask.astype(np.float32),
                    iou=0.9,
                    object_score=1.0,
                    sounding=True,
                    image=corners(WIDTH, HEIGHT),
                )
            )
    return folder


@pytest.fixture(scope="module")
def result(video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_result(tmp_path_factory.mktemp("out") / "dog", video)


def grey(path: Path, filters: str, *decoder: str) -> np.ndarray:
    """One plane of a video, (N, H, W) uint8, at its own size."""
    command = ["ffmpeg", "-nostdin", "-v", "error", *decoder, "-i", str(path)]
    command += ["-vf", f"{filters},format=gray", "-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1"]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(data, np.uint8).reshape(-1, HEIGHT, WIDTH)


def times_of(path: Path) -> list[float]:
    command = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time", "-of", "csv=p=0"]
    text = subprocess.run([*command, str(path)], capture_output=True, check=True, text=True).stdout
    return sorted(float(line.strip(",")) for line in text.split())


def streams(path: Path) -> list[dict]:
    command = ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(path)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["streams"]


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


FILES = {
    "cutout-prores": ("cutout.mov", "alphaextract", (), 0.999),
    "cutout-webm": ("cutout.webm", "alphaextract", ("-c:v", "libvpx-vp9"), 0.99),
    "matte": ("matte.mp4", "null", (), 0.99),
    "matte-prores": ("matte.mov", "null", (), 0.99),
}


@pytest.mark.parametrize("name", FILES)
def test_alpha_count_times_and_audio(name: str, result: Path, video: Path, tmp_path: Path) -> None:
    file, filters, decoder, least = FILES[name]
    (path,) = export_result(str(result), name, out=str(tmp_path))
    assert path == tmp_path / file
    times = times_of(video)
    assert times_of(path) == pytest.approx(times, abs=1e-3 if file.endswith("webm") else 1e-6)
    masks = grey(path, filters, *decoder) > 127
    assert len(masks) == len(times) == 24
    for mask, time in zip(masks, times, strict=True):
        assert iou(mask, held(time)) >= least
    picture, audio = streams(path)
    assert picture["avg_frame_rate"] == "24000/1001" or file.endswith("webm")
    assert audio["codec_name"] == ("opus" if file.endswith("webm") else "aac")
    assert probe(path).duration == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(("name", "decoder"), [("cutout-prores", ()), ("cutout-webm", ("-c:v", "libvpx-vp9"))])
def test_colours_are_those_of_the_source(name: str, decoder: tuple[str, ...], result: Path, tmp_path: Path) -> None:
    (path,) = export_result(str(result), name, out=str(tmp_path))
    command = ["ffmpeg", "-nostdin", "-v", "error", *decoder, "-i", str(path), "-frames:v", "1"]
    data = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"], capture_output=True, check=True)
    image = np.frombuffer(data.stdout, np.uint8).reshape(HEIGHT, WIDTH, 3).astype(int)
    inside = disc(0)
    assert np.abs(image - corners(WIDTH, HEIGHT))[inside].mean() < 12
    assert image[:, 70:].max() < 24, "no background"


def test_png_sequence_is_lossless(result: Path, video: Path, tmp_path: Path) -> None:
    (folder,) = export_result(result, {"cutout-png"}, out=tmp_path)
    header, *lines = (folder / "timestamps.txt").read_text().splitlines()
    assert header == "# timestamp format v2"
    times, pictures = ffmpeg_frames(video)
    assert [float(line) / 1000 for line in lines] == pytest.approx(times, abs=1e-3)
    files = sorted(folder.glob("*.png"))
    assert [file.name for file in files] == [f"{index:06d}.png" for index in range(24)]
    for file, time, picture in zip(files, times, pictures, strict=True):
        image = np.asarray(Image.open(file))
        assert np.array_equal(image[..., 3], held(time) * 255)
        inside = held(time)
        assert np.abs(image[inside][:, :3].astype(int) - picture[inside]).max() <= 4


def test_inverted_and_feathered(result: Path, tmp_path: Path) -> None:
    options = ExportOptions(alpha=AlphaOptions(invert=True, feather=3.0))
    (folder,) = export_result(result, {"cutout-png"}, out=tmp_path, options=options)
    alpha = np.asarray(Image.open(folder / "000000.png"))[..., 3]
    assert iou(alpha > 127, ~disc(0)) > 0.98
    assert len(np.unique(alpha)) > 20, "the edge is soft"
    with pytest.raises(UsageError, match="feather=-1"):
        AlphaOptions(feather=-1)


def test_part_of_a_video(video: Path, tmp_path: Path) -> None:
    folder = write_result(tmp_path / "dog", video, start=0.5)
    (path,) = export_result(folder, {"matte"})
    masks = grey(path, "null") > 127
    times = times_of(path)
    assert times == pytest.approx([time - 0.5 for time in times_of(video) if time >= 0.5], abs=1e-4)
    assert all(iou(mask, held(time)) > 0.99 for mask, time in zip(masks, times, strict=True))


def test_overlay_at_the_rate_of_the_source(video: Path, tmp_path: Path) -> None:
    save = frozenset({"overlay", "json"})
    folder = write_result(tmp_path / "dog", video, save=save, overlay_rate="source")
    times, pictures = ffmpeg_frames(folder / "overlay.mp4")
    source, originals = ffmpeg_frames(video)
    assert times == pytest.approx(source, abs=1e-4)
    for time, picture, original in zip(times, pictures, originals, strict=True):
        changed = np.abs(picture.astype(int) - original).max(axis=2) > 40
        assert max(range(2), key=lambda index: iou(changed, disc(index))) == min(int(time * RATE), 1)
    (exported,) = export_result(folder, {"overlay"}, out=tmp_path)
    assert np.array_equal(ffmpeg_frames(exported)[1], pictures)
    with pytest.raises(UsageError, match="overlay_rate=half"):
        write_result(tmp_path / "cat", video, overlay_rate="half")


def test_same_files_from_a_run_and_from_its_result(video: Path, tmp_path: Path) -> None:
    names = frozenset({"matte", "masks", "frames", "coco"})
    folder = write_result(tmp_path / "dog", video, save=names | {"json"})
    paths = export_result(folder, names, out=tmp_path / "again")
    assert [path.name for path in paths] == ["masks", "frames", "matte.mp4", "coco.json"]
    assert np.array_equal(grey(paths[2], "null"), grey(folder / "matte.mp4", "null"))
    assert (folder / "coco.json").read_bytes() == paths[3].read_bytes()
    for name in ("masks/000001.png",):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert len(list((tmp_path / "again" / "frames").iterdir())) == 2


def test_exports_that_cannot_be_written(video: Path, result: Path, tmp_path: Path) -> None:
    moved = write_result(tmp_path / "moved" / "dog", write_copy(video, tmp_path / "gone.mp4"))
    (tmp_path / "gone.mp4").unlink()
    with pytest.raises(InputError, match=r"gone\.mp4: the video of .* is missing: name it with `video`"):
        export_result(moved, {"matte"})
    assert export_result(moved, {"matte"}, video=video)[0].is_file()
    with pytest.raises(UsageError, match="cannot export gif"):
        export_result(moved, {"gif"})
    with pytest.raises(UsageError, match=r"no object 3: choose `object` from 0 \(sounding object\)"):
        export_result(moved, {"coco"}, objects=[3])
    with pytest.raises(InputError, match=r"result\.json: cannot be read"):
        export_result(tmp_path, {"coco"})
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "holiday.png").touch()
    with pytest.raises(OutputError, match=r"holds holiday\.png"):
        export_result(result, {"coco", "masks"}, out=tmp_path)
    assert not (tmp_path / "coco.json").exists()
    assert not list(tmp_path.glob(".auralsam2*"))


def write_copy(video: Path, path: Path) -> Path:
    path.write_bytes(video.read_bytes())
    return path


def test_command(result: Path, tmp_path: Path, fork: Callable) -> None:
    process = fork("-m", "auralsam2", "export", result, "--to", "cutout-png,coco", "--out", tmp_path / "to", "--invert")
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert out.splitlines() == [str(tmp_path / "to" / "cutout-png"), str(tmp_path / "to" / "coco.json")]
    alpha = np.asarray(Image.open(tmp_path / "to" / "cutout-png" / "000000.png"))[..., 3]
    assert np.array_equal(alpha == 0, disc(0))
    process = fork("-m", "auralsam2", "export", result, "--to", "gif")
    assert "--to gif: choose from overlay,masks" in process.communicate()[1]
    assert process.returncode == 2
