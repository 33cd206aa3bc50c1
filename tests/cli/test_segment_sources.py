"""`auralsam2 segment` on folders, pictures, standard input and addresses, and `AuralSAM2.segment` on arrays."""

from __future__ import annotations

import functools
import http.server
import json
import threading

import fsspec
import numpy as np
import pytest
from PIL import Image

import auralsam2
from auralsam2.cli.segment_inputs import list_inputs
from auralsam2.errors import UsageError
from auralsam2.outputs.cutouts import AlphaOptions
from auralsam2.outputs.export import ExportOptions, export_result
from auralsam2.outputs.mask_table import read_mask_table
from auralsam2.outputs.postprocessing import PostProcessing
from helpers.media_files import numbered, tone, write_clip, write_media


def names(arguments, **options):
    return [one.name for one in list_inputs(map(str, arguments), **options).inputs]


def touch(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"x")
    return folder


def test_folders_are_searched_and_results_named(tmp_path):
    odd = ("x.mxf", "x.vob", "b.asf", "x.dv", "c.3g2")
    folder = touch(tmp_path, "IMG_1.mkv", "IMG_1.mp4", "a/other.mp4", "a/IMG_1.mkv", "notes.txt", ".hidden.mp4", *odd)
    found = list_inputs([str(folder)])
    assert [one.text for one in found.inputs] == sorted(one.text for one in found.inputs)
    expected = ["IMG_1.mkv", "IMG_1.mp4", "IMG_1.mkv-2", "other", "b", "c", "x.dv", "x.mxf", "x.vob"]
    assert sorted(names([folder])) == sorted(expected)
    assert found.notes == (f"{folder}: passed over notes.txt: not the ending of a video",)
    assert "other" not in names([folder], recursive=False)
    assert names([folder / "IMG_1.mkv", folder / "IMG_1.mkv"]) == ["IMG_1"]
    assert names(["-", "https://host/clips/dog.mp4?key=1", "s3://bucket/dog.ts"]) == ["stdin", "dog.mp4", "dog.ts"]


def test_one_unusable_file_does_not_refuse_the_folder(segment, tmp_path):
    folder = tmp_path / "clips"
    touch(folder, "broken.mp4")
    for name in ("dog.mkv", "dog.mp4", "deep/cat.mp4"):
        (folder / name).parent.mkdir(exist_ok=True)
        write_clip(folder / name, 1.0)
    outcome = segment(folder, "--json", "--save", "json")
    assert outcome.code == 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"dog.mkv", "dog.mp4", "cat"}
    assert len(outcome.errors) == 1
    assert "broken.mp4" in outcome.error


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(8):
        Image.fromarray(numbered(10 * number)).save(folder / f"{number:05d}.png")
    return folder


def result_of(folder):
    result = json.loads((folder / "result.json").read_text())
    return result["input"]["path"], [(row["time"], row["rle"]) for row in result["frames"]]


def test_folder_of_pictures_with_rate_and_audio(segment, pictures, tmp_path):
    sound = write_media(tmp_path / "sound.wav", sound=tone(2.0), audio_codec="pcm_s16le")
    assert segment(pictures).error == f"{pictures}: a folder of pictures: give --rate, pictures per second"
    outcome = segment(pictures, "--rate", "4", "--audio", sound, "--save", "json,masks")
    assert outcome.code == 0, outcome.err
    path, rows = result_of(tmp_path / "out" / "frames")
    assert path == str(pictures)
    assert [time for time, _ in rows] == pytest.approx([0.5, 1.5], abs=1e-3)
    assert segment(pictures, "--rate", "4", "--audio", sound, "--save", "json,masks", "--resume").code == 0
    assert (
        "complete, skipped"
        in segment(pictures, "--rate", "4", "--audio", sound, "--save", "json,masks", "--resume").err
    )


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """A file server that prints nothing."""

    def log_message(self, *_: object) -> None:
        pass


