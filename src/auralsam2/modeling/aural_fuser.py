"""AuralFuser: from a visual pyramid and audio and text tokens to feature prompts (paper §3.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from auralsam2.config import ExtensionsConfig, FuserConfig
from auralsam2.modeling.cross_fusion import TPAVI, CrossFusion, FusionOutput, pointwise
from auralsam2.modeling.extensions import ChannelStandardizer, coarse_mask, framewise_token_mask
from auralsam2.modeling.projection import REFERENCE_ROWS, Projection
from auralsam2.modeling.self_attention import TransformerBlocks
from auralsam2.types import FeaturePrompts

PATCH_SIZES = (4, 2, 1)
TEXT_HIDDEN = 1024


@dataclass(frozen=True, slots=True)
class FuserOutput:
    """Output of AuralFuser for one clip.

    Attributes:
        prompts: feature prompts for the mask decoder, level 0 first.
        tokens: audio and text tokens after the fusion of each level, (N, L) each; the first T rows are the audio
            prompts.
        fused: fusion outputs of the levels, for the contrastive loss.
        last_embeddings: e_v (T, h·w, projection) and e_a (T, 1, projection) of the last level, if the coarse mask took
            them.
    """

    prompts: FeaturePrompts
    tokens: tuple[torch.Tensor, ...]
    fused: tuple[FusionOutput, ...]
    last_embeddings: tuple[torch.Tensor, torch.Tensor] | None = None

    @property
    def frames(self) -> int:
        """T, the number of frames."""
        return len(self.fused[0].visual)


def constant_positions(count: int, width: int, like: torch.Tensor) -> torch.Tensor:
    """Return position 0 of the sinusoid, (0, 1, 0, 1, …), for every token, as released: (count, width)."""
    return torch.arange(width, device=like.device).remainder(2).to(like.dtype).expand(count, width)


def token_positions(count: int, width: int, like: torch.Tensor) -> torch.Tensor:
    """Return the paper's Pos^c, sin and cos of n / 10000^(2i / width) for token n: (count, width)."""
    n = torch.arange(count, device=like.device, dtype=torch.float32)[:, None]
    rate = 10_000.0 ** (-torch.arange(0, width, 2, device=like.device, dtype=torch.float32) / width)
    return torch.stack([(n * rate).sin(), (n * rate).cos()], dim=2).flatten(1).to(like.dtype)


def _fusion(config: FuserConfig, *, framewise: bool) -> nn.Module:
    if config.fusion == "two_way":
        return CrossFusion(config, framewise=framewise)
    return TPAVI(config.width, config.inner_width, config.width, framewise=framewise)


