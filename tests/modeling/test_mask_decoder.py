"""Mask decoder: mask_decoder.npz of the released code, and equality with transformers' stock decoder."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from auralsam2.config import ExtensionsConfig, PromptingConfig
from auralsam2.errors import ConfigError
from auralsam2.modeling.mask_decoder import MaskDecoder
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.prompt_encoder import PromptEmbeddings, VisualPrompts, embed_prompts
from auralsam2.types import FeaturePrompts
from helpers.rule_weights import assert_close, golden, tensor
from helpers.small_networks import rule_decoder_network, small_sam2


@pytest.fixture(scope="module")
def network() -> AuralNetwork:
    return rule_decoder_network()


@pytest.mark.parametrize("case", range(6))
def test_golden(network: AuralNetwork, case: int) -> None:
    def of(name: str, *shape: int) -> torch.Tensor:
        return tensor(f"decoder_case{case}/{name}", shape)

    # The golden prompts are in the decoder's order, ours go from level 0 to 2.
    prompts = FeaturePrompts(
        tuple(of(f"visual_prompt{i}", 256, 256)[None] for i in (2, 1, 0)),
        tuple(of(f"audio_prompt{i}", 256)[None] for i in (2, 1, 0)),
    )
    with torch.inference_mode():
        decoded = network.decoder(
            of("image_embedding", 1, 256, 16, 16),
            of("high_res_s0", 1, 32, 64, 64),
            of("high_res_s1", 1, 64, 32, 32),
            embed_prompts(network.sam2, None),
            prompts,
        )
        best = int(decoded.best[0])
        pointer = network.memory.object_pointer(decoded.tokens[:, best], decoded.object_score)
    archive = {
        name.partition("_")[2]: value
        for name, value in golden("mask_decoder").items()
        if name.startswith(f"case{case}_")
    }
    assert_close(decoded.logits[0], archive["low_res_multimasks"], 1e-4)
    assert_close(decoded.ious[0], archive["ious"], 1e-4)
    assert_close(decoded.object_score[0], archive["object_score"], 1e-4)
    assert_close(decoded.tokens[0], archive["mask_tokens"], 1e-4)
    assert_close(pointer[0], archive["obj_ptr"], 1e-4)
    assert best == archive["best"]


VISUAL = {
    "nothing": None,
    "point": VisualPrompts(torch.tensor([[30.0, 40.0]]), torch.tensor([1])),
    "two points": VisualPrompts(torch.tensor([[30.0, 40.0], [5.0, 9.0]]), torch.tensor([1, 0])),
    "box": VisualPrompts(torch.zeros(0, 2), torch.zeros(0), box=torch.tensor([10.0, 12.0, 90.0, 80.0])),
    "mask": VisualPrompts(torch.zeros(0, 2), torch.zeros(0), mask=torch.rand(128, 128) > 0.5),
    "all": VisualPrompts(
        torch.tensor([[30.0, 40.0]]),
        torch.tensor([0]),
        torch.tensor([10.0, 12.0, 90.0, 80.0]),
        torch.rand(128, 128) > 0.5,
    ),
}


@pytest.mark.parametrize("zeros", [False, True], ids=["no prompts", "prompts of zero"])
@pytest.mark.parametrize("prompting", [PromptingConfig.preset("released"), PromptingConfig.preset("paper")])
@pytest.mark.parametrize("what", VISUAL)
@pytest.mark.parametrize("multimask", [True, False])
def test_decoder_without_prompts_equals_the_stock_decoder(
    what: str, zeros: bool, prompting: PromptingConfig, multimask: bool
) -> None:
    sam2 = small_sam2()
    generator = torch.Generator().manual_seed(3)
    batch = 3
    embedding = torch.randn(batch, 256, 8, 8, generator=generator)
    fine = torch.randn(batch, 32, 32, 32, generator=generator)
    middle = torch.randn(batch, 64, 16, 16, generator=generator)
    prompts = FeaturePrompts((torch.zeros(batch, 64, 256),) * 3, (torch.zeros(batch, 256),) * 3) if zeros else None
    with torch.inference_mode():
        embeddings = embed_prompts(sam2, VISUAL[what], padded=True)
        own_output = MaskDecoder(sam2, prompting)(embedding, fine, middle, embeddings, prompts, multimask=multimask)
        stock = sam2.mask_decoder(
            image_embeddings=embedding,
            image_positional_embeddings=sam2.get_image_wide_positional_embeddings().repeat(batch, 1, 1, 1),
            sparse_prompt_embeddings=embeddings.sparse.expand(batch, -1, -1, -1),
            dense_prompt_embeddings=embeddings.dense,
            multimask_output=multimask,
            high_resolution_features=[fine, middle],
        )
    for own_value, stock_output in zip(
        (own_output.logits, own_output.ious, own_output.tokens, own_output.object_score), stock, strict=True
    ):
        assert torch.equal(own_value, stock_output[:, 0])


def test_paper_prompts_reach_three_tokens_and_no_position() -> None:
    """By hand on one step: with one level's audio prompt, only mask tokens 1..3 change before the first layer."""
    sam2 = small_sam2()
    decoder = MaskDecoder(sam2, PromptingConfig.preset("paper"))
    queries, keys = torch.zeros(1, 1, 7, 256), torch.zeros(1, 1, 64, 256)
    audible, visible = decoder._add_prompts(queries, keys, (torch.ones(1, 1, 64, 256), torch.full((1, 1, 1, 256), 2.0)))
    assert audible[0, 0, :, 0].tolist() == [0, 0, 0, 2, 2, 2, 0]
    assert torch.equal(visible, torch.ones_like(keys))


