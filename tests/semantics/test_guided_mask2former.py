"""Guided Mask2Former: what enters where, each part apart, against stock modules of transformers."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers import Mask2FormerConfig

from auralsam2.data.class_names import AVSS
from auralsam2.semantics.mask2former import GuidedMask2Former
from auralsam2.semantics.stage_config import SecondStageConfig
from helpers.small_second_stage import OFF, small_mask2former, small_stage

STOCK = small_mask2former()
LEVELS = ((2, 2), (4, 4), (8, 8))
"""Strides 32, 16 and 8 of 64 px."""
VECTORS = ("silence_embed", "uncertain_embed", "audio_embed")


def guided(**parts: bool) -> GuidedMask2Former:
    """The new parts have the same random weights in each test."""
    torch.manual_seed(1)
    return GuidedMask2Former.from_stock(STOCK, small_stage(**(OFF | parts))).eval()


@pytest.fixture(scope="module")
def inputs() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    guide = torch.rand(2, 1, 48, 48, generator=generator).round()
    guide[:, :, :20, :20] = torch.tensor([0.4, 0.6]).view(2, 1, 1, 1)
    return {
        "pixel_values": torch.randn(2, 3, 64, 64, generator=generator),
        "guide": guide,
        "audio": torch.randn(2, 16, generator=generator),
    }


def outputs(model: nn.Module, **inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        output = model(**inputs)
    return output.class_queries_logits, output.masks_queries_logits


def assert_equal(one: tuple[torch.Tensor, ...], other: tuple[torch.Tensor, ...]) -> None:
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b)


def assert_different(one: tuple[torch.Tensor, ...], other: tuple[torch.Tensor, ...]) -> None:
    assert max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True)) > 1e-4


def resized(guide: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(guide, size, mode="bilinear", align_corners=False, antialias=False)


def test_all_parts_off_equal_the_stock_model(inputs):
    stock = outputs(STOCK, pixel_values=inputs["pixel_values"])
    for one, other in zip(outputs(guided(), **inputs), stock, strict=True):
        assert torch.equal(one, other)


def test_zero_inputs_equal_the_stock_model(inputs):
    """The parts are there, but the guide, the three vectors and the audio projection are zero."""
    model = guided(guide_features=True, guide_positions=True, audio=True)
    for name, parameter in model.named_parameters():
        if any(part in name for part in (*VECTORS, "audio_proj")):
            nn.init.zeros_(parameter)
    zero = inputs | {"guide": torch.zeros_like(inputs["guide"])}
    assert_equal(outputs(model, **zero), outputs(STOCK, pixel_values=inputs["pixel_values"]))


def test_no_guide_and_no_audio_equal_the_stock_model(inputs):
    model = guided(guide_features=True, guide_positions=True, guide_attention=True, audio=True)
    pixels = {"pixel_values": inputs["pixel_values"]}
    assert_equal(outputs(model, **pixels), outputs(STOCK, **pixels))
    assert_different(outputs(model, **inputs), outputs(STOCK, **pixels))
    assert_equal(outputs(model, **pixels), outputs(STOCK, **pixels))  # nothing of a pass stays behind


def test_guide_is_added_to_all_channels_of_the_mask_features(inputs):
    def add(_module: nn.Module, arguments: tuple[()], values: dict[str, Any]) -> tuple[tuple[()], dict[str, Any]]:
        features = values["pixel_embeddings"]
        assert features.shape[-2:] == (16, 16)
        return arguments, values | {"pixel_embeddings": features + resized(inputs["guide"], (16, 16))}

    hook = STOCK.model.transformer_module.decoder.register_forward_pre_hook(add, with_kwargs=True)
    expected = outputs(STOCK, pixel_values=inputs["pixel_values"])
    hook.remove()
    assert_equal(outputs(guided(guide_features=True), **inputs), expected)
    assert_different(expected, outputs(STOCK, pixel_values=inputs["pixel_values"]))


@pytest.mark.parametrize("level", range(3))
def test_guide_chooses_the_vector_of_each_position_of_a_level(inputs, level):
    """A position is silent up to 0.4, sounding from 0.6, and uncertain between them."""
    model = guided(guide_positions=True)
    embedder = model.model.transformer_module.position_embedder
    vectors = {name: getattr(embedder, name).weight[0].detach() for name in VECTORS}
    model.guidance.mask = inputs["guide"]
    size = LEVELS[level]
    with torch.no_grad():
        position = embedder(torch.Size((2, 32, *size)), "cpu", torch.float32)
    stock = STOCK.model.transformer_module.position_embedder(torch.Size((2, 32, *size)), "cpu", torch.float32)
    values = resized(inputs["guide"], size)
    for frame in range(2):
        for y in range(size[0]):
            for x in range(size[1]):
                value = values[frame, 0, y, x]
                name = VECTORS[0 if value <= 0.4 else 2 if value >= 0.6 else 1]
                torch.testing.assert_close(
                    position[frame, :, y, x], stock[frame, :, y, x] + vectors[name], msg=f"{value} {name}"
                )


def decoder_layers(model: nn.Module) -> list[nn.Module]:
    return list(model.get_submodule("model.transformer_module.decoder.layers").children())


def test_vectors_enter_the_keys_alone(inputs):
    """Positions of all three levels change; queries, values and the pixel decoder do not."""
    seen: dict[str, list[torch.Tensor]] = {"query": [], "key": [], "value": []}

    def record(_module: nn.Module, _arguments: tuple[()], values: dict[str, Any]) -> None:
        for name, tensors in seen.items():
            tensors.append(values[name])

    pixels, runs = inputs["pixel_values"], []
    for model, more in ((STOCK, {}), (guided(guide_positions=True), {"guide": inputs["guide"]})):
        layers = decoder_layers(model)
        hooks = [
            cast(nn.Module, layer.cross_attn).register_forward_pre_hook(record, with_kwargs=True) for layer in layers
        ]
        outputs(model, pixel_values=pixels, **more)
        for hook in hooks:
            hook.remove()
        runs.append({name: list(tensors) for name, tensors in seen.items()})
        for tensors in seen.values():
            tensors.clear()
    stock, changed = runs
    assert torch.equal(stock["query"][0], changed["query"][0])
    for level in range(3):
        assert torch.equal(stock["value"][level], changed["value"][level])
        assert not torch.equal(stock["key"][level], changed["key"][level])


def attention_masks(model: nn.Module, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    masks: list[torch.Tensor] = []
    hooks = [
        layer.register_forward_pre_hook(
            lambda _module, _arguments, values: masks.append(values["encoder_attention_mask"]), with_kwargs=True
        )
        for layer in decoder_layers(model)
    ]
    outputs(model, **inputs)
    for hook in hooks:
        hook.remove()
    return masks


def test_guide_is_the_attention_mask_of_the_first_layer_alone(inputs):
    model = guided(guide_attention=True)
    whole = inputs | {"guide": inputs["guide"].clone()}
    whole["guide"][1] = 0  # all rows of the second frame would be blocked: the stock rule opens them
    masks = attention_masks(model, whole)
    blocked = resized(whole["guide"], LEVELS[0]).flatten(2) < 0.5
    heads, queries = 2, 5
    assert bool(blocked[0].any())
    assert not bool(blocked[0].all())
    assert torch.equal(masks[0][:heads].bool(), blocked[:1].expand(heads, queries, -1))
    assert not masks[0][heads:].any()
    with torch.no_grad():
        output = model(**whole, output_auxiliary_logits=True)
    predicted = [part["masks_queries_logits"] for part in output.auxiliary_logits]
    assert len(predicted) == 3, "the prediction of the initial queries counts, too"
    for level in (1, 2):
        own = F.interpolate(predicted[level], LEVELS[level], mode="bilinear", align_corners=False).flatten(2) < 0
        own = own.repeat_interleave(heads, 0)
        own &= ~own.all(-1, keepdim=True)
        assert torch.equal(masks[level].bool(), own)


def test_audio_enters_the_content_of_the_queries(inputs):
    """f + cos(e, a) a for each query, by loops; the positions e are unchanged."""
    model = guided(audio=True)
    decoder, module = model.model.transformer_module.decoder, model.model.transformer_module
    projection, content = cast(nn.Sequential, decoder.audio_proj), module.queries_features.weight.detach()
    expected = torch.empty(5, 2, 32)
    with torch.no_grad():
        for frame in range(2):
            audio = projection[2](projection[0](inputs["audio"][frame]).clamp(min=0))
            for query in range(5):
                place = module.queries_embedder.weight[query]
                cosine = (place @ audio) / (place.norm() * audio.norm())
                expected[query, frame] = content[query] + cosine * audio

    def replace(_module: nn.Module, arguments: tuple[()], values: dict[str, Any]) -> tuple[tuple[()], dict[str, Any]]:
        return arguments, values | {"inputs_embeds": expected}

    hook = STOCK.model.transformer_module.decoder.register_forward_pre_hook(replace, with_kwargs=True)
    stock = outputs(STOCK, pixel_values=inputs["pixel_values"])
    hook.remove()
    assert_equal(outputs(model, **inputs), stock)


def bottleneck(output: torch.Tensor, adapter: nn.Module, *, skip: bool) -> torch.Tensor:
    first, _, second = adapter.children()
    hidden = F.linear(output, first.weight, first.bias).clamp(min=0)  # type: ignore[arg-type]
    adapted = F.linear(hidden, second.weight, second.bias)  # type: ignore[arg-type]
    return output + adapted if skip else adapted


@pytest.mark.parametrize("kind", ["adapters", "swin_adapters"])
def test_adapters_follow_frozen_layers(inputs, kind):
    """Bottlenecks replace the output after attention of both decoders; those of Swin are added."""
    model = guided(**{kind: True})
    stock = small_mask2former()
    found = [
        (name, module, child)
        for name, module in model.named_modules()
        for child, _ in module.named_children()
        if "_adapt" in child
    ]
    expected = {"adapters": 1 + 3, "swin_adapters": 2 * 4}
    assert len(found) == expected[kind]
    for name, module, child in found:
        adapter, skip = getattr(module, child), kind == "swin_adapters"
        for parameter in adapter.parameters():  # biases start at 0, and weights near it
            nn.init.normal_(parameter, std=0.3)

        def adapt(_module: nn.Module, _inputs: Any, output: Any, adapter: Any = adapter, skip: bool = skip) -> Any:
            return bottleneck(output, adapter, skip=skip)

        stock.get_submodule(name).register_forward_hook(adapt)
    pixels = {"pixel_values": inputs["pixel_values"]}
    assert_equal(outputs(model, **pixels), outputs(stock, **pixels))
    assert_different(outputs(model, **pixels), outputs(STOCK, **pixels))


def trained_names(model: GuidedMask2Former) -> set[str]:
    model.freeze()
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def both(*names: str) -> set[str]:
    return {f"{name}.{part}" for name in names for part in ("weight", "bias")}


def test_trained_parameters():
    module = "model.transformer_module"
    first = {f"{module}.queries_embedder.weight", *both("class_predictor")}
    first |= {f"{module}.position_embedder.{name}.weight" for name in VECTORS}
    first |= both(f"{module}.decoder.audio_proj.0", f"{module}.decoder.audio_proj.2")
    layers = [f"{module}.decoder.layers.{number}.self_attn.out_proj" for number in range(3)]
    layers.append("model.pixel_level_module.decoder.encoder.layers.0.self_attn.output_proj")
    first |= both(*(f"{layer}.avs_adapt.{number}" for layer in layers for number in (0, 2)))
    on = dict.fromkeys(OFF, True)
    assert trained_names(guided(**(on | {"swin_adapters": False}))) == first
    names = trained_names(guided(**on))
    swin = names - first
    assert first < names
    assert len(swin) == 4 * 2 * 4
    assert all("swin_adapt_1" in name or "swin_adapt_3" in name for name in swin)


def test_published_numbers_of_parameters():
    """Swin-B, 71 classes: 106,903,936 stock parameters and those that are added."""
    backbone = {
        "model_type": "swin",
        "embed_dim": 128,
        "depths": [2, 2, 18, 2],
        "num_heads": [4, 8, 16, 32],
        "window_size": 12,
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
    }
    config = Mask2FormerConfig(backbone_config=backbone, id2label=dict(enumerate(AVSS)))
    with torch.device("meta"):
        model = GuidedMask2Former(config, SecondStageConfig(names=AVSS))
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}

    def count(part: str) -> int:
        return sum(size for name, size in sizes.items() if part in name)

    parts = ("avs_adapt", "swin_adapt", "audio_proj", "silence_embed", "uncertain_embed", "audio_embed")
    assert [count(part) for part in parts] == [496_320, 7_009_664, 197_376, 256, 256, 256]
    assert count("class_predictor") == 18_504
    assert count("queries_embedder") == 25_600
    assert sum(sizes.values()) - sum(map(count, parts)) == 106_903_936


def test_class_head_of_other_classes_is_made_anew():
    stock = small_mask2former(classes=3)
    model = GuidedMask2Former.from_stock(stock, small_stage(**OFF))
    assert model.class_predictor.weight.shape == (72, 32)
    assert model.criterion.empty_weight.shape == (72,)
    assert float(model.class_predictor.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    name = "model.transformer_module.queries_features.weight"
    assert torch.equal(model.state_dict()[name], stock.state_dict()[name])


@pytest.mark.parametrize("drop_path", [True, False])
def test_drop_path_is_an_option(drop_path):
    model = GuidedMask2Former.from_stock(STOCK, small_stage(drop_path=drop_path)).train()
    assert model.backbone.training == drop_path
    assert model.model.transformer_module.training
