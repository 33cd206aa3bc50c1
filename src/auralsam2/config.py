"""Configuration of a model: frozen dataclasses, presets, and the round trip through `config.json`.

Nothing here imports torch, so that a command can read a model's configuration in milliseconds.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from auralsam2.errors import ConfigError, quoted
from auralsam2.utils import strict_json
from auralsam2.utils.configs import bounded_field, build_config, check_fields
from auralsam2.utils.weights import CONFIG_FILE

Variant = Literal["released", "paper"]
Modality = Literal["audio", "audio+text"]
Conditioning = Literal["first", "middle", "each"]
Scope = Literal["clip", "frame"]
Fusion = Literal["two_way", "tpavi"]
Method = Literal["auralsam2", "gavs", "sama"]
AdapterForm = Literal["audio_vector", "image_token"]
TextAttention = Literal["shared", "per_block"]

SAM2_FOLDER, TEXT_FOLDER = "sam2", "text"
"""Where, inside a model folder, its own SAM 2 and text encoder lie."""
SCHEMA = "auralsam2.model/1"
SAM2_LARGE = "facebook/sam2-hiera-large"
DISTILROBERTA = "distilbert/distilroberta-base"

# The greatest numbers that a configuration may ask for: far above any published model, and still constructible.
_WIDEST, _DEEPEST, _LONGEST, _LARGEST = 16_384, 128, 100_000, 8192


@dataclass(frozen=True, kw_only=True)
class AudioEncoderConfig:
    """A VGGish-shaped encoder of 0.96 s of one channel of sound.

    Attributes:
        channels: widths of the four convolution stages.
        hidden: width of the two hidden fully connected layers.
        embedding: width of the result; left and right together give one token of twice this width.
    """

    channels: tuple[int, int, int, int] = bounded_field((64, 128, 256, 512), 1, _WIDEST)
    hidden: int = bounded_field(4096, 1, _WIDEST)
    embedding: int = bounded_field(128, 1, _WIDEST)

    def __post_init__(self) -> None:
        check_fields(self, "audio_encoder")


@dataclass(frozen=True, kw_only=True)
class FuserConfig:
    """AuralFuser.

    Attributes:
        variant: `released` computes what the released checkpoints were trained with, `paper` the equations as printed.
        modality: tokens of sound alone, or of sound and text.
        scope: what attends to what in the cross-modal fusion: `clip`, as published, all pixels of a clip to all its
            seconds of sound and the other way round; `frame` keeps each second of sound to its own frame. It needs the
            variant `paper`.
        fusion: the block in which the sides meet: `two_way`, the paper's, or `tpavi`, the one that it was adapted from,
            of sound alone; an ablation.
        draws: the fuser also draws a rough mask, the similarity of what is seen and heard at the last level, which
            SAM 2's own prompt encoder reads. It needs scope `frame`.
        standardise: maps and tokens of sound are brought to a mean of 0 and a deviation of 1, measured before training,
            and the prompts of each level have learned gains: for encoders whose numbers are far from the size that
            weights start for.
        width: L, channels of pyramid, tokens and prompts.
        inner_width: L', channels inside the cross-modal fusion.
        heads: attention heads of the self-attention blocks.
        visual_depths: self-attention blocks of the visual side at levels 0, 1, 2.
        token_depth: self-attention blocks of the tokens' side, each level.
        dropout: probability, on attention weights, their projection and the MLPs.
        projection: width of the embeddings for the contrastive loss.
        text_width: width of the text encoder's features.
        levels: how many levels of the pyramid are read, the finest first; they prompt as many steps of the decoder.
        hears: whether sound is heard; without it, the tokens of sound are empty and only what is learned, or read,
            fills them.
    """

    variant: Variant = "released"
    modality: Modality = "audio"
    scope: Scope = "clip"
    fusion: Fusion = "two_way"
    draws: bool = False
    standardise: bool = False
    width: int = bounded_field(256, 1, _WIDEST)
    inner_width: int = bounded_field(128, 1, _WIDEST)
    heads: int = bounded_field(4, 1, 1024)
    visual_depths: tuple[int, int, int] = bounded_field((3, 6, 12), 0, _DEEPEST)
    token_depth: int = bounded_field(3, 0, _DEEPEST)
    dropout: float = bounded_field(0.1, 0, 1)
    projection: int = bounded_field(128, 1, _WIDEST)
    text_width: int = bounded_field(768, 1, _WIDEST)
    levels: Literal[1, 2, 3] = 3
    hears: bool = True

    def __post_init__(self) -> None:
        check_fields(self, "fuser")
        if self.width % self.heads:
            raise ConfigError(f"fuser.width {self.width} is not a multiple of fuser.heads {self.heads}")
        if self.scope == "frame" and self.variant != "paper":
            raise ConfigError("fuser.scope 'frame' goes with fuser.variant 'paper'; the released one is fixed")
        if self.fusion == "tpavi" and self.variant != "paper":
            raise ConfigError("fuser.fusion tpavi goes with fuser.variant 'paper'; the released one is fixed")
        if self.fusion == "tpavi" and self.modality != "audio":
            raise ConfigError("fuser.fusion tpavi knows sound alone: set fuser.modality audio")
        if self.draws and self.scope != "frame":
            raise ConfigError("fuser.draws goes with fuser.scope 'frame'")
        if self.scope == "frame" and self.inner_width % self.heads:
            raise ConfigError(f"fuser.inner_width {self.inner_width} is not a multiple of fuser.heads {self.heads}")

    @classmethod
    def preset(cls, variant: Variant, modality: Modality = "audio", **changes: Any) -> FuserConfig:
        """The sizes that belong to a variant: 3 + 6 + 12 visual blocks as released, 3 + 3 + 3 in the paper."""
        sizes: dict[str, Any] = {}
        if variant == "paper":
            sizes = {"visual_depths": (3, 3, 3), "token_depth": 1, "projection": 64}
        return cls(variant=variant, modality=modality, **(sizes | changes))


@dataclass(frozen=True, kw_only=True)
class PromptingConfig:
    """How the feature prompts enter the mask decoder.

    Attributes:
        coarse_first: the first of the three steps takes level 2 (stride 16), as released; else level 0, as in Eq. 5.
        mask_tokens: how many of the four mask tokens receive the audio prompt: all 4, as released, or the 3 of
            the multi-mask output, as in the paper.
        into_positions: the first audio prompt is added to the queries' position term too (it is the same tensor in the
            released code).
        dense: visual prompts are added to the image.
        sparse: audio prompts are added to the mask tokens.
        gated: masks are empty where the object score says that nothing is there; as in SAM 2, but not as released.
        caution: is taken off the object score, a logit, where feature prompts are read; chosen after training, by how
            often something is found where nothing is (`experiments/caution.py`). An expression is true of a clip or is
            not: with one, it is taken off the clip's mean, which no frame's score then exceeds.
    """

    coarse_first: bool = True
    mask_tokens: Literal[3, 4] = 4
    into_positions: bool = True
    dense: bool = True
    sparse: bool = True
    gated: bool = False
    caution: float = bounded_field(0.0, -1000, 1000)

    def __post_init__(self) -> None:
        check_fields(self, "prompting")
        if not (self.dense or self.sparse):
            raise ConfigError("prompting.dense and prompting.sparse are both false: nothing would prompt the decoder")

    @classmethod
    def preset(cls, variant: Variant) -> PromptingConfig:
        """The prompting that belongs to a variant of the fuser."""
        if variant == "paper":
            return cls(coarse_first=False, mask_tokens=3, into_positions=False)
        return cls()


@dataclass(frozen=True, kw_only=True)
class GavsConfig:
    """The baseline GAVS†: adapters in SAM 2's image encoder and mask decoder, and one token of sound as the prompt.

    Attributes:
        start_block: first block of the image encoder with an adapter, from 0.
        width: of the adapters' bottlenecks.
        zero_init_last: adapters begin as nothing; else with random weights, as the original's.
        norms: the layer normalisations of the blocks after `start_block` learn too, as in the original.
        stereo: left and right are heard side by side; else their mean, as one channel.
        standardise: what is heard is brought to a mean of 0 and a deviation of 1, measured before training.
    """

    start_block: int = bounded_field(9, 0, 1000)
    width: int = bounded_field(128, 4, _WIDEST)
    zero_init_last: bool = True
    norms: bool = False
    stereo: bool = False
    standardise: bool = False

    def __post_init__(self) -> None:
        check_fields(self, "gavs")
        _check_adapters("gavs", self.width)


@dataclass(frozen=True, kw_only=True)
class SamaConfig:
    """The baseline SAMA-AVS†: sound is added to what the blocks of SAM 2's image encoder read; its decoder learns.

    Attributes:
        start_block: first block with an adapter, from 0.
        width: of the adapters' bottlenecks.
        form: what goes through the bottleneck: `audio_vector`, the sound of a frame, added to every pixel, as in the
            original; `image_token`, each pixel, to whose bottleneck the sound is added.
        text_attention: what is said is read by one attention for all adapters, or by one for each.
        zero_init_last: adapters begin as nothing; else with random weights, as the original's.
        stereo: left and right are heard side by side; else their mean, as one channel.
        standardise: what is heard is brought to a mean of 0 and a deviation of 1, measured before training.
    """

    start_block: int = bounded_field(0, 0, 1000)
    width: int = bounded_field(512, 4, _WIDEST)
    form: AdapterForm = "audio_vector"
    text_attention: TextAttention = "shared"
    zero_init_last: bool = False
    stereo: bool = False
    standardise: bool = False

    def __post_init__(self) -> None:
        check_fields(self, "sama")
        _check_adapters("sama", self.width)


def _check_adapters(method: str, width: int) -> None:
    if width % 4:
        raise ConfigError(f"{method}.width {width} is not a multiple of 4, the heads that read text")


@dataclass(frozen=True, kw_only=True)
class ClipConfig:
    """The clips a model was trained on; longer videos are cut into windows of this length.

    Attributes:
        frames: T, frames one second apart.
        conditioning: which frame of a clip starts the memory: the first, the one in the middle (T // 2), or each: then
            sound finds its objects in every frame anew, and memory serves what the user points at alone.
    """

    frames: int = bounded_field(5, 1, _LONGEST)
    conditioning: Conditioning = "first"

    def __post_init__(self) -> None:
        check_fields(self, "clip")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A whole model. `sam2` and `text` are hub ids or folders; a relative folder lies inside the model's own.

    Attributes:
        method: AuralSAM2, or a baseline on the same frozen SAM 2. A baseline takes from `fuser` the modality and the
            widths alone.
        sam2: the frozen SAM 2, in transformers' format.
        text: the frozen text encoder with its tokeniser; None where the fuser reads no text.
        image_size: S, pixels; None for the size of SAM 2's own configuration.
        audio_encoder: the encoder of sound.
        fuser: AuralFuser.
        prompting: how its prompts enter the mask decoder.
        gavs, sama: the baselines.
        clip: clips of the training data.
    """

    method: Method = "auralsam2"
    sam2: str = SAM2_LARGE
    text: str | None = None
    image_size: int | None = bounded_field(None, 32, _LARGEST)
    audio_encoder: AudioEncoderConfig = field(default_factory=AudioEncoderConfig)
    fuser: FuserConfig = field(default_factory=FuserConfig)
    prompting: PromptingConfig = field(default_factory=PromptingConfig)
    gavs: GavsConfig = field(default_factory=GavsConfig)
    sama: SamaConfig = field(default_factory=SamaConfig)
    clip: ClipConfig = field(default_factory=ClipConfig)

    def __post_init__(self) -> None:
        check_fields(self)
        for key, name in (("sam2", self.sam2), ("text", self.text)):
            if name is not None and not (name.strip() and name.isprintable() and len(name) <= 4096):
                raise ConfigError(f"{key} is {quoted(name)}, expected a hub id or a folder")
        if 2 * self.audio_encoder.embedding != self.fuser.width:
            raise ConfigError(
                f"audio_encoder.embedding {self.audio_encoder.embedding} must be half of fuser.width "
                f"{self.fuser.width}: left and right together make one token"
            )
        if (self.text is not None) != (self.fuser.modality == "audio+text"):
            raise ConfigError(f"text encoder {self.text!r} does not go with fuser.modality {self.fuser.modality!r}")
        if self.image_size is not None and (self.image_size % 32 or not 32 <= self.image_size <= 4096):
            raise ConfigError(f"image_size {self.image_size} is not a multiple of 32 from 32 to 4096")
        if self.method != "auralsam2" and self.clip.conditioning != "each":
            raise ConfigError(f"method {self.method} takes each frame by itself: set clip.conditioning each")

    @classmethod
    def released(
        cls,
        modality: Modality = "audio",
        *,
        sam2: str = SAM2_LARGE,
        text: str = DISTILROBERTA,
        frames: int | None = None,
    ) -> ModelConfig:
        """What the four released checkpoints are: `audio` for v1s, v1m, v2; `audio+text` for Ref-AVS."""
        with_text = modality == "audio+text"
        return cls(
            sam2=sam2,
            text=text if with_text else None,
            fuser=FuserConfig.preset("released", modality),
            prompting=PromptingConfig.preset("released"),
            clip=ClipConfig(frames=frames or (10 if with_text else 5), conditioning="middle" if with_text else "first"),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"schema": SCHEMA, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """The inverse of `to_dict`.

        Raises:
            ConfigError: another schema, an unknown key, a value of the wrong type, a bad combination.
        """
        values = dict(values)
        schema = values.pop("schema", None)
        if schema != SCHEMA:
            raise ConfigError(f"schema is {quoted(schema)}, not {SCHEMA!r}: not a configuration of this package")
        return build_config(cls, values)

    def save(self, folder: Path) -> Path:
        """Write `config.json` into an existing folder and return its path."""
        path = folder / CONFIG_FILE
        path.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, folder: Path) -> ModelConfig:
        """Read `config.json` of a model folder.

        Raises:
            ConfigError: the file is missing, no JSON object, or not a configuration of this package.
        """
        path = folder / CONFIG_FILE
        try:
            values = strict_json.read_json(path)
            if not isinstance(values, dict):
                raise ConfigError("not a JSON object")
            return cls.from_dict(values)
        except (ConfigError, ValueError) as error:
            raise ConfigError(f"{path}: {error}") from error
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror or error}); copy the model again") from error
        except RecursionError as error:
            raise ConfigError(f"{path}: nested too deeply; copy the model again") from error