class AuralFuser(nn.Module):
    """AuralFuser, the module that the paper trains, with the parameter names of the released checkpoints.

    `embed` works frame by frame and `fuse` on a whole clip. Between the two, a stream of frames stores the patch maps
    alone.

    Args:
        config: configuration of the published fuser.
        extensions: extensions of this package; None: none.

    Raises:
        ConfigError: the extensions do not fit the fuser.
    """

    def __init__(self, config: FuserConfig, extensions: ExtensionsConfig | None = None) -> None:
        super().__init__()
        self.config, self.extensions = config, extensions or ExtensionsConfig()
        self.extensions.check_fuser(config)
        self.framewise = self.extensions.attention_scope == "frame"
        width = config.width
        sizes, depths = PATCH_SIZES[: config.levels], config.visual_depths[: config.levels]
        self.patch_embeds = nn.ModuleList(nn.Conv2d(width, width, size, stride=size) for size in sizes)
        self.f_blocks = nn.ModuleList(TransformerBlocks(config, depth, spatial=True) for depth in depths)
        self.a_blocks = nn.ModuleList(TransformerBlocks(config, config.token_depth, spatial=False) for _ in sizes)
        self.fusion_modules = nn.ModuleList(_fusion(config, framewise=self.framewise) for _ in sizes)
        self.smooth_convs = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in sizes[1:])
        self.train_proj_v1 = Projection(config, spatial=True)
        self.train_proj_a1 = Projection(config, spatial=False)
        if self.extensions.standardize_inputs:
            self.map_standards = nn.ModuleList(ChannelStandardizer(width) for _ in sizes)
            self.token_standard = ChannelStandardizer(width)
            self.visual_gains, self.audio_gains = (nn.Parameter(torch.ones(len(sizes), width)) for _ in range(2))
        if config.modality == "audio+text":
            self.text_proj = nn.Sequential(
                nn.Linear(config.text_width, TEXT_HIDDEN), nn.GELU(), nn.Linear(TEXT_HIDDEN, width)
            )

    def embed(self, pyramid: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """Project each pyramid level to the stride-16 grid (Eq. 1).

        Args:
            pyramid: z_v, (T, L, 4h, 4w), (T, L, 2h, 2w), (T, L, h, w).

        Returns:
            K patch maps (T, L, h, w), K = `config.levels`.
        """
        selected = pyramid[: self.config.levels]
        if self.extensions.standardize_inputs:
            selected = tuple(standard(level) for standard, level in zip(self.map_standards, selected, strict=True))
        return tuple(embed(level) for embed, level in zip(self.patch_embeds, selected, strict=True))

    def concat_tokens(
        self, audio: torch.Tensor, text: torch.Tensor | None = None, clip_audio: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Concatenate audio and text tokens: z_c = [z_a, z_t].

        With attention scope `frame`, an audio token reaches its own frame alone. A text may refer to the whole clip
        ("the one that never makes a sound"), so that the audio tokens of the clip are repeated beside it:
        z_c = [z_a, z_clip, z_t].

        Args:
            audio: (N_a, L) audio tokens.
            text: (N_t, text_width) features of the text encoder, for models that read text. With scope `frame`, None
                if there is no text.
            clip_audio: (N_r, L) audio tokens of the whole clip, with scope `frame`; None: those of `audio`.

        Returns:
            (N, L).

        Raises:
            ValueError: text for a model without text, or no text for a model that needs it.
        """
        reads_text = self.config.modality == "audio+text"
        if (text is not None) != reads_text and not (reads_text and self.framewise):
            raise ValueError(f"a fuser of modality {self.config.modality!r} got text: {text is not None}")
        parts = [audio]
        if text is not None and self.framewise:
            parts.append(audio if clip_audio is None else clip_audio)
        if self.extensions.standardize_inputs:
            parts = [self.token_standard(tokens) for tokens in parts]
        if not self.config.use_audio:
            parts = [torch.zeros_like(tokens) for tokens in parts]
        return torch.cat(parts if text is None else [*parts, self.text_proj(text).to(audio.dtype)])

    def fuse(self, patches: tuple[torch.Tensor, ...], tokens: torch.Tensor, position: torch.Tensor) -> FuserOutput:
        """Compute Eq. 2 to 4 for one clip.

        Args:
            patches: K maps (T, L, h, w) from `embed`.
            tokens: (N, L) from `concat_tokens`; row t < T is the audio of frame t. With scope `frame`, the others
                belong to the whole clip.
            position: (1, L, h, w) sine position map of the grid.

        Raises:
            ValueError: fewer tokens than frames.
        """
        frames, _, *grid = patches[0].shape
        if len(tokens) < frames:
            raise ValueError(f"{frames} frames need as many tokens of sound, got {len(tokens)}")
        released = self.config.variant == "released"
        positions_of = constant_positions if released else token_positions
        token_position = positions_of(len(tokens), tokens.shape[1], tokens)
        if self.framewise:  # the audio tokens of frames have no order
            token_position = torch.cat([torch.zeros_like(tokens[:frames]), token_position[: len(tokens) - frames]])
        # Token-major memory: blocks that read and write one layout are twice as fast on a CPU.
        visual_position = position.flatten(2).transpose(1, 2).contiguous()
        level_tokens, levels = tokens, []
        for level, patch in enumerate(patches):
            visual = patch.flatten(2).transpose(1, 2).contiguous()
            if level:
                visual = pointwise(self.smooth_convs[level - 1], visual + levels[-1].visual)
                # Eq. 2 starts each level from z_c; the released code passes on the fused tokens.
                level_tokens = levels[-1].tokens if released else tokens
            visual = visual + visual_position
            visual = self.f_blocks[level](visual, tuple(grid))
            level_tokens = self._attend_tokens(level, level_tokens + token_position, frames)
            levels.append(self.fusion_modules[level](visual + visual_position, level_tokens + token_position))
        coarse = embeddings = None
        if self.extensions.predict_coarse_mask:
            embeddings = self.train_proj_v1(levels[-1].visual), self.train_proj_a1(levels[-1].tokens[:frames, None])
            coarse = coarse_mask(*embeddings, tuple(grid))
        return FuserOutput(
            prompts=FeaturePrompts(
                visual_prompts=self._scale_prompts("visual_gains", [level.visual for level in levels]),
                audio_prompts=self._scale_prompts("audio_gains", [level.tokens[:frames] for level in levels]),
                coarse_mask=coarse,
            ),
            tokens=tuple(level.tokens for level in levels),
            fused=tuple(levels),
            last_embeddings=embeddings,
        )

    def project(self, output: FuserOutput) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
        """Project the levels for the contrastive loss (Eq. 7), level 0 first.

        Returns:
            e_v of each level, (T, h·w, projection), and e_a of each level, (n, projection), of norm 1 over channels. n
            is T. In the released audio + text variant n is 10 (or N, if less), and e_v are projections of the fusion's
            residuals, of norm 1 over positions.
        """
        if self.config.variant == "released" and self.config.modality == "audio+text":
            visual = [self.train_proj_v1(fused.visual_residual, normalised_axis=1) for fused in output.fused]
            audio = [tokens[:REFERENCE_ROWS] for tokens in output.tokens]
        else:
            projected = output.fused if output.last_embeddings is None else output.fused[:-1]
            visual = [self.train_proj_v1(fused.visual) for fused in projected]
            audio = [fused.tokens[: output.frames] for fused in projected]
        embeddings_a = [self.train_proj_a1(tokens.unsqueeze(1)) for tokens in audio]
        if output.last_embeddings is not None:
            visual, embeddings_a = (
                [*levels, last] for levels, last in zip((visual, embeddings_a), output.last_embeddings, strict=True)
            )
        return tuple(visual), tuple(embedding.squeeze(1) for embedding in embeddings_a)

    def _attend_tokens(self, level: int, tokens: torch.Tensor, frames: int) -> torch.Tensor:
        blocks = self.a_blocks[level]
        if not self.framewise:
            return blocks(tokens[None])[0]
        return blocks(tokens[None], mask=framewise_token_mask(len(tokens), frames, tokens.device))[0]

    def _scale_prompts(self, gains: str, prompts: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Multiply the prompts of each level by its gains, with `extensions.standardize_inputs`."""
        if not self.extensions.standardize_inputs:
            return tuple(prompts)
        return tuple(prompt * gain for prompt, gain in zip(prompts, self.get_parameter(gains), strict=True))
