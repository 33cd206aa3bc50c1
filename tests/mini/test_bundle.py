"""Bundled model: complete, float16, and independent of its folder."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from auralsam2.config import AudioEncoderConfig, FuserConfig, ModelConfig
from auralsam2.errors import ConfigError, OutputError, UnavailableError, UsageError
from auralsam2.hub import download
from auralsam2.model import AuralSAM2
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.object_namer import ObjectNamer
from auralsam2.modeling.sam2 import load_sam2
from auralsam2.modeling.text_encoder import TextEncoder
from helpers.media_files import numbered, tone, write_media
from helpers.small_networks import small_sam2
from helpers.small_text import save_small_text
from projects.mini import bundle as bundling
from projects.mini.bundle import bundle
from projects.mini.sam2_model import mini_sam2

SIZE = 64


def write_run(root, modality="audio", sam2=None):
    """Write a run as `auralsam2 train` does: the best model names its frozen parts by path."""
    sam2 = sam2 or small_sam2(96, width=128)  # the model has another image size than its SAM 2
    text = root / "parts" / "text" if modality == "audio+text" else None
    config = ModelConfig(
        sam2=str(root / "parts" / "sam2"),
        text=str(text) if text else None,
        image_size=SIZE,
        audio_encoder=AudioEncoderConfig(channels=(8, 8, 8, 8), hidden=16, embedding=64),
        fuser=FuserConfig(
            modality=modality, width=128, inner_width=64, visual_depths=(1, 1, 1), token_depth=1, text_width=32
        ),
    )
    torch.manual_seed(3)
    encoder = TextEncoder(save_small_text(text)) if text else None
    sam2.save_pretrained(root / "parts" / "sam2")
    network = AuralNetwork(config, load_sam2(root / "parts" / "sam2", SIZE), encoder)
    AuralSAM2(network, "run").save_pretrained(root / "run" / "best")
    (root / "run" / "recipe.yaml").write_text("")
    return network


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    write_run(root)
    return root


@pytest.fixture
def clip(tmp_path):
    return write_media(tmp_path / "clip.mp4", [numbered(n) for n in range(20)], sound=tone(2))


def test_bundled_model_is_used_by_name(tmp_path, clip, monkeypatch, capsys, command):
    network = write_run(tmp_path, sam2=mini_sam2(None, 96))
    out = tmp_path / "bundled" / "mini"
    arguments = [
        "--run",
        tmp_path / "run",
        "--sam2",
        tmp_path / "parts" / "sam2",
        "--out",
        out,
        "--object-score-offset",
        0.25,
    ]
    assert bundling.main([str(value) for value in arguments]) == 0
    sizes = json.loads(capsys.readouterr().out)
    assert ModelConfig.load(out).extensions.object_score_offset == 0.25
    assert sizes["total"] == sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    weights = sum(value.numel() for value in (network.trained_state() | network.sam2.state_dict()).values())
    assert 2 * weights < sizes["total"] < 2.1 * weights

    # The folder alone is needed, at any path.
    for name in ("run", "parts"):
        shutil.rmtree(tmp_path / name)
    moved = (tmp_path / "bundled").rename(tmp_path / "elsewhere")
    monkeypatch.setattr(download, "BUNDLED", moved)
    assert command("segment", clip, "--model", "mini", "--out", tmp_path / "out").code == 0
    assert len(list((tmp_path / "out" / "clip" / "masks").iterdir())) == 2
    entry = json.loads(command("models", "--json").out)[0]
    assert entry["cached"] is True
    assert entry["size_mb"] == round((moved / "mini" / "model.safetensors").stat().st_size / 1e6, 1)


def test_weights_are_float16_on_disk_and_float32_in_use(run, tmp_path):
    bundle(run / "run", run / "parts" / "sam2", tmp_path / "mini")
    best = load_file(run / "run" / "best" / "model.safetensors")
    for part, expected in (("", best), ("sam2", small_sam2(96, width=128).state_dict())):
        stored = load_file(tmp_path / "mini" / part / "model.safetensors")
        assert stored.keys() == expected.keys()
        assert {value.dtype for value in stored.values() if value.is_floating_point()} == {torch.float16}
    network = AuralSAM2.from_pretrained(tmp_path / "mini", "cpu").network
    assert network.image_size == SIZE
    assert {value.dtype for value in network.state_dict().values() if value.is_floating_point()} == {torch.float32}
    for name, value in network.trained_state().items():
        assert torch.equal(value, best[name].half().float()), name


def test_text_encoder_is_bundled(tmp_path, clip, command):
    write_run(tmp_path, "audio+text")
    run, sam2, text = tmp_path / "run", tmp_path / "parts" / "sam2", tmp_path / "parts" / "text"
    with pytest.raises(UsageError, match="reads text: give `text`"):
        bundle(run, sam2, tmp_path / "mini")
    ObjectNamer(("dog", "cat"), 128, 8).save(tmp_path / "namer")
    sizes = bundle(run, sam2, tmp_path / "mini", text, namer=tmp_path / "namer")
    assert 0 < sizes.text < 100_000
    namer = AuralSAM2.from_pretrained(tmp_path / "mini", "cpu").namer(True)
    assert namer is not None
    assert namer.names == ("dog", "cat")
    expected = TextEncoder(text)("the dog on the left")
    shutil.rmtree(tmp_path / "parts")
    assert torch.allclose(TextEncoder(tmp_path / "mini" / "text")("the dog on the left"), expected, atol=0.01)
    outcome = command(
        "segment", clip, "--model", tmp_path / "mini", "--out", tmp_path / "out", "--text", "the dog on the left"
    )
    assert outcome.code == 0


def test_text_encoder_for_a_model_without_text_is_refused(run, tmp_path):
    with pytest.raises(UsageError, match="reads no text: omit `text`"):
        bundle(run / "run", run / "parts" / "sam2", tmp_path / "mini", tmp_path)


def test_too_large_model_leaves_the_existing_one_unchanged(run, tmp_path, monkeypatch):
    bundle(run / "run" / "best", run / "parts" / "sam2", tmp_path / "mini")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr(bundling, "MAX_BYTES", 1_000_000)
    with pytest.raises(OutputError, match=r"best: \d+\.\d MB \(trained .*, sam2 .*more than the limit of 1 MB"):
        bundle(run / "run", run / "parts" / "sam2", tmp_path / "mini")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before
    monkeypatch.undo()
    bundle(run / "run", run / "parts" / "sam2", tmp_path / "mini")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mini"]


def test_invalid_parts_are_refused(run, tmp_path, capsys):
    sam2 = run / "parts" / "sam2"
    with pytest.raises(UnavailableError, match="neither a model nor a run"):
        bundle(tmp_path, sam2, tmp_path / "mini")
    with pytest.raises(UnavailableError, match="nowhere: no such folder"):
        bundle(run / "run", tmp_path / "nowhere", tmp_path / "mini")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("text")
    with pytest.raises(UsageError, match="other: not a model folder"):
        bundle(run / "run", sam2, tmp_path / "other")
    small_sam2(SIZE, width=256).save_pretrained(tmp_path / "wide")
    with pytest.raises(ConfigError, match=r"fuser\.width 128 differs from SAM 2's 256"):
        bundle(run / "run", tmp_path / "wide", tmp_path / "mini")
    arguments = ["--run", tmp_path, "--sam2", sam2, "--out", tmp_path / "mini"]
    assert bundling.main([str(value) for value in arguments]) == UnavailableError.exit_code
    assert capsys.readouterr().err.startswith("auralsam2: error: ")
    assert not (tmp_path / "mini").exists()