PIPED = """
import os, subprocess, sys
from auralsam2.cli.main import run
source = subprocess.Popen(["cat", sys.argv[1]], stdout=subprocess.PIPE)
os.dup2(source.stdout.fileno(), 0)
sys.exit(run(sys.argv[2:]))
"""


def test_standard_input_and_address_equal_the_file(segment, small_model, tmp_path, fork):
    (tmp_path / "web").mkdir()
    clip = write_clip(tmp_path / "web" / "dog.ts", 2.0)
    assert segment(clip, "--save", "json").code == 0
    _, expected = result_of(tmp_path / "out" / "dog")
    arguments = ("segment", "-", "--model", small_model, "--save", "json", "--out", "piped")
    process = fork("-c", PIPED, clip, *arguments)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert result_of(tmp_path / "piped" / "stdin") == ("-", expected)
    handler = functools.partial(QuietHandler, directory=tmp_path / "web")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/dog.ts"
        assert segment(address, "--save", "json", "--out", tmp_path / "web-out").code == 0
        assert "cannot be opened (404" in segment(address.replace("dog", "cat")).error
        server.shutdown()
    assert result_of(tmp_path / "web-out" / "dog") == (address, expected)


def test_object_stores_and_exports_of_sources_that_are_no_files(segment, command, tmp_path):
    clip = write_clip(tmp_path / "dog.ts", 2.0)
    fsspec.filesystem("memory").pipe("/clips/dog.ts", clip.read_bytes())
    outcome = segment("memory://clips/dog.ts", "--save", "json,coco", "--feather", "3")
    assert outcome.code == 0, outcome.err
    out = tmp_path / "out" / "dog"
    assert result_of(out)[0] == "memory://clips/dog.ts"
    assert json.loads((out / "coco.json").read_text())["videos"][0]["name"] == "dog.ts"
    assert command("export", out, "--to", "ytvis,intervals").code == 0
    assert "FROM CLIP NAME: dog.ts" in (out / "intervals" / "intervals.edl").read_text()
    refused = command("export", out, "--to", "cutout-png").error
    assert refused == f"memory://clips/dog.ts: the video of {out} is no file: name it with --video"
    assert command("export", out, "--to", "cutout-png,cutout-webm", "--video", clip).code == 0
    assert len(list((out / "cutout-png").glob("*.png"))) == 20
    table = read_mask_table(out, clip)
    assert (table.sound, table.feather) == (clip, 3.0)

    def matte(name, **options):
        return export_result(out, "matte", video=clip, out=tmp_path / name, **options)[0].read_bytes()

    softened = [matte(f"soft-{feather}", postprocessing=PostProcessing(feather=feather)) for feather in (3.0, 9.0)]
    assert matte("default") == softened[0] != softened[1]
    hard = ("--to", "matte", "--video", clip, "--out", tmp_path / "hard", "--feather", "0")
    assert command("export", out, *hard).code == 0
    edge = matte("none", options=ExportOptions(alpha=AlphaOptions(feather=0)))
    assert (tmp_path / "hard" / "matte.mp4").read_bytes() == edge
    assert edge not in softened
    assert "cannot be opened" in segment("memory://clips/cat.ts").error


def test_arrays_with_times_and_sound(small_model):
    model = auralsam2.load(small_model)
    frames = np.stack([numbered(10 * number) for number in range(8)])
    sound = (tone(2.0) / 32_768).astype(np.float32)
    result = model.segment(frames, times=np.arange(8) / 4, sound=sound, sound_rate=16_000)
    copy = result.source.info.path
    assert [(one.time, one.source_index) for one in result] == [(0.5, 2), (1.5, 6)]
    assert result.source.info.name == "frames"
    del result
    assert not copy.exists()
    with model.open(iter(frames), rate=4, audio="none") as session:
        assert session.add_points([(30, 20)], [1], 0.5).source_index == 2
    with pytest.raises(UsageError, match="either `rate`"):
        model.segment(frames)
