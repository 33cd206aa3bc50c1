"""Paper variant of AuralFuser against its equations, written as loops. No numbers were published for it."""

import math

import pytest
import torch

from auralsam2.config import FuserConfig, Modality
from auralsam2.modeling.aural_fuser import AuralFuser, constant_positions, token_positions
from auralsam2.modeling.cross_fusion import released_attention, softmax_attention
from auralsam2.modeling.image_encoder import sine_position

T, WIDTH, INNER, GRID, TEXT = 3, 64, 16, 8, 24


def make_fuser(modality: Modality) -> AuralFuser:
    torch.manual_seed(0)
    sizes = {"width": WIDTH, "inner_width": INNER, "text_width": TEXT}
    fuser = AuralFuser(FuserConfig.preset("paper", modality, **sizes)).double().eval()
    for name, buffer in fuser.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0)
    return fuser


def equation_10(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """softmax(q kᵀ / √d) v for rows of queries, keys and values."""
    weights = (query @ key.T / math.sqrt(query.shape[1])).softmax(dim=1)
    return weights @ value


def pointwise(convolution: torch.nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """A convolution of kernel 1 on rows (n, C): a matrix product."""
    return rows @ convolution.weight.flatten(1).T + convolution.bias


def cross_fusion(
    fusion: torch.nn.Module, visual: torch.Tensor, tokens: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Eq. 3 with Eq. 10: rows of all frames' pixels and rows of tokens attend to each other; BN, MLP, add, LN."""
    rows, aligned = visual.flatten(0, 1), pointwise(fusion.align_channel, tokens)
    q_v, k_v, v_v = (pointwise(getattr(fusion, f"{kind}_frame"), rows) for kind in "qkv")
    q_c, k_c, v_c = (pointwise(getattr(fusion, f"{kind}_audio"), aligned) for kind in "qkv")
    results = []
    for mixed, back, before, norm in (
        (equation_10(q_v, k_c, v_c), fusion.W_z, rows, fusion.norm_layer),
        (equation_10(q_c, k_v, v_v), fusion.W_z2, aligned, fusion.norm_layer2),
    ):
        bn, mlp = back
        scaled = (mixed - bn.running_mean) / (bn.running_var + bn.eps).sqrt() * bn.weight + bn.bias
        hidden = torch.nn.functional.gelu(pointwise(mlp[0], scaled))
        results.append(norm(before + pointwise(mlp[2], hidden)))
    return results[0].reshape(visual.shape), results[1]


@pytest.mark.parametrize("modality", ["audio", "audio+text"])
def test_equations_1_to_4(modality: Modality) -> None:
    fuser = make_fuser(modality)
    generator = torch.Generator().manual_seed(1)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    pyramid = tuple(random(T, WIDTH, scale * GRID, scale * GRID) for scale in (4, 2, 1))
    audio, text = random(T, WIDTH), random(5, TEXT) if modality == "audio+text" else None
    pos_v = sine_position(WIDTH, (GRID, GRID), pyramid[0])
    with torch.inference_mode():
        tokens = fuser.concat_tokens(audio, text)
        output = fuser.fuse(fuser.embed(pyramid), tokens, pos_v)

        pos_c = token_positions(len(tokens), WIDTH, tokens)
        place = pos_v.flatten(2).transpose(1, 2)
        below = None
        for k in range(3):
            embedded = fuser.patch_embeds[k](pyramid[k])  # Eq. 1
            if below is not None:
                embedded = fuser.smooth_convs[k - 1](below + embedded)  # Eq. 4
            r_c = (tokens + pos_c)[None]  # Eq. 2, from z_c itself at every level
            for block in fuser.a_blocks[k]:
                r_c = block(r_c)
            r_v = embedded.flatten(2).transpose(1, 2) + place
            for block in fuser.f_blocks[k]:
                r_v = block(r_v, (GRID, GRID))
            r_v, r_c = cross_fusion(fuser.fusion_modules[k], r_v + place, r_c[0] + pos_c)  # Eq. 3
            torch.testing.assert_close(output.prompts.visual_prompts[k], r_v)
            torch.testing.assert_close(output.prompts.audio_prompts[k], r_c[:T])
            below = r_v.transpose(1, 2).unflatten(2, (GRID, GRID))


def test_softmax_attention_is_equation_10() -> None:
    query, key, value = (torch.randn(frames, INNER, n) for frames, n in ((T, 10), (7, 1), (7, 1)))
    rows = equation_10(*(side.transpose(1, 2).flatten(0, 1) for side in (query, key, value)))
    expected = rows.unflatten(0, (T, 10)).transpose(1, 2)
    torch.testing.assert_close(softmax_attention(query, key, value), expected)


def test_released_attention_reads_memory_row_by_row() -> None:
    """reference: no permutation before the flattening, no softmax, a scrambled way back; element by element."""
    query, key, value = (torch.randn(frames, 4, n, dtype=torch.float64) for frames, n in ((2, 6), (3, 1), (3, 1)))
    rows = query.numel() // 4
    q, k, v = ([side.flatten()[4 * i : 4 * i + 4] for i in range(side.numel() // 4)] for side in (query, key, value))
    mixed = [sum((a @ b) / rows * c for b, c in zip(k, v, strict=True)) for a in q]
    flat = [mixed[row][channel] for channel in range(4) for row in range(rows)]
    expected = torch.stack(flat).reshape(query.shape)
    torch.testing.assert_close(released_attention(query, key, value, rows), expected)


def test_positions() -> None:
    like = torch.zeros(1)
    paper, released = token_positions(30, 8, like), constant_positions(30, 8, like)
    for n in (0, 1, 29):
        for i in range(4):
            angle = n / 10_000 ** (2 * i / 8)
            assert paper[n, 2 * i] == pytest.approx(math.sin(angle), abs=1e-5)
            assert paper[n, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-5)
    assert torch.equal(released, paper[:1].expand(30, -1))


def test_embeddings_have_64_channels_and_norm_1() -> None:
    fuser = make_fuser("audio")
    pyramid = tuple(torch.randn(T, WIDTH, scale * GRID, scale * GRID, dtype=torch.float64) for scale in (4, 2, 1))
    with torch.inference_mode():
        tokens = torch.randn(T, WIDTH, dtype=torch.float64)
        output = fuser.fuse(fuser.embed(pyramid), tokens, sine_position(WIDTH, (GRID, GRID), pyramid[0]))
        visual, audible = fuser.project(output)
    for e_v, e_a in zip(visual, audible, strict=True):
        assert e_v.shape == (T, GRID * GRID, 64)
        assert e_a.shape == (T, 64)
        for embedding in (e_v, e_a):
            torch.testing.assert_close(embedding.norm(dim=-1), torch.ones(embedding.shape[:-1], dtype=torch.float64))


def test_sizes_of_the_paper() -> None:
    """Nine visual blocks in all and three on the side of the tokens; the released code has 21 and 9."""
    for variant, visual, side in (("paper", 9, 3), ("released", 21, 9)):
        config = FuserConfig.preset(variant)
        assert sum(config.visual_depths) == visual
        assert 3 * config.token_depth == side
