"""Names and shapes of the tensors of a release, and the names of SAM 2's tensors in transformers.

A release of AuralSAM2 is a table of tensors; `convert` reads the files. `modern_names` maps the names of older exports.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from auralsam2.config import ModelConfig

Shapes = dict[str, tuple[int, ...]]

FUSER_PREFIXES = ("aural_fuser.", "audio_prompter.")
"""Prefixes of the fuser's tensors in a full checkpoint, current and older."""

UNUSED = re.compile(r"fusion_modules\.\d\.(g|align_channel_back)\.|a_blocks\.\d\.\d+\.(attn\.(sr|norm)|mlp\.dwconv)\.")
"""Tensors of the release that the forward pass does not use: checked, then omitted from the model folder."""

_LEGACY_NAMES = (
    ("train_f_patch_embed", "patch_embeds"),
    ("train_f_a_block", "fusion_modules"),
    ("train_f_block", "f_blocks"),
    ("train_a_block", "a_blocks"),
    ("train_smooth", "smooth_convs"),
)

# `training_layers.<i>.` of older exports, by i.
_LISTED = (
    *(f"patch_embeds.{level}" for level in range(3)),
    *(f"{part}.{level}" for level in range(3) for part in ("f_blocks", "a_blocks", "fusion_modules")),
    *("smooth_convs.0", "smooth_convs.1", "train_proj_v1", "train_proj_a1", "text_proj"),
)
_TEXT_INDEX = _LISTED.index("text_proj")

# SAM 2's names to transformers' names: each rule is applied, in this order, to the result of the previous one.
_SAM2_RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^maskmem_tpos_enc$", "memory_temporal_positional_encoding"),
        (r"^no_mem_embed$", "no_memory_embedding"),
        (r"^no_mem_pos_enc$", "no_memory_positional_encoding"),
        (r"^no_obj_ptr$", "no_object_pointer"),
        (r"^obj_ptr_proj\.", "object_pointer_proj."),
        (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
        (r"^image_encoder\.neck\.convs\.(\d+)\.conv\.", r"vision_encoder.neck.convs.\1."),
        (r"\.patch_embed\.proj\.", ".patch_embed.projection."),
        (r"^memory_encoder\.pix_feat_proj\.", "memory_encoder.feature_projection."),
        (r"^memory_encoder\.out_proj\.", "memory_encoder.projection."),
        (r"^memory_encoder\.fuser\.", "memory_encoder.memory_fuser."),
        (r"\.gamma$", ".scale"),
        (r"\.dwconv\.", ".depthwise_conv."),
        (r"\.pwconv(\d)\.", r".pointwise_conv\1."),
        *(
            (rf"\.mask_downsampler\.encoder\.{3 * i + k}\.", f".mask_downsampler.layers.{i}.{part}.")
            for i in range(4)
            for k, part in enumerate(("conv", "layer_norm"))
        ),
        (r"\.mask_downsampler\.encoder\.12\.", ".mask_downsampler.final_conv."),
        (r"^sam_prompt_encoder\.point_embeddings\.(\d)\.weight$", r"prompt_encoder.point_embed.weight[\1]"),
        (r"^sam_prompt_encoder\.", "prompt_encoder."),
        *(
            (rf"\.mask_downscaling\.{i}\.", f".mask_embed.{part}.")
            for i, part in ((0, "conv1"), (1, "layer_norm1"), (3, "conv2"), (4, "layer_norm2"), (6, "conv3"))
        ),
        (r"^sam_mask_decoder\.", "mask_decoder."),
        *(
            (rf"\.output_upscaling\.{i}\.", f".upscale_{part}.")
            for i, part in ((0, "conv1"), (1, "layer_norm"), (3, "conv2"))
        ),
        (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
        (r"\.norm(\d?)\.", r".layer_norm\1."),
        (r"\.out_proj\.", ".o_proj."),
        (r"\.mlp\.layers\.0\.", ".mlp.proj_in."),
        (r"\.mlp\.layers\.1\.", ".mlp.proj_out."),
        *(
            (rf"(_mlps\.\d|_head|_pointer_proj)\.layers\.{i}\.", rf"\1.{part}.")
            for i, part in ((0, "proj_in"), (1, "layers.0"), (2, "proj_out"))
        ),
    )
)
_GAUSSIAN = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
_GAUSSIAN_NAMES = (
    "shared_image_embedding.positional_embedding",
    "prompt_encoder.shared_embedding.positional_embedding",
)


