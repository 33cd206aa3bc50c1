"""Configuration of training: losses, optimiser, augmentation, each with the paper's and the release's values.

Nothing here imports torch, so that a recipe can be checked in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from auralsam2.config import Variant
from auralsam2.errors import ConfigError

MaskLossForm = Literal["sam2", "cross_entropy", "cross_entropy+iou"]
IouSupervision = Literal["best", "all"]
Choice = Literal["plain", "weighted"]
ContrastFrames = Literal["first", "labelled"]
Contrast = Literal["none", "audiocon", "supcon", "supcon-joint", "released"]
Schedule = Literal["poly", "cosine", "constant"]
Triple = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class MaskLossConfig:
    """Mask loss of SAM 2 (Eq. 6); the defaults are the paper's.

    Attributes:
        form: `sam2`, the four terms below; or that of an original baseline, on all candidates and frames:
            `cross_entropy` of the pixels (GAVS), or `cross_entropy+iou`, with the soft IoU loss (SAMA-AVS).
        focal, dice, iou, occlusion: weights of the four terms.
        iou_supervision: IoU loss of the best mask, or the mean over all masks, as released.
        choice: the best mask has the smallest focal + dice loss, or the smallest weighted sum of the two, as released.
        balanced_bce_steps: first training steps with a balanced cross-entropy of weight 1 in place of the focal loss,
            on all candidates: from random weights the focal loss stays at "all background".
    """

    focal: float = 20.0
    dice: float = 1.0
    iou: float = 1.0
    occlusion: float = 1.0
    form: MaskLossForm = "sam2"
    iou_supervision: IouSupervision = "best"
    choice: Choice = "plain"
    balanced_bce_steps: int = 0

    def __post_init__(self) -> None:
        for name in ("focal", "dice", "iou", "occlusion", "balanced_bce_steps"):
            _at_least_0(f"masks.{name}", getattr(self, name))

    @classmethod
    def preset(cls, variant: Variant, **changes: Any) -> MaskLossConfig:
        """Return the paper's or the release's loss."""
        own: dict[str, Any] = {"iou_supervision": "all", "choice": "weighted"} if variant == "released" else {}
        return cls(**(own | changes))


@dataclass(frozen=True, kw_only=True)
class ContrastConfig:
    """Contrastive and matching loss; the defaults are the paper's.

    Attributes:
        mode: of the contrastive loss; see `training.contrastive_loss`.
        temperature: τ.
        samples: maximum number of visual embeddings drawn from each level of each frame.
        limit: maximum number of visual embeddings of a clip; None for no limit.
        frames: frames of the loss: `labelled`, all frames with a label; `first`, the first of them in the clip.
        matching: weight of the matching loss; see `losses.matching_loss`.
        matching_only_steps: first training steps with the matching loss alone, without the decoder, whose gradients
            are much larger.
    """

    mode: Contrast = "audiocon"
    temperature: float = 0.1
    samples: int = 512
    limit: int | None = None
    frames: ContrastFrames = "first"
    matching: float = 0.0
    matching_only_steps: int = 0

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ConfigError(f"contrast.temperature {self.temperature:g} is not a positive number")
        if self.samples < 1 or (self.limit is not None and self.limit < 1):
            raise ConfigError(f"contrast.samples {self.samples} and contrast.limit {self.limit} must be positive")
        for name in ("matching", "matching_only_steps"):
            _at_least_0(f"contrast.{name}", getattr(self, name))
        if self.matching_only_steps and not self.matching:
            raise ConfigError("contrast.matching_only_steps needs a contrast.matching above 0")

    @classmethod
    def preset(cls, variant: Variant, **changes: Any) -> ContrastConfig:
        """Return the paper's or the release's loss.

        The paper's supplement restricts the loss to the first frame, except on V1S. The release uses all labelled
        frames, and draws up to 128 hard and 128 easy embeddings of each of two classes, 512 in all; for Ref-AVS half
        as many.
        """
        released = {"mode": "released", "limit": 15_240, "frames": "labelled"}
        own: dict[str, Any] = released if variant == "released" else {}
        return cls(**(own | changes))


@dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """Prompt distillation, an extension: dense prompts learn SAM 2's embedding of the true mask. Off by default.

    Attributes:
        weight: of the loss of `training.distillation`; 0 for none.
        only_steps: first training steps without the mask decoder and its losses.
        calibrate: set the gains of the dense prompts before training: those of level 1 to the scale of mask embeddings,
            those of the later levels to `later_gain`.
        later_gain: mean gain of the later levels after `calibrate`.
        sharpness: logit of a prompt that equals the embedding of a full mask.
        squared_error: weight of the squared error along the axis, over the variance of the target.
        later_levels: weight of the cross-entropy of each later level.
    """

    weight: float = 0.0
    only_steps: int = 0
    calibrate: bool = False
    later_gain: float = 0.3
    sharpness: float = 4.0
    squared_error: float = 0.2
    later_levels: float = 0.5

    def __post_init__(self) -> None:
        for name in ("weight", "only_steps", "later_gain", "sharpness", "squared_error", "later_levels"):
            _at_least_0(f"distillation.{name}", getattr(self, name))
        if not self.weight and (self.only_steps or self.calibrate):
            raise ConfigError("distillation.only_steps and distillation.calibrate need a distillation.weight above 0")


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """AdamW and its schedule; the defaults are the paper's.

    Attributes:
        rate: learning rate at the first step.
        audio_encoder_rate: factor on it for the audio encoder; 0 freezes the encoder, as released.
        weight_decay: of all parameters but those of normalisation layers.
        warm_up: steps over which the rate rises.
        schedule: `poly`, (1 − step / steps)^0.9; `cosine`, to `final_rate`; or `constant`.
        final_rate: last learning rate of `cosine`.
    """

    rate: float = 1e-4
    audio_encoder_rate: float = 0.1
    weight_decay: float = 0.01
    warm_up: int = 0
    schedule: Schedule = "poly"
    final_rate: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rate", "audio_encoder_rate", "weight_decay", "warm_up", "final_rate"):
            _at_least_0(f"optimiser.{name}", getattr(self, name))
        if self.final_rate and self.schedule != "cosine":
            raise ConfigError(f"optimiser.final_rate {self.final_rate:g} needs optimiser.schedule cosine")

    @classmethod
    def preset(cls, variant: Variant, **changes: Any) -> OptimiserConfig:
        """Return the paper's or the release's values; the factor 0.1 for VGGish is from the released code."""
        own: dict[str, Any] = {"audio_encoder_rate": 0.0, "weight_decay": 0.05} if variant == "released" else {}
        return cls(**(own | changes))


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Random augmentation of a training clip; the defaults leave it unchanged.

    Attributes:
        remix_audio: probability of a new audio mix for a StampAVS scene, in which other objects of the same images
            sound.
        unseen_voice_prob: probability that remixed audio uses recordings of categories absent from the images, so that
            only the direction of the sound identifies the object.
        flip: probability of a horizontal flip.
        swap_sound: a flip also swaps the audio channels.
        rotation: maximum angle in either direction, in degrees.
        shear: maximum horizontal shear in either direction, in degrees.
        grayscale: probability of a grayscale clip.
        clip_jitter: maximum relative change of brightness, contrast and saturation, drawn once per clip.
        frame_jitter: the same, drawn once per frame.
    """

    remix_audio: float = 0.0
    unseen_voice_prob: float = 0.0
    flip: float = 0.0
    swap_sound: bool = True
    rotation: float = 0.0
    shear: float = 0.0
    grayscale: float = 0.0
    clip_jitter: Triple = (0.0, 0.0, 0.0)
    frame_jitter: Triple = (0.0, 0.0, 0.0)

    @property
    def changes_pixels(self) -> bool:
        """Whether images are changed by more than a flip."""
        return any((self.rotation, self.shear, self.grayscale, *self.clip_jitter, *self.frame_jitter))

    def __post_init__(self) -> None:
        if self.unseen_voice_prob and not self.remix_audio:
            raise ConfigError("augment.unseen_voice_prob needs augment.remix_audio above 0")
        for name in ("remix_audio", "unseen_voice_prob", "flip", "grayscale"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"augment.{name} {getattr(self, name):g} is not a probability")
        for name, most in (("rotation", 180), ("shear", 89)):
            if not 0 <= getattr(self, name) <= most:
                raise ConfigError(f"augment.{name} {getattr(self, name):g} must lie between 0 and {most} degrees")
        for name in ("clip_jitter", "frame_jitter"):
            for change in getattr(self, name):
                _at_least_0(f"augment.{name}", change)

    @classmethod
    def preset(cls, variant: Variant, **changes: Any) -> AugmentConfig:
        """Return the paper's augmentation or the released code's.

        The paper refers to SAM 2's training for the amounts of jitter. The released code configures the same jitter,
        but does not store the jittered images. Neither changes the audio: set `swap_sound=True` if the direction of
        sounds matters.
        """
        own: dict[str, Any] = {"flip": 0.5, "swap_sound": False}
        if variant == "paper":
            own |= {"grayscale": 0.1, "clip_jitter": (0.1, 0.03, 0.03), "frame_jitter": (0.1, 0.05, 0.05)}
        else:
            own |= {"grayscale": 0.05, "rotation": 25.0, "shear": 20.0}
        return cls(**(own | changes))


def _at_least_0(name: str, value: float) -> None:
    if value < 0:
        raise ConfigError(f"{name} {value:g} is negative")
