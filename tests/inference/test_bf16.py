"""Computing in bfloat16 keeps the masks of a whole clip, memory loop included.

A network filled by the number rule has logits of noise, many of them within rounding of 0, where a mask means nothing.
Masks are therefore compared where fp32 is sure: |logit| > 0.5, a quarter of the mean |logit|; that is most pixels.
"""

import torch

from helpers.small_networks import rule_clip

SIZE, SURE = 256, 0.5


def test_masks_of_a_clip_match_fp32() -> None:
    outputs = {dtype: rule_clip("audio+text", SIZE, dtype).frames for dtype in ("fp32", "bf16")}
    exact, rough = (torch.stack([frame.logits.float() for frame in outputs[dtype]]) for dtype in ("fp32", "bf16"))
    assert not torch.equal(exact, rough), "bfloat16 was not used"
    assert [frame.best for frame in outputs["fp32"]] == [frame.best for frame in outputs["bf16"]]
    sure = exact.abs() > SURE
    assert sure.float().mean() > 0.6
    a, b = (exact > 0) & sure, (rough > 0) & sure
    iou = (a & b).sum((1, 2)) / (a | b).sum((1, 2))
    assert iou.min() >= 0.99, iou