def modern_names(names: Iterable[str]) -> dict[str, str]:
    """Map the names of the fuser's tensors in any export to current names without prefix; duplicates are dropped.

    Older exports have the prefix `audio_prompter.` instead of `aural_fuser.`, count levels from one (`train_f_block1`),
    and repeat all layers in the lists `training_layers.<i>` and `finetuning_layers.0` (VGGish). A list is read only if
    it adds tensors: not in an audio-only file with the named layers, and VGGish's not beside `vgg.`. If two names
    denote the same tensor, the first one is used.

    Args:
        names: names of the fuser's tensors, with or without prefix, in the order of the file.

    Returns:
        name in the file to current name, in the order of the file.
    """
    bare = {name: _without(name, FUSER_PREFIXES) for name in names}
    listed = {name for name, suffix in bare.items() if suffix.startswith(("training_layers.", "finetuning_layers."))}
    reads_text = any(suffix.startswith(("text_proj.", f"training_layers.{_TEXT_INDEX}.")) for suffix in bare.values())
    skip_lists = not reads_text and len(listed) < len(bare)
    has_vgg = any(name.startswith(("aural_fuser.vgg.", "vgg.")) for name in bare)

    result: dict[str, str] = {}
    claimed: set[str] = set()
    for name, suffix in bare.items():
        new = suffix
        if name in listed:
            kind, index, tail = (*suffix.split(".", 2), "", "")[:3]
            if skip_lists or (kind == "finetuning_layers" and has_vgg):
                continue
            if kind == "finetuning_layers" and index == "0":
                new = f"vgg.{tail}"
            elif kind == "training_layers" and index.isdecimal() and len(index) < 5:
                if int(index) >= len(_LISTED):
                    continue
                new = f"{_LISTED[int(index)]}.{tail}"
        for old, current in _LEGACY_NAMES:
            for number in (1, 2, 3):
                new = new.replace(f"{old}{number}", f"{current}.{number - 1}")
        if new not in claimed:
            claimed.add(new)
            result[name] = new
    return result


def sam2_names(name: str) -> tuple[str, ...]:
    """Return the one or two names in transformers' `Sam2VideoModel` of a tensor of the SAM 2 release.

    `weight[i]` means row i of `weight`.
    """
    for pattern, replacement in _SAM2_RULES:
        name = pattern.sub(replacement, name)
    return _GAUSSIAN_NAMES if name == _GAUSSIAN else (name,)


def fuser_shapes(config: ModelConfig) -> Shapes:
    """Return names and shapes of the fuser in a release of this configuration, with VGGish under `vgg.`."""
    fuser, audio = config.fuser, config.audio_encoder
    width, inner = fuser.width, fuser.inner_width
    shapes: Shapes = {}

    def layer(name: str, *shape: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = shape, shape[:1]

    def batch_norm(name: str, size: int) -> None:
        layer(name, size)
        shapes[f"{name}.running_mean"] = shapes[f"{name}.running_var"] = (size,)
        shapes[f"{name}.num_batches_tracked"] = ()

    a, b, c, d = audio.channels
    for index, out, in_channels in ((0, a, 1), (3, b, a), (6, c, b), (8, c, c), (11, d, c), (13, d, d)):
        layer(f"vgg.features.{index}", out, in_channels, 3, 3)
    # Four poolings reduce 96 frames × 64 bands to 6 × 4.
    layer("vgg.embeddings.0", audio.hidden, d * 6 * 4)
    layer("vgg.embeddings.2", audio.hidden, audio.hidden)
    layer("vgg.embeddings.4", audio.embedding, audio.hidden)

    for level, patch in enumerate((4, 2, 1)):
        layer(f"patch_embeds.{level}", width, width, patch, patch)
        for side, depth in (("f_blocks", fuser.visual_depths[level]), ("a_blocks", fuser.token_depth)):
            for block in range(depth):
                name = f"{side}.{level}.{block}"
                for norm in ("norm1", "norm2", "attn.norm"):
                    layer(f"{name}.{norm}", width)
                layer(f"{name}.attn.q", width, width)
                layer(f"{name}.attn.kv", 2 * width, width)
                layer(f"{name}.attn.proj", width, width)
                layer(f"{name}.attn.sr", width, width, 4, 4)
                layer(f"{name}.mlp.fc1", 4 * width, width)
                layer(f"{name}.mlp.fc2", width, 4 * width)
                layer(f"{name}.mlp.dwconv.dwconv", 4 * width, 1, 3, 3)
        name = f"fusion_modules.{level}"
        layer(f"{name}.align_channel", width, width, 1)
        layer(f"{name}.align_channel_back", inner, width, 1)
        for side, kernel, out in (("frame", (1, 1, 1), "W_z"), ("audio", (1,), "W_z2")):
            for role in "qkv":
                layer(f"{name}.{role}_{side}", inner, width, *kernel)
            layer(f"{name}.{out}.0", width, inner, *kernel)
            batch_norm(f"{name}.{out}.1", width)
        layer(f"{name}.g", inner, width, 1, 1, 1)
        layer(f"{name}.norm_layer", width)
        layer(f"{name}.norm_layer2", width)
    for level in range(2):
        layer(f"smooth_convs.{level}", width, width, 1, 1)

    for head, kernel in (("train_proj_v1.proj", (1, 1)), ("train_proj_a1.proj", (1,))):
        if fuser.modality == "audio":
            layer(f"{head}.0", fuser.projection, width, *kernel)
            batch_norm(f"{head}.1", fuser.projection)
            layer(f"{head}.2", fuser.projection, fuser.projection, *kernel)
        else:
            layer(f"{head}.0", fuser.projection, width)
            layer(f"{head}.2", fuser.projection)
            layer(f"{head}.3", fuser.projection, fuser.projection)
    if fuser.modality == "audio+text":
        layer("text_proj.0", 4 * width, fuser.text_width)
        layer("text_proj.2", width, 4 * width)
    return shapes


def _without(name: str, prefixes: tuple[str, ...]) -> str:
    return next((name.removeprefix(prefix) for prefix in prefixes if name.startswith(prefix)), name)
