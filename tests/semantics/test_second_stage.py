"""Second stage: inputs, label maps, files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from transformers.models.mask2former.image_processing_pil_mask2former import Mask2FormerImageProcessorPil
from transformers.models.mask2former.modeling_mask2former import Mask2FormerForUniversalSegmentationOutput

from auralsam2.errors import ConfigError, UnavailableError
from auralsam2.modeling.audio_encoder import AudioEncoder
from auralsam2.semantics.mask2former import GuidedMask2Former
from auralsam2.semantics.second_stage import SecondStage, class_masks, label_map, square_guide, square_picture
from auralsam2.utils.weights import CONFIG_FILE, WEIGHTS_FILE
from helpers.small_second_stage import small_mask2former, small_stage


def second_stage(**changes: object) -> SecondStage:
    stage = small_stage(**changes)
    torch.manual_seed(3)
    return SecondStage(
        GuidedMask2Former.from_stock(small_mask2former(), stage), AudioEncoder(stage.audio_encoder)
    ).eval()


@pytest.fixture(scope="module")
def network() -> SecondStage:
    return second_stage()


@pytest.fixture(scope="module")
def clip() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    pixels = torch.randint(0, 256, (2, 3, 64, 64), generator=generator, dtype=torch.uint8)
    return pixels, torch.rand(2, 48, 48, generator=generator).round(), torch.randn(2, 2, 96, 64, generator=generator)


def test_label_map_is_that_of_transformers():
    generator = torch.Generator().manual_seed(0)
    logits, masks = torch.randn(1, 7, 6, generator=generator), 3 * torch.randn(1, 7, 24, 24, generator=generator)
    output = Mask2FormerForUniversalSegmentationOutput(class_queries_logits=logits, masks_queries_logits=masks)
    processor = Mask2FormerImageProcessorPil()
    (expected,) = processor.post_process_semantic_segmentation(output, target_sizes=[(60, 60)])
    found = label_map(logits[0], masks[0], 384, 60)
    assert len(expected.unique()) > 2
    assert torch.equal(found.long(), expected.long())


def test_picture_is_that_of_transformers():
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    processor = Mask2FormerImageProcessorPil(size={"height": 64, "width": 64}, size_divisor=32, resample=2)
    expected = processor.preprocess([image], return_tensors="pt")["pixel_values"]
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    found = (square_picture(image, 64) / 255 - mean[:, None, None]) / deviation[:, None, None]
    torch.testing.assert_close(found, expected[0].float(), atol=1e-5, rtol=1e-5)


def test_targets_are_one_mask_for_each_class():
    classes = torch.zeros(4, 4, dtype=torch.uint8)
    classes[0], classes[1, :2], classes[3] = 17, 5, 255
    masks, numbers = class_masks(classes, 8)
    assert numbers.tolist() == [0, 5, 17]
    assert masks.shape == (3, 8, 8)
    assert masks.sum((1, 2)).tolist() == [24.0, 8.0, 16.0]
    assert masks[2, :2].bool().all()


def test_guide_has_hard_values():
    mask = np.zeros((30, 40), dtype=np.uint8)
    mask[10:20, 5:25] = 255
    guide = square_guide(mask, 48)
    assert guide.shape == (48, 48)
    assert guide.unique().tolist() == [0.0, 1.0]


def test_label_maps(network, clip):
    maps = network.label_maps(*clip)
    assert maps.shape == (2, 48, 48)
    assert maps.dtype == torch.uint8
    one = network.label_maps(*(part[1:] for part in clip))
    assert (one[0] == maps[1]).float().mean() > 0.99, "each frame is alone"


def test_audio_is_the_mean_of_both_channels(network, clip):
    pixels, guide, log_mel = clip
    with torch.no_grad():
        output = network(pixels, guide, log_mel).class_queries_logits
        torch.testing.assert_close(network(pixels, guide, log_mel.flip(1)).class_queries_logits, output)
        assert not torch.equal(network(pixels, guide, log_mel.flip(0)).class_queries_logits, output)


def test_loss_covers_all_predictions_and_reaches_all_trained_parts(clip):
    network = second_stage().train()
    classes = torch.zeros(2, 48, 48, dtype=torch.uint8)
    classes[:, :20] = 28
    pixels, guide, log_mel = clip
    # Embeddings at the end of a ReLU are often zero with random weights.
    torch.nn.init.ones_(network.audio_encoder.embeddings[4].bias)  # type: ignore[arg-type]
    network(pixels, guide, log_mel, classes).loss.sum().backward()
    without = [name for name, value in network.named_parameters() if value.requires_grad and value.grad is None]
    frozen = [name for name, value in network.named_parameters() if not value.requires_grad and value.grad is not None]
    assert without == []
    assert frozen == []


def test_saved_stage_gives_the_same_maps(network, clip, tmp_path):
    network.save(tmp_path / "stage")
    loaded = SecondStage.load(tmp_path / "stage")
    assert loaded.stage == network.stage
    assert torch.equal(loaded.label_maps(*clip), network.label_maps(*clip))
    assert {path.name for path in (tmp_path / "stage").iterdir()} == {CONFIG_FILE, WEIGHTS_FILE}


def test_damaged_stage(network, tmp_path):
    folder = tmp_path / "stage"
    network.save(folder)
    config = json.loads((folder / CONFIG_FILE).read_text())
    for change, kind in (
        ({"schema": "other"}, ConfigError),
        ({"stage": config["stage"] | {"adapter_width": 9}}, ConfigError),
        ({"stage": config["stage"] | {"width": 9}}, ConfigError),
        ({"mask2former": {"model_type": "mask2former", "hidden_dim": 2**25}}, ConfigError),
        ({"mask2former": 1}, UnavailableError),
    ):
        (folder / CONFIG_FILE).write_text(json.dumps(config | change))
        with pytest.raises(kind):
            SecondStage.load(folder)
    (folder / CONFIG_FILE).write_text(json.dumps(config))
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(UnavailableError, match=WEIGHTS_FILE):
        SecondStage.load(folder)
