"""Configuration of the zero-shot pipeline: models and thresholds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from auralsam2.model import AuralSAM2
from auralsam2.utils.yaml_files import read_config
from auralsam2.zero_shot.clap_tagger import CLAP, ClapTagger
from auralsam2.zero_shot.grounding_dino import GROUNDING_DINO, GroundingDinoDetector
from auralsam2.zero_shot.interfaces import RuleSelector
from auralsam2.zero_shot.pipeline import ZeroShotPipeline


@dataclass(frozen=True, kw_only=True)
class TaggerConfig:
    """Audio tagger CLAP; see `ClapTagger`.

    Attributes:
        model: hub id or folder.
        labels: names of possible sounds.
        negatives: sounds that are never an answer.
        min_probability: minimum probability for a label to be active in a second.
        max_labels: maximum number of labels of a clip.
    """

    model: str = CLAP
    labels: tuple[str, ...]
    negatives: tuple[str, ...] = ("silence", "background noise", "wind")
    min_probability: float = 0.3
    max_labels: int = 3


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """Object detector Grounding DINO; see `GroundingDinoDetector`.

    Attributes:
        model: hub id or folder.
        max_boxes: maximum number of boxes in an image.
        shorter, longer: target length of the image's shorter side, and maximum length of its longer side, in pixels.
    """

    model: str = GROUNDING_DINO
    max_boxes: int = 3
    shorter: int = 800
    longer: int = 1333


@dataclass(frozen=True, kw_only=True)
class ZeroShotConfig:
    """Configuration of a pipeline, such as `recipes/zero-shot/avsbench.yaml`.

    Attributes:
        tagger, detector, selector: audio tagger, object detector, and selector of a detection.
        cache: folder for the responses of tagger and detector; None for none.
    """

    tagger: TaggerConfig
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    selector: RuleSelector = field(default_factory=RuleSelector)
    cache: str | None = None

    @classmethod
    def load(cls, path: Path) -> ZeroShotConfig:
        """Read a YAML file; `base` names files that it extends, as in a recipe.

        Raises:
            UsageError: the file does not exist.
            ConfigError: unknown key or wrong value; the message names file and key.
        """
        return read_config(cls, path, ())

    def pipeline(self, model: AuralSAM2) -> ZeroShotPipeline:
        """Load the models of the pipeline on the device of `model`.

        Args:
            model: AuralSAM2, of which only SAM 2 is used.

        Raises:
            UsageError: there are no labels.
            UnavailableError: a model is neither on this machine nor downloadable.
        """
        device = str(model.network.device)
        return ZeroShotPipeline(
            model,
            ClapTagger.from_pretrained(**asdict(self.tagger), device=device),
            GroundingDinoDetector.from_pretrained(**asdict(self.detector), device=device),
            self.selector,
            cache=None if self.cache is None else Path(self.cache),
        )