def test_order_of_levels() -> None:
    sam2 = small_sam2()
    prompts = FeaturePrompts(tuple(torch.full((1, 64, 256), float(k)) for k in range(3)), (torch.zeros(1, 256),) * 3)

    def levels(config: PromptingConfig) -> list[float]:
        return [float(step[0].mean()) for step in MaskDecoder(sam2, config)._prompt_steps(prompts) if step]

    assert levels(PromptingConfig.preset("released")) == [2.0, 1.0, 0.0]
    assert levels(PromptingConfig.preset("paper")) == [0.0, 1.0, 2.0]


def test_fewer_levels_prompt_the_first_steps() -> None:
    prompts = FeaturePrompts(tuple(torch.full((1, 64, 256), float(k)) for k in range(2)), (torch.zeros(1, 256),) * 2)

    def levels(config: PromptingConfig) -> list[float | None]:
        steps = MaskDecoder(small_sam2(), config)._prompt_steps(prompts)
        return [None if step is None else float(step[0].mean()) for step in steps]

    assert levels(PromptingConfig.preset("released")) == [1.0, 0.0, None]
    assert levels(PromptingConfig.preset("paper")) == [0.0, 1.0, None]


@pytest.mark.parametrize("off", ["dense", "sparse"])
def test_disabled_prompts_have_no_effect(off: str) -> None:
    """Without dense prompts the result is that of visual prompts of zero, without sparse ones that of audio of zero."""
    sam2 = small_sam2()
    generator = torch.Generator().manual_seed(4)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    inputs = random(1, 256, 8, 8), random(1, 32, 32, 32), random(1, 64, 16, 16), embed_prompts(sam2, None)
    visible, audible = tuple(random(1, 64, 256) for _ in range(3)), tuple(random(1, 256) for _ in range(3))
    remaining = FeaturePrompts(
        tuple(map(torch.zeros_like, visible)) if off == "dense" else visible,
        tuple(map(torch.zeros_like, audible)) if off == "sparse" else audible,
    )
    both = FeaturePrompts(visible, audible)
    without = PromptingConfig(dense=off != "dense", sparse=off != "sparse")
    with torch.inference_mode():
        actual = MaskDecoder(sam2, without)(*inputs, both)
        expected = MaskDecoder(sam2, PromptingConfig())(*inputs, remaining)
        full = MaskDecoder(sam2, PromptingConfig())(*inputs, both)
    assert torch.equal(actual.logits, expected.logits)
    assert not torch.equal(actual.logits, full.logits)


