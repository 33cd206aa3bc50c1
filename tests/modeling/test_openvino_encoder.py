"""The image encoder as an OpenVINO graph equals SAM 2's, and is converted once."""

from __future__ import annotations

import shutil
from pathlib import Path
from unittest.mock import patch

import openvino_telemetry
import pytest
import torch

import auralsam2
from auralsam2.errors import UnavailableError, UsageError
from auralsam2.modeling import openvino_encoder
from auralsam2.modeling.image_encoder import encode_pyramid
from auralsam2.modeling.openvino_encoder import MAX_GRAPHS, OpenVinoEncoder
from auralsam2.utils.devices import check_backend, check_image_size
from helpers.media_files import write_clip
from helpers.small_networks import save_small_model, small_sam2


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the graph of `small_sam2`."""
    folder = tmp_path_factory.mktemp("cache")
    OpenVinoEncoder(small_sam2(), "fp32", folder)
    return folder


def test_no_usage_data_are_sent(cache: Path) -> None:
    assert openvino_telemetry.Telemetry().consent is False


@pytest.mark.parametrize(("dtype", "difference"), [("fp32", 1e-5), ("bf16", 0.05)])
def test_maps_equal_those_of_sam2(cache: Path, dtype: str, difference: float) -> None:
    sam2, pixels = small_sam2(), torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    with patch.object(openvino_encoder, "_convert", side_effect=AssertionError("converted again")):
        encoder = OpenVinoEncoder(sam2, dtype, cache)
    with torch.inference_mode():
        expected, actual = encode_pyramid(sam2, pixels), encoder(pixels)
    for theirs, ours in zip(expected.maps, actual.maps, strict=True):
        assert ours.shape == theirs.shape
        assert (ours - theirs).norm() <= difference * theirs.norm()


def test_the_cache_keeps_a_few_graphs(cache: Path, tmp_path: Path) -> None:
    shutil.copytree(cache, tmp_path / "cache")
    for number in range(3):
        (tmp_path / "cache" / f"old-{number}").mkdir()
    OpenVinoEncoder(small_sam2(), "fp32", tmp_path / "cache")
    folders = [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]
    assert len(folders) == MAX_GRAPHS
    assert any((folder / "encoder.xml").is_file() for folder in folders)


def test_damaged_graph_is_an_error(cache: Path, tmp_path: Path) -> None:
    shutil.copytree(cache, tmp_path / "cache")
    for path in (tmp_path / "cache").rglob("encoder.xml"):
        path.write_text("<net/>")
    with pytest.raises(UnavailableError, match="delete the folder"):
        OpenVinoEncoder(small_sam2(), "fp32", tmp_path / "cache")


def test_masks_of_a_video_equal_those_of_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURALSAM2_CACHE", str(tmp_path / "cache"))
    folder = save_small_model(tmp_path / "model", 64)
    video = write_clip(tmp_path / "clip.mp4", 2.0)
    masks = {}
    for backend in ("torch", "openvino"):
        model = auralsam2.load(folder, dtype="fp32", backend=backend)
        masks[backend] = torch.stack([torch.from_numpy(frame.logits) for frame in model.segment(video)])
    assert len(list((tmp_path / "cache" / "openvino").glob("*/encoder.xml"))) == 1
    torch.testing.assert_close(masks["openvino"], masks["torch"], rtol=1e-3, atol=1e-3)


def test_other_backends_and_sizes_are_refused() -> None:
    cpu = torch.device("cpu")
    for backend, device in (("onnx", cpu), ("", cpu), (None, cpu), ("openvino", torch.device("meta"))):
        with pytest.raises(UsageError, match="`backend=") as error:
            check_backend(backend, device)  # type: ignore[arg-type]
        assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match="fp32 or bf16, not in fp16"):
        OpenVinoEncoder(small_sam2(), "fp16", Path())
    for size in (0, 33, 5000, "512", 64.0):
        with pytest.raises(UsageError, match="`image_size="):
            check_image_size(size)  # type: ignore[arg-type]
    assert (check_image_size(None), check_image_size(96)) == (None, 96)
