"""Computing in bfloat16 keeps the masks of a whole clip, memory loop included.

A network filled by the number rule has logits of noise, many of them within rounding of 0, where a mask means nothing.
Masks are therefore compared where fp32 is sure: |logit| > 0.5, a quarter of the mean |logit|; that is most pixels.
"""

import torch

from auralsam2.inference.clip import segment_clip
from auralsam2.model import AuralSAM2, inference_context
from auralsam2.modeling.log_mel import log_mel_examples
from helpers.rule_weights import samples, tensor, wave
from helpers.small_networks import rule_network

SIZE, SURE = 256, 0.5


def test_masks_of_a_clip_match_fp32() -> None:
    network = rule_network("audio+text", SIZE)
    text = tensor("text_features", (1, 25, 768))[0]
    clip = (tensor("frames_256", (5, 3, SIZE, SIZE)), log_mel_examples(samples(wave(5, "wave_5s"))), text)
    outputs = {}
    for dtype in ("fp32", "bf16"):
        with inference_context(AuralSAM2(network, "rule", dtype)):
            outputs[dtype] = segment_clip(network, *clip).frames
    exact, rough = (torch.stack([frame.logits.float() for frame in outputs[dtype]]) for dtype in ("fp32", "bf16"))
    assert not torch.equal(exact, rough), "bfloat16 was not used"
    assert [frame.best for frame in outputs["fp32"]] == [frame.best for frame in outputs["bf16"]]
    sure = exact.abs() > SURE
    assert sure.float().mean() > 0.6
    a, b = (exact > 0) & sure, (rough > 0) & sure
    iou = (a & b).sum((1, 2)) / (a | b).sum((1, 2))
    assert iou.min() >= 0.99, iou