def test_at_least_one_kind_of_prompt_is_enabled() -> None:
    with pytest.raises(ConfigError, match="both false"):
        PromptingConfig(dense=False, sparse=False)


def test_embeddings_without_visual_prompts() -> None:
    sam2 = small_sam2()
    assert embed_prompts(sam2, None).sparse.shape == (1, 1, 0, 256)
    assert embed_prompts(sam2, None, padded=True).sparse.shape == (1, 1, 2, 256)
    assert isinstance(embed_prompts(sam2, None), PromptEmbeddings)


@torch.inference_mode()
def test_coarse_mask_equals_a_mask_prompt() -> None:
    """Logits at the prompt encoder's own size: the same numbers as `embed` gives for such a mask."""
    sam2 = small_sam2()
    generator = torch.Generator().manual_seed(4)
    inputs = [torch.randn(1, *shape, generator=generator) for shape in ((256, 8, 8), (32, 32, 32), (64, 16, 16))]
    zeros = (torch.zeros(1, 64, 256),) * 3, (torch.zeros(1, 256),) * 3
    prompt = VisualPrompts(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int32), mask=torch.rand(128, 128) > 0.5)
    soft = F.interpolate(
        prompt.mask.float()[None, None],
        size=sam2.prompt_encoder.mask_input_size,
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )
    decoder = MaskDecoder(sam2, PromptingConfig())
    expected = decoder(*inputs, embed_prompts(sam2, prompt))
    actual = decoder(*inputs, embed_prompts(sam2, None), FeaturePrompts(*zeros, soft[:, 0] * 20 - 10))
    torch.testing.assert_close(actual.logits, expected.logits, rtol=1e-4, atol=1e-4)
    empty = decoder(*inputs, embed_prompts(sam2, None), FeaturePrompts(*zeros))
    assert not torch.allclose(empty.logits, expected.logits, atol=1e-3)


def test_offset_lowers_the_object_score_of_frames_with_feature_prompts() -> None:
    sam2, batch = small_sam2(), 2
    generator = torch.Generator().manual_seed(3)
    maps = [torch.randn(batch, *shape, generator=generator) for shape in ((256, 8, 8), (32, 32, 32), (64, 16, 16))]
    prompts = FeaturePrompts(
        tuple(torch.randn(batch, 64, 256, generator=generator) for _ in range(3)),
        tuple(torch.randn(batch, 256, generator=generator) for _ in range(3)),
    )
    bold, careful = (
        MaskDecoder(sam2, PromptingConfig(), ExtensionsConfig(object_score_offset=offset)) for offset in (0.0, 1.5)
    )
    with torch.inference_mode():
        for asked, lower in ((prompts, 1.5), (None, 0.0)):
            first, other = (decoder(*maps, embed_prompts(sam2, None), asked) for decoder in (bold, careful))
            assert torch.equal(first.object_score - lower, other.object_score)
            assert torch.equal(first.logits, other.logits)


def test_object_scores_do_not_exceed_the_cap() -> None:
    sam2 = small_sam2()
    maps = [torch.randn(2, *shape) for shape in ((256, 8, 8), (32, 32, 32), (64, 16, 16))]
    prompts = FeaturePrompts((torch.zeros(2, 64, 256),) * 3, (torch.zeros(2, 256),) * 3)
    decoder = MaskDecoder(sam2, PromptingConfig(), ExtensionsConfig(object_score_offset=1.5))
    with torch.inference_mode():
        free = decoder(*maps, embed_prompts(sam2, None)).object_score[:, 0]
        bound = torch.stack([free[0] - 2, free[1] + 2])
        bounded = decoder(*maps, embed_prompts(sam2, None), dataclasses.replace(prompts, object_score_cap=bound))
    torch.testing.assert_close(bounded.object_score[:, 0], torch.stack([bound[0], free[1]]))
