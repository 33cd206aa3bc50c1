"""Baselines: adapters, tuned modules, audio and text; the frozen SAM 2 is unchanged."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import Sam2VideoModel

from auralsam2.baselines.attachment import attachment_points, weight_sharing_copy
from auralsam2.baselines.network import AdapterNetwork, assemble_network
from auralsam2.config import ClipConfig, GavsConfig, ModelConfig, SamaConfig
from auralsam2.errors import ConfigError, UsageError
from auralsam2.inference.clip import track_clip, track_separately
from auralsam2.model import AuralSAM2, streaming_network
from auralsam2.modeling.image_encoder import encode_pyramid, frame_features
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.prompt_encoder import VisualPrompts
from auralsam2.modeling.sam2 import load_sam2, sam2_config
from auralsam2.modeling.text_encoder import TextEncoder
from helpers.small_networks import let_sound_matter, small_config, small_sam2
from helpers.small_text import save_small_text

MINI = Path(__file__).parents[2] / "src/auralsam2/bundled/mini/sam2"
SIZE, FRAMES = 64, 3
FORMS = {
    "gavs": {"method": "gavs", "gavs": GavsConfig(start_block=2, zero_init_last=False)},
    "gavs with norms": {"method": "gavs", "gavs": GavsConfig(start_block=2, zero_init_last=False, norms=True)},
    "sama": {"method": "sama"},
    "sama of pixels": {"method": "sama", "sama": SamaConfig(start_block=2, form="image_token")},
}


def config(modality: str = "audio", **options: Any) -> ModelConfig:
    small = small_config(modality, 128)  # type: ignore[arg-type]
    return dataclasses.replace(small, clip=ClipConfig(frames=FRAMES, conditioning="each"), **options)


def build_network(form: str, text: TextEncoder | None = None, **changes: Any) -> AdapterNetwork:
    options = FORMS[form] | changes
    torch.manual_seed(3)
    network = AdapterNetwork(config("audio+text" if text else "audio", **options), small_sam2(SIZE, width=128), text)
    for parameter in network.audio_encoder.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)  # a fresh encoder makes nearly one token of all sounds
    return network.eval()


def clip(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return (
        torch.randn(FRAMES, 3, SIZE, SIZE, generator=random),
        torch.randn(FRAMES, 2, 96, 64, generator=random),
    )


def click(frame: int = 1) -> dict[int, VisualPrompts]:
    return {frame: VisualPrompts(torch.tensor([[20.0, 30.0]]), torch.ones(1, dtype=torch.int32))}


def count(module: nn.Module | None) -> int:
    return sum(parameter.numel() for parameter in module.parameters()) if module is not None else 0


def large(size: str, modality: str = "audio", **options: Any) -> AdapterNetwork:
    """On a published backbone, without memory for its numbers."""
    settings = ModelConfig.released(modality)  # type: ignore[arg-type]
    settings = dataclasses.replace(settings, clip=ClipConfig(conditioning="each"), **options)
    with torch.device("meta"):
        return AdapterNetwork(settings, Sam2VideoModel(sam2_config(size)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "encoder", "whole", "norms"),
    # The original's adapters (257 d + 128 parameters each) from block 9 on, counted for Hiera by hand.
    [("base-plus", 2_074_368, 2_403_584, 29_568), ("large", 6_370_368, 6_699_584, 95_616)],
)
def test_parameter_count_of_gavs(size, encoder, whole, norms):
    network = large(size, method="gavs", gavs=GavsConfig(norms=True))
    adapters: Any = network.adapters
    assert count(adapters.encoder_adapters) == encoder
    assert count(adapters.decoder_adapters) == 131_840
    assert count(adapters.audio_projection) == 197_376
    assert count(adapters) == whole
    assert sum(map(count, network.trained_modules.values())) == whole + norms


@pytest.mark.parametrize(
    ("size", "down", "up", "later", "pixels"),
    [
        ("base-plus", 1_585_152, 861_840, 1_680_192, 8_273_280),
        ("large", 3_170_304, 1_108_080, 3_462_336, 25_407_168),
    ],
)
def test_parameter_count_of_sama(size, down, up, later, pixels):
    network = large(size, method="sama")
    adapters: Any = network.adapters
    assert (count(adapters.down), count(adapters.up)) == (down, up)
    assert sum(map(count, network.trained_modules.values())) == down + up + 4_215_109
    assert count(large(size, method="sama", sama=SamaConfig(start_block=9)).adapters) == later
    tokens: Any = large(size, method="sama", sama=SamaConfig(start_block=9, form="image_token")).adapters
    # The sound's own way into the bottlenecks comes on top.
    assert (count(tokens.bottlenecks), count(tokens)) == (pixels, pixels + 128 * 512 + 512)


def test_parameter_count_of_text_variants():
    gavs: Any = large("base-plus", "audio+text", method="gavs").adapters
    assert (count(gavs.attentions), count(gavs.text_projection)) == (990_720, 98_432)
    for attention, number in (("shared", 1), ("per_block", 24)):
        sama: Any = large("base-plus", "audio+text", method="sama", sama=SamaConfig(text_attention=attention)).adapters
        assert count(sama.attentions) == number * 1_050_624


def test_channels_of_the_blocks_of_the_bundled_backbone():
    """EfficientNet-lite0 has 16 blocks in 7 stages."""
    sam2 = weight_sharing_copy(load_sam2(MINI))
    visible: list[tuple[int, int]] = []
    for block in attachment_points(sam2):
        block.inner.register_forward_hook(lambda _m, inputs, out: visible.append((inputs[0].shape[1], out.shape[1])))
    with torch.no_grad():
        sam2.vision_encoder(torch.zeros(1, 3, 64, 64))
    assert len(visible) == 16
    assert visible == [(block.in_channels, block.out_channels) for block in attachment_points(sam2)]


def test_missing_start_block_is_an_error():
    with pytest.raises(ConfigError, match="start_block 9: the image encoder has blocks 0 to 4"):
        AdapterNetwork(config(method="gavs"), small_sam2(SIZE, width=128))


def test_copy_shares_all_but_trainable_weights():
    sam2 = small_sam2(SIZE, width=128)
    result = weight_sharing_copy(sam2, ["mask_decoder"])
    names = dict(sam2.named_parameters())
    for name, parameter in result.named_parameters():
        trainable = name.startswith("mask_decoder.")
        assert (parameter is not names[name]) == trainable
        assert parameter.requires_grad == trainable
        assert torch.equal(parameter, names[name])


@pytest.mark.parametrize("method", ["gavs", "sama"])
def test_zero_initialised_adapters_are_the_identity(method):
    options: dict[str, Any] = {
        "gavs": GavsConfig(start_block=2, zero_init_last=True),
        "sama": SamaConfig(zero_init_last=True),
    }
    network = build_network(method, **{method: options[method]})
    pixels, log_mel = clip()
    with torch.no_grad():
        frames = network.encode(pixels, network.encode_audio(log_mel))
        plain = frame_features(network.sam2, encode_pyramid(network.sam2, pixels))
        with_adapters = build_network(method).encode(pixels, network.encode_audio(log_mel))
    for frame, same, other in zip(frames, plain, with_adapters, strict=True):
        assert torch.equal(frame.embedding, same.embedding)
        assert not torch.equal(other.embedding, same.embedding)


@pytest.mark.parametrize("form", FORMS)
def test_gradients_reach_trained_modules_alone(form, tmp_path):
    network = build_network(form, TextEncoder(save_small_text(tmp_path)))
    network.audio_encoder.requires_grad_(False)
    network.train()
    before = {name: value.clone() for name, value in network.sam2.state_dict().items()}
    pixels, log_mel = clip()
    decoded = network.decode(pixels, log_mel, network.encode_text("the dog"))
    (decoded.logits.square().mean() + decoded.ious.sum() + decoded.object_score.sum()).backward()
    for name, parameter in network.adapters.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    learning = {id(parameter) for part in network.trained_modules.values() for parameter in part.parameters()}
    for name, parameter in network.named_parameters():
        assert id(parameter) in learning or parameter.grad is None, name
    for group in (part for name, part in network.trained_modules.items() if name != "adapters"):
        assert any(parameter.grad is not None for parameter in group.parameters())
    torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1).step()
    assert all(torch.equal(value, before[name]) for name, value in network.sam2.state_dict().items())


@pytest.mark.parametrize("form", FORMS)
def test_audio_and_text_change_masks_of_their_frames(form, tmp_path):
    network = build_network(form, TextEncoder(save_small_text(tmp_path)))
    for last in network.adapters.modules():
        if isinstance(last, nn.Linear):
            nn.init.normal_(last.weight, std=0.1)
    pixels, log_mel = clip()
    other = log_mel.clone()
    other[1] = 3 * torch.randn(2, 96, 64, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        masks, without_audio, other_text = (
            network.decode(pixels, sound, network.encode_text(tokens)).logits
            for sound, tokens in ((log_mel, "the dog"), (other, "the dog"), (log_mel, "a cat on the left"))
        )
        outcome = network.decode(pixels[[2, 0]], log_mel, network.encode_text("the dog"), [2, 0]).logits
    changed = (masks != without_audio).flatten(1).any(1)
    assert changed.tolist() == [False, True, False]
    assert not torch.equal(masks, other_text)
    torch.testing.assert_close(outcome, masks[[2, 0]], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("form", ["gavs", "sama"])
def test_audio_input_is_mean_or_both_channels(form):
    log_mel = clip()[1]
    swapped = log_mel.flip(1)
    network = build_network(form)
    assert torch.allclose(network.encode_audio(log_mel), network.encode_audio(swapped))
    name = form.split()[0]
    stereo = build_network(
        form, **{name: dataclasses.replace(FORMS.get(name, {}).get(name, SamaConfig()), stereo=True)}
    )
    assert not torch.allclose(stereo.encode_audio(log_mel), stereo.encode_audio(swapped))
    assert stereo.encode_audio(log_mel).shape == (FRAMES, 128)


@pytest.mark.parametrize("form", ["gavs", "sama"])
def test_frames_are_independent(form):
    network = build_network(form)
    pixels, log_mel = clip()
    with torch.no_grad():
        tracked = track_clip(network, pixels, log_mel)
        decoded = network.decode(pixels, log_mel)
    for frame in tracked:
        torch.testing.assert_close(frame.decoded.logits[0], decoded.logits[frame.t], rtol=1e-3, atol=1e-4)


@pytest.fixture
def present():
    """Let SAM 2 find every object present: without feature prompts, masks of absent objects are empty."""
    bias = small_sam2(SIZE, width=128).mask_decoder.pred_obj_score_head.proj_out.bias
    before = bias.detach().clone()
    with torch.no_grad():
        bias += 100
    yield
    with torch.no_grad():
        bias.copy_(before)


@pytest.mark.usefixtures("present")
@pytest.mark.parametrize("form", ["gavs", "sama"])
def test_click_is_propagated_with_adapters(form):
    """With sound off the adapters stay in place, and masks are no longer those of SAM 2; with it they differ again."""
    network = build_network(form)
    own_output = AuralNetwork(config(), small_sam2(SIZE, width=128)).eval()
    pixels, log_mel = clip()
    with torch.no_grad():
        plain = track_clip(own_output, pixels, None, None, click())
        off = track_clip(network, pixels, None, None, click())
        on = track_clip(network, pixels, log_mel, None, click())
    for t in range(FRAMES):
        assert not torch.equal(off[t].logits, plain[t].logits)
        assert not torch.equal(on[t].logits, off[t].logits)


@pytest.mark.usefixtures("present")
@pytest.mark.parametrize("method", ["auralsam2", "gavs", "sama"])
def test_number_of_encoder_passes_of_an_ensemble(method):
    network = (
        build_network(method) if method != "auralsam2" else AuralNetwork(config(), small_sam2(SIZE, width=128)).eval()
    )
    if isinstance(network, AuralNetwork):
        let_sound_matter(network)
    pixels, log_mel = clip()
    calls: list[int] = []
    encoders = {id(m): m for m in (network.sam2.vision_encoder, getattr(network, "tuned", network.sam2).vision_encoder)}
    hooks = [first.register_forward_hook(lambda *_: calls.append(1)) for first in encoders.values()]
    with torch.no_grad():
        audible, pointed = track_separately(network, pixels, log_mel, None, click())
        passes = len(calls)
        alone = track_clip(network, pixels, log_mel)
        plain = track_clip(AuralNetwork(config(), small_sam2(SIZE, width=128)).eval(), pixels, None, None, click())
    for hook in hooks:
        hook.remove()
    assert passes == (1 if method == "auralsam2" else 2)
    for t in range(FRAMES):
        assert torch.equal(audible[t].logits, alone[t].logits)
        assert torch.equal(pointed[t].logits, plain[t].logits), "without adapters it is SAM 2"


@pytest.mark.parametrize("form", FORMS)
def test_baseline_is_saved_and_loaded(form, tmp_path):
    small_sam2(SIZE, width=128).save_pretrained(tmp_path / "sam2")
    network = build_network(form)
    with torch.no_grad():
        for part in network.trained_modules.values():
            for parameter in part.parameters():
                parameter.add_(0.01)
    folder = AuralSAM2(network, form).save_pretrained(tmp_path)
    again = AuralSAM2.from_pretrained(folder, "cpu")
    assert isinstance(again.network, AdapterNetwork)
    pixels, log_mel = clip()
    with torch.no_grad():
        assert torch.equal(again.network.decode(pixels, log_mel).logits, network.decode(pixels, log_mel).logits)
    trained = network.trained_state()
    again.network.load_trained({name.replace("audio_input", "ear"): value for name, value in trained.items()}, "0.1")
    assert {name.split(".")[0] for name in trained} <= {"adapters", "audio_encoder", "tuned"}
    with pytest.raises(ConfigError, match="missing"):
        network.load_trained(dict(list(trained.items())[1:]), "here")


def test_baseline_does_not_support_videos():
    model = AuralSAM2(build_network("gavs"), "gavs")
    with pytest.raises(UsageError, match="baseline gavs, which takes whole clips: use auralsam2 evaluate"):
        streaming_network(model)


def test_configuration_selects_the_method():
    assert isinstance(assemble_network(config(), small_sam2(SIZE, width=128)), AuralNetwork)
    with pytest.raises(
        ConfigError, match=r"method gavs processes each frame independently: set clip\.conditioning each"
    ):
        ModelConfig(method="gavs")
    with pytest.raises(ConfigError, match=r"gavs\.width 6"):
        GavsConfig(width=6)
    again = ModelConfig.from_dict(config(method="sama", sama=SamaConfig(stereo=True)).to_dict())
    assert again.sama.stereo
