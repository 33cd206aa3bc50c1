"""AuralFuser: from a visual pyramid and tokens of sound and text to feature prompts (paper §3.2)."""

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
    """What a clip's fusion gives.

    Attributes:
        prompts: for the mask decoder, level 0 first.
        tokens: all audio-text tokens after each level's fusion, (N, L) each; the first T rows are the audio prompts.
        fused: the levels' fusion results, for the contrastive loss.
    """

    prompts: FeaturePrompts
    tokens: tuple[torch.Tensor, ...]
    fused: tuple[FusionOutput, ...]

    @property
    def frames(self) -> int:
        """T."""
        return len(self.fused[0].visual)


def constant_positions(count: int, width: int, like: torch.Tensor) -> torch.Tensor:
    """The released token positions: position 0 of the sinusoid, (0, 1, 0, 1, …), for every token; (count, width)."""
    return torch.arange(width, device=like.device).remainder(2).to(like.dtype).expand(count, width)


def token_positions(count: int, width: int, like: torch.Tensor) -> torch.Tensor:
    """The paper's Pos^c: the sinusoid sin, cos(n / 10000^(2i / width)) of token n; (count, width)."""
    n = torch.arange(count, device=like.device, dtype=torch.float32)[:, None]
    rate = 10_000.0 ** (-torch.arange(0, width, 2, device=like.device, dtype=torch.float32) / width)
    return torch.stack([(n * rate).sin(), (n * rate).cos()], dim=2).flatten(1).to(like.dtype)


def _fusion(config: FuserConfig, *, framewise: bool) -> nn.Module:
    if config.fusion == "two_way":
        return CrossFusion(config, framewise=framewise)
    return TPAVI(config.width, config.inner_width, config.width, framewise=framewise)


class AuralFuser(nn.Module):
    """The module that the paper trains. Parameter names are those of the released checkpoints.

    `embed` works frame by frame and `fuse` on a whole clip, so that a stream of frames needs to store only the small
    result of the former.

    Args:
        config: the published fuser.
        extensions: extensions of this package; None for none.

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
        """Eq. 1: bring each level to the stride-16 grid.

        Args:
            pyramid: z_v, (T, L, 4h, 4w), (T, L, 2h, 2w), (T, L, h, w).

        Returns:
            K patch maps (T, L, h, w), K = `levels` of the configuration.
        """
        read = pyramid[: self.config.levels]
        if self.extensions.standardize_inputs:
            read = tuple(standard(level) for standard, level in zip(self.map_standards, read, strict=True))
        return tuple(embed(level) for embed, level in zip(self.patch_embeds, read, strict=True))

    def join(
        self, audio: torch.Tensor, text: torch.Tensor | None = None, around: torch.Tensor | None = None
    ) -> torch.Tensor:
        """z_c = [z_a, z_t].

        With scope `frame` a second of sound keeps to its frame. But what is said may be of the whole clip ("the one
        that never makes a sound"): all seconds then stand beside the words too, z_c = [z_a, z_around, z_t].

        Args:
            audio: (N_a, L) audio tokens.
            text: (N_t, text_width) features of the text encoder, where the model reads text; with scope `frame`, None
                where nothing is said.
            around: (N_r, L) audio tokens of all seconds of the clip, for scope `frame`; None: `audio` has them all.

        Returns:
            (N, L).

        Raises:
            ValueError: text given to a model without text, or missing.
        """
        reads = self.config.modality == "audio+text"
        if (text is not None) != reads and not (reads and self.framewise):
            raise ValueError(f"a fuser of modality {self.config.modality!r} got text: {text is not None}")
        heard = [audio]
        if text is not None and self.framewise:
            heard.append(audio if around is None else around)
        if self.extensions.standardize_inputs:
            heard = [self.token_standard(tokens) for tokens in heard]
        if not self.config.use_audio:
            heard = [torch.zeros_like(tokens) for tokens in heard]
        return torch.cat(heard if text is None else [*heard, self.text_proj(text).to(audio.dtype)])

    def fuse(self, patches: tuple[torch.Tensor, ...], tokens: torch.Tensor, position: torch.Tensor) -> FuserOutput:
        """Eq. 2 to 4 for one clip.

        Args:
            patches: the maps (T, L, h, w) from `embed`.
            tokens: (N, L) from `join`; row t < T is the sound of frame t. With scope `frame`, all others are words or
                stand beside them.
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
        if self.framewise:  # audio tokens have no order
            token_position = torch.cat([torch.zeros_like(tokens[:frames]), token_position[: len(tokens) - frames]])
        # Token-major memory from here on: blocks that read and write one layout are twice as quick on a CPU.
        visual_position = position.flatten(2).transpose(1, 2).contiguous()
        heard, levels = tokens, []
        for level, patch in enumerate(patches):
            visual = patch.flatten(2).transpose(1, 2).contiguous()
            if level:
                visual = pointwise(self.smooth_convs[level - 1], visual + levels[-1].visual)
                # Eq. 2 starts each level from z_c itself; the released code hands the fused tokens on.
                heard = levels[-1].tokens if released else tokens
            visual = visual + visual_position
            visual = self.f_blocks[level](visual, tuple(grid))
            heard = self._listen(level, heard + token_position, frames)
            levels.append(self.fusion_modules[level](visual + visual_position, heard + token_position))
        drawn = None
        if self.extensions.predict_coarse_mask:
            visual_embedding = self.train_proj_v1(levels[-1].visual)
            audio_embedding = self.train_proj_a1(levels[-1].tokens[:frames, None])
            drawn = coarse_mask(visual_embedding, audio_embedding, tuple(grid))
        return FuserOutput(
            prompts=FeaturePrompts(
                visual_prompts=self._weigh("visual_gains", [level.visual for level in levels]),
                audio_prompts=self._weigh("audio_gains", [level.tokens[:frames] for level in levels]),
                drawn=drawn,
            ),
            tokens=tuple(level.tokens for level in levels),
            fused=tuple(levels),
        )

    def project(self, output: FuserOutput) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
        """Eq. 7: embeddings for the contrastive loss, level 0 first.

        Returns:
            e_v of each level, (T, h·w, projection), and e_a of each level, (n, projection), of norm 1 over channels; n
            is T, but 10 (or N, if less) in the released audio + text variant, whose e_v come from the fusion's
            residuals and have norm 1 over positions.
        """
        if self.config.variant == "released" and self.config.modality == "audio+text":
            visual = [self.train_proj_v1(fused.visual_residual, normalised_axis=1) for fused in output.fused]
            heard = [tokens[:REFERENCE_ROWS] for tokens in output.tokens]
        else:
            visual = [self.train_proj_v1(fused.visual) for fused in output.fused]
            heard = [tokens[: output.frames] for tokens in output.tokens]
        return tuple(visual), tuple(self.train_proj_a1(tokens.unsqueeze(1)).squeeze(1) for tokens in heard)

    def _listen(self, level: int, tokens: torch.Tensor, frames: int) -> torch.Tensor:
        """Apply the self-attention of a level to (N, L) tokens."""
        blocks = self.a_blocks[level]
        if not self.framewise:
            return blocks(tokens[None])[0]
        return blocks(tokens[None], mask=framewise_token_mask(len(tokens), frames, tokens.device))[0]

    def _weigh(self, gains: str, prompts: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """The prompts of each level times the gains of its channels, where the fuser has such."""
        if not self.extensions.standardize_inputs:
            return tuple(prompts)
        return tuple(prompt * gain for prompt, gain in zip(prompts, self.get_parameter(gains), strict=True))
