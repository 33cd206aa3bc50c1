"""Fast attention of SAM 2 equals that of transformers."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from transformers import Sam2VideoModel

from auralsam2.modeling.fast_attention import matmul_attention, use_fast_attention
from auralsam2.modeling.memory import MemoryNetwork
from auralsam2.modeling.sam2 import sam2_config
from helpers.small_networks import spread


@pytest.fixture(scope="module")
def models() -> tuple[Sam2VideoModel, Sam2VideoModel]:
    """The same SAM 2 with a query stride, windows and global attention: transformers' attention, fast attention."""
    torch.manual_seed(0)
    config = sam2_config(
        "tiny", image_size=128, hidden_size=16, blocks_per_stage=[1, 2, 2, 1], global_attention_blocks=[4]
    )
    stock = spread(Sam2VideoModel(config).eval())
    return stock, use_fast_attention(copy.deepcopy(stock))


@pytest.mark.parametrize(
    ("heads", "queries", "keys", "width"), [((1, 1), 500, 700, 16), ((40, 8), 16, 16, 8), ((3, 2), 1, 5, 4)]
)
def test_blocks_equal_the_fused_function(heads, queries, keys, width) -> None:
    generator = torch.Generator().manual_seed(1)
    query, key, value = (torch.randn(*heads, count, width, generator=generator) for count in (queries, keys, keys))
    for scaling in (None, 0.3):
        expected = F.scaled_dot_product_attention(query, key, value, scale=scaling)
        torch.testing.assert_close(matmul_attention(query, key, value, scaling), expected, rtol=1e-5, atol=1e-6)


def test_the_encoder_equals_that_of_transformers(models) -> None:
    stock, fast = models
    pixels = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected, actual = (model.vision_encoder(pixels, return_dict=True).fpn_hidden_states for model in models)
        assert all(map(torch.equal, actual, expected))
        with torch.autocast("cpu", torch.bfloat16):
            rough, fast_rough = (model.vision_encoder(pixels, return_dict=True).fpn_hidden_states for model in models)
    for exact, theirs, ours in zip(expected, rough, fast_rough, strict=True):
        assert (ours.float() - exact).norm() <= 1.1 * (theirs.float() - exact).norm()
        assert not torch.equal(ours, theirs), "the fused function was used"
    assert stock.state_dict().keys() == fast.state_dict().keys()


def test_memory_attention_equals_that_of_transformers(models) -> None:
    generator = torch.Generator().manual_seed(3)
    embedding, position = torch.randn(2, 1, 256, 8, 8, generator=generator)
    memories = [(distance, torch.randn(1, 64, 8, 8, generator=generator)) for distance in (0, 2, 1)]
    pointers = [(1, torch.randn(1, 256, generator=generator))]
    outputs = {}
    with torch.inference_mode():
        for dtype in (torch.float32, torch.bfloat16):
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
                outputs[dtype] = [
                    MemoryNetwork(model).attend(embedding, position, memories, pointers, 4).float() for model in models
                ]
    exact, ours = outputs[torch.float32]
    assert torch.equal(exact, ours)
    theirs, ours = outputs[torch.bfloat16]
    assert (ours - exact).norm() <= 1.1 * (theirs - exact).norm()
    assert not torch.equal(ours, theirs), "the fused function was used"
