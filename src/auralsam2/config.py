"""Configuration of a model: frozen dataclasses, presets, and the round trip through `config.json`.

Nothing here imports torch, so that a command can read a model's configuration in milliseconds.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from auralsam2.errors import ConfigError, quoted
from auralsam2.utils import strict_json
from auralsam2.utils.config_upgrade import SCHEMA, SCHEMA_1, upgrade_config
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

SAM2_FOLDER, TEXT_FOLDER, NAMER_FOLDER = "sam2", "text", "namer"
"""Folders of the bundled SAM 2 and text encoder inside a model folder."""
SAM2_LARGE = "facebook/sam2-hiera-large"
DISTILROBERTA = "distilbert/distilroberta-base"

# Upper bounds of the values of a configuration: far above any published model, and still constructible.
_WIDEST, _DEEPEST, _LONGEST, _LARGEST = 16_384, 128, 100_000, 8192


@dataclass(frozen=True, kw_only=True)
class AudioEncoderConfig:
    """VGGish-shaped encoder of 0.96 s of one audio channel, or one with a backbone of timm.

    Attributes:
        channels: widths of the four convolution stages of VGGish.
        hidden: width of the two hidden fully connected layers.
        embedding: output width; left and right channel together give one token of twice this width.
        backbone: architecture of timm in place of the convolution stages; `channels` and `hidden` then have no effect.
    """

    channels: tuple[int, int, int, int] = bounded_field((64, 128, 256, 512), 1, _WIDEST)
    hidden: int = bounded_field(4096, 1, _WIDEST)
    embedding: int = bounded_field(128, 1, _WIDEST)
    backbone: str | None = None

    def __post_init__(self) -> None:
        check_fields(self, "audio_encoder")
        if self.backbone is not None and not re.fullmatch(r"[a-z0-9_.]{1,100}", self.backbone):
            raise ConfigError(f"audio_encoder.backbone {quoted(self.backbone)} is no name of an architecture of timm")


@dataclass(frozen=True, kw_only=True)
class FuserConfig:
    """AuralFuser as published.

    Attributes:
        variant: `released` computes the equations of the released checkpoints, `paper` those of the paper.
        modality: audio tokens alone, or audio and text tokens.
        fusion: cross-modal block: `two_way`, the paper's, or `tpavi`, the audio-only block it was adapted from
            (ablation).
        width: L, channels of pyramid, tokens and prompts.
        inner_width: L', channels inside the cross-modal fusion.
        heads: attention heads of the self-attention blocks.
        visual_depths: self-attention blocks of the visual side at levels 0, 1, 2.
        token_depth: self-attention blocks of the token side, per level.
        dropout: probability, on attention weights, their projection and the MLPs.
        projection: width of the embeddings for the contrastive loss.
        text_width: width of the text encoder's features.
        levels: number of pyramid levels, the finest first; as many decoder steps receive prompts (ablation).
        use_audio: if false, audio tokens are zero (ablation).
    """

    variant: Variant = "released"
    modality: Modality = "audio"
    fusion: Fusion = "two_way"
    width: int = bounded_field(256, 1, _WIDEST)
    inner_width: int = bounded_field(128, 1, _WIDEST)
    heads: int = bounded_field(4, 1, 1024)
    visual_depths: tuple[int, int, int] = bounded_field((3, 6, 12), 0, _DEEPEST)
    token_depth: int = bounded_field(3, 0, _DEEPEST)
    dropout: float = bounded_field(0.1, 0, 1)
    projection: int = bounded_field(128, 1, _WIDEST)
    text_width: int = bounded_field(768, 1, _WIDEST)
    levels: Literal[1, 2, 3] = 3
    use_audio: bool = True

    def __post_init__(self) -> None:
        check_fields(self, "fuser")
        if self.width % self.heads:
            raise ConfigError(f"fuser.width {self.width} is not a multiple of fuser.heads {self.heads}")
        if self.fusion == "tpavi" and self.variant != "paper":
            raise ConfigError("fuser.fusion tpavi needs fuser.variant 'paper'")
        if self.fusion == "tpavi" and self.modality != "audio":
            raise ConfigError("fuser.fusion tpavi reads no text: set fuser.modality audio")

    @classmethod
    def preset(cls, variant: Variant, modality: Modality = "audio", **changes: Any) -> FuserConfig:
        """Return the sizes of a variant: 3 + 6 + 12 visual blocks as released, 3 + 3 + 3 in the paper."""
        sizes: dict[str, Any] = {}
        if variant == "paper":
            sizes = {"visual_depths": (3, 3, 3), "token_depth": 1, "projection": 64}
        return cls(variant=variant, modality=modality, **(sizes | changes))


@dataclass(frozen=True, kw_only=True)
class PromptingConfig:
    """Injection of the feature prompts into the mask decoder.

    Attributes:
        coarse_first: the first of the three steps takes level 2 (stride 16), as released; else level 0, as in Eq. 5.
        mask_tokens: number of mask tokens that receive the audio prompt: all 4, as released, or the 3 of the
            multi-mask output, as in the paper.
        prompt_positions: add the first audio prompt to the queries' position term too, as released, where both are the
            same tensor.
        dense: add visual prompts to the image embedding.
        sparse: add audio prompts to the mask tokens.
    """

    coarse_first: bool = True
    mask_tokens: Literal[3, 4] = 4
    prompt_positions: bool = True
    dense: bool = True
    sparse: bool = True

    def __post_init__(self) -> None:
        check_fields(self, "prompting")
        if not (self.dense or self.sparse):
            raise ConfigError("prompting.dense and prompting.sparse are both false: set at least one of them to true")

    @classmethod
    def preset(cls, variant: Variant) -> PromptingConfig:
        """Return the prompting of a variant of the fuser."""
        if variant == "paper":
            return cls(coarse_first=False, mask_tokens=3, prompt_positions=False)
        return cls()


@dataclass(frozen=True, kw_only=True)
class ExtensionsConfig:
    """Extensions of this package, in neither the paper nor the released code. The defaults switch all of them off.

    Attributes:
        attention_scope: cross-modal attention: `clip`, as published, between all pixels and all seconds of a clip;
            `frame`, between the pixels of a frame and its own second of audio. `frame` needs `fuser.variant` paper.
        predict_coarse_mask: pass the similarity of visual and audio embeddings at the last level to SAM 2's prompt
            encoder, as a coarse mask. Needs `attention_scope` frame.
        standardize_inputs: standardise pyramid maps and audio tokens per channel, by statistics measured before
            training, and multiply the prompts of each level by learned gains.
        empty_when_absent: empty the masks of frames whose object score is not positive, as SAM 2 does.
        object_score_offset: logit subtracted from the object score of frames with feature prompts. With text it is
            subtracted from the clip's mean of object score times predicted IoU, which then bounds the scores of all
            frames. Chosen after training (`experiments/object_score_offset.py`).
    """

    attention_scope: Scope = "clip"
    predict_coarse_mask: bool = False
    standardize_inputs: bool = False
    empty_when_absent: bool = False
    object_score_offset: float = bounded_field(0.0, -1000, 1000)

    def __post_init__(self) -> None:
        check_fields(self, "extensions")
        if self.predict_coarse_mask and self.attention_scope != "frame":
            raise ConfigError("extensions.predict_coarse_mask needs extensions.attention_scope 'frame'")

    def check_fuser(self, fuser: FuserConfig) -> None:
        """Check that the extensions fit a fuser.

        Raises:
            ConfigError: attention scope `frame` with a released fuser, or with a width that its heads do not divide.
        """
        if self.attention_scope == "clip":
            return
        if fuser.variant != "paper":
            raise ConfigError("extensions.attention_scope 'frame' needs fuser.variant 'paper'")
        if fuser.inner_width % fuser.heads:
            raise ConfigError(f"fuser.inner_width {fuser.inner_width} is not a multiple of fuser.heads {fuser.heads}")


@dataclass(frozen=True, kw_only=True)
class GavsConfig:
    """Baseline GAVS†: adapters in SAM 2's image encoder and mask decoder, and one audio token as the prompt.

    Attributes:
        start_block: first block of the image encoder with an adapter, from 0.
        width: of the adapters' bottlenecks.
        zero_init_last: initialise the adapters' last layer to zero; else at random, as in the original.
        norms: train the layer normalisations of the blocks after `start_block` too, as in the original.
        stereo: concatenate the embeddings of left and right channel; else their mean.
        standardize_inputs: standardise the audio input by statistics measured before training.
    """

    start_block: int = bounded_field(9, 0, 1000)
    width: int = bounded_field(128, 4, _WIDEST)
    zero_init_last: bool = True
    norms: bool = False
    stereo: bool = False
    standardize_inputs: bool = False

    def __post_init__(self) -> None:
        check_fields(self, "gavs")
        _check_adapters("gavs", self.width)


@dataclass(frozen=True, kw_only=True)
class SamaConfig:
    """Baseline SAMA-AVS†: audio is added to the input of SAM 2's encoder blocks; the mask decoder is trained.

    Attributes:
        start_block: first block with an adapter, from 0.
        width: of the adapters' bottlenecks.
        form: input of the bottleneck: `audio_vector`, the audio of a frame, added to every pixel, as in the original;
            `image_token`, each pixel, with the audio added inside the bottleneck.
        text_attention: one text attention for all adapters, or one per adapter.
        zero_init_last: initialise the adapters' last layer to zero; else at random, as in the original.
        stereo: concatenate the embeddings of left and right channel; else their mean.
        standardize_inputs: standardise the audio input by statistics measured before training.
    """

    start_block: int = bounded_field(0, 0, 1000)
    width: int = bounded_field(512, 4, _WIDEST)
    form: AdapterForm = "audio_vector"
    text_attention: TextAttention = "shared"
    zero_init_last: bool = False
    stereo: bool = False
    standardize_inputs: bool = False

    def __post_init__(self) -> None:
        check_fields(self, "sama")
        _check_adapters("sama", self.width)


def _check_adapters(method: str, width: int) -> None:
    if width % 4:
        raise ConfigError(f"{method}.width {width} is not a multiple of 4, the heads of the text attention")


@dataclass(frozen=True, kw_only=True)
class ClipConfig:
    """Clips that a model was trained on; longer videos are cut into windows of this length.

    Attributes:
        frames: T, frames one second apart.
        conditioning: frame of a clip that starts the memory: the first, the middle one (T // 2), or each. With `each`,
            feature prompts segment every frame independently, and memory serves visual prompts alone.
    """

    frames: int = bounded_field(5, 1, _LONGEST)
    conditioning: Conditioning = "first"

    def __post_init__(self) -> None:
        check_fields(self, "clip")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Configuration of a whole model.

    Attributes:
        method: AuralSAM2, or a baseline on the same frozen SAM 2. A baseline uses the modality and widths of `fuser`
            alone.
        sam2: frozen SAM 2 in transformers' format: hub id or folder, a relative one inside the model's own.
        text: frozen text encoder with its tokeniser, likewise; None for a fuser without text.
        image_size: S, pixels; None for the size of SAM 2's own configuration.
        audio_encoder: audio encoder.
        fuser: AuralFuser as published.
        prompting: injection of its prompts into the mask decoder.
        extensions: extensions of this package.
        gavs, sama: settings of the baseline that `method` names, by default its own; None for other methods.
        clip: clips of the training data.
    """

    method: Method = "auralsam2"
    sam2: str = SAM2_LARGE
    text: str | None = None
    image_size: int | None = bounded_field(None, 32, _LARGEST)
    audio_encoder: AudioEncoderConfig = field(default_factory=AudioEncoderConfig)
    fuser: FuserConfig = field(default_factory=FuserConfig)
    prompting: PromptingConfig = field(default_factory=PromptingConfig)
    extensions: ExtensionsConfig = field(default_factory=ExtensionsConfig)
    gavs: GavsConfig | None = None
    sama: SamaConfig | None = None
    clip: ClipConfig = field(default_factory=ClipConfig)

    def __post_init__(self) -> None:
        check_fields(self)
        for key, name in (("sam2", self.sam2), ("text", self.text)):
            if name is not None and not (name.strip() and name.isprintable() and len(name) <= 4096):
                raise ConfigError(f"{key} is {quoted(name)}, expected a hub id or a folder")
        if 2 * self.audio_encoder.embedding != self.fuser.width:
            raise ConfigError(
                f"audio_encoder.embedding {self.audio_encoder.embedding} must be half of fuser.width "
                f"{self.fuser.width}: left and right channel form one token"
            )
        if (self.text is not None) != (self.fuser.modality == "audio+text"):
            raise ConfigError(f"text encoder {self.text!r} does not match fuser.modality {self.fuser.modality!r}")
        if self.image_size is not None and (self.image_size % 32 or not 32 <= self.image_size <= 4096):
            raise ConfigError(f"image_size {self.image_size} is not a multiple of 32 from 32 to 4096")
        if self.method != "auralsam2" and self.clip.conditioning != "each":
            raise ConfigError(f"method {self.method} processes each frame independently: set clip.conditioning each")
        self.extensions.check_fuser(self.fuser)
        for name, kind in (("gavs", GavsConfig), ("sama", SamaConfig)):
            if name == self.method:
                object.__setattr__(self, name, getattr(self, name) or kind())
            elif getattr(self, name) is not None:
                raise ConfigError(f"section {name} does not match method {self.method}: remove it")

    @classmethod
    def released(
        cls,
        modality: Modality = "audio",
        *,
        sam2: str = SAM2_LARGE,
        text: str = DISTILROBERTA,
        frames: int | None = None,
    ) -> ModelConfig:
        """Return the configuration of the released checkpoints: `audio` for v1s, v1m, v2; `audio+text` for Ref-AVS."""
        with_text = modality == "audio+text"
        return cls(
            sam2=sam2,
            text=text if with_text else None,
            fuser=FuserConfig.preset("released", modality),
            prompting=PromptingConfig.preset("released"),
            clip=ClipConfig(frames=frames or (10 if with_text else 5), conditioning="middle" if with_text else "first"),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON, without the sections of other methods."""
        values = dataclasses.asdict(self)
        unused = {name for name in ("gavs", "sama") if values[name] is None}
        return {"schema": SCHEMA} | {key: value for key, value in values.items() if key not in unused}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Build from the values of `to_dict`, or from those of schema 1.

        Raises:
            ConfigError: another schema, an unknown key, a value of the wrong type, a bad combination.
        """
        values = upgrade_config(values) if values.get("schema") == SCHEMA_1 else dict(values)
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
