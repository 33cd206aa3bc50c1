"""Golden tests from frames and sound to masks at 256 px: tracking_avs_256.npz and tracking_ref_256.npz.

Computing in bfloat16 keeps the masks of the whole clip, memory loop included. A network filled by the number rule has
logits of noise, many of them within rounding of 0, where a mask means nothing. These masks are therefore compared where
fp32 is sure: |logit| > 0.5, a quarter of the mean |logit|; that is most pixels.
"""

import numpy as np
import pytest
import torch

from auralsam2.inference.clip import ClipOutput
from auralsam2.inference.tracker import full_size
from helpers.rule_weights import assert_close, golden
from helpers.small_networks import rule_clip

SIZE, SURE = 256, 0.5


@pytest.fixture(scope="module", params=["avs", "ref"])
def run(request: pytest.FixtureRequest) -> tuple[dict[str, np.ndarray], ClipOutput]:
    modality = {"avs": "audio", "ref": "audio+text"}[request.param]
    return golden(f"tracking_{request.param}_256"), rule_clip(modality, SIZE, "fp32")


def stack(output: ClipOutput, what) -> torch.Tensor:
    return torch.cat([what(frame) for frame in output.frames])


@pytest.mark.parametrize("level", range(3))
def test_prompts(run, level: int) -> None:
    archive, output = run
    prompts = output.fuser.prompts.visual_prompts[level]
    assert_close(prompts[:, 3::37], archive[f"visual_prompt{level}"], 2e-4)
    assert_close(output.fuser.tokens[level], archive[f"audio_prompt{level}"], 2e-4)


def test_encoder(run) -> None:
    archive, output = run
    embedding = torch.cat([frame.embedding for frame in output.features])
    assert_close(embedding[:, ::8, 1::2, 1::2], archive["fpn2"], 2e-4)


def test_memory(run) -> None:
    archive, output = run
    assert_close(stack(output, lambda f: f.conditioned)[:, ::8], archive["pix_feat"], 5e-4)
    assert_close(stack(output, lambda f: f.entry.memory)[:, ::4], archive["maskmem_features"], 5e-4)
    assert_close(stack(output, lambda f: f.entry.pointer), archive["obj_ptr"], 1e-4)


def test_decoder(run) -> None:
    archive, output = run
    assert_close(stack(output, lambda f: f.decoded.logits), archive["low_res_multimasks"], 2e-4)
    assert_close(stack(output, lambda f: f.decoded.ious), archive["ious"], 1e-4)
    assert_close(stack(output, lambda f: f.decoded.object_score), archive["object_scores"], 1e-4)
    assert [frame.best for frame in output.frames] == archive["best_mask"].tolist()


def test_masks(run) -> None:
    archive, output = run
    logits = torch.stack([frame.logits for frame in output.frames])
    assert_close(logits[:, ::2, ::2], archive["final_logits_iou_select"], 2e-4)
    bits = np.unpackbits(archive["final_mask_iou_select_bits"].reshape(5, -1), axis=1)
    differing = (bits.reshape(5, SIZE, SIZE) != (logits > 0).numpy()).sum((1, 2))
    assert differing.max() <= 8, differing
    areas = torch.stack([(full_size(frame.decoded.logits, SIZE)[0] > 0).sum((1, 2)) for frame in output.frames])
    assert np.abs(areas.numpy() - archive["mask_area"]).max() <= 8


def test_masks_in_bf16_match_fp32() -> None:
    outputs = {dtype: rule_clip("audio+text", SIZE, dtype).frames for dtype in ("fp32", "bf16")}
    exact, rough = (torch.stack([frame.logits.float() for frame in outputs[dtype]]) for dtype in ("fp32", "bf16"))
    assert not torch.equal(exact, rough), "bfloat16 was not used"
    assert [frame.best for frame in outputs["fp32"]] == [frame.best for frame in outputs["bf16"]]
    sure = exact.abs() > SURE
    assert sure.float().mean() > 0.6
    a, b = (exact > 0) & sure, (rough > 0) & sure
    iou = (a & b).sum((1, 2)) / (a | b).sum((1, 2))
    assert iou.min() >= 0.99, iou
