"""The zero-shot pipeline from a file: who plays its roles, and by which thresholds."""

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
    """CLAP as the tagger; see `ClapTagger`.

    Attributes:
        model: hub id or folder.
        labels: what may sound.
        negatives: what may be heard beside, and is no answer.
        least: probability from which on a label sounds in a second.
        most: labels of a clip, at most.
    """

    model: str = CLAP
    labels: tuple[str, ...]
    negatives: tuple[str, ...] = ("silence", "background noise", "wind")
    least: float = 0.3
    most: int = 3


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """Grounding DINO as the proposer; see `GroundingProposer`.

    Attributes:
        model: hub id or folder.
        most: boxes of a picture, at most.
        shorter, longer: the picture's shorter side in pixels, as long as its longer one is no longer than that.
    """

    model: str = GROUNDING_DINO
    most: int = 3
    shorter: int = 800
    longer: int = 1333


@dataclass(frozen=True, kw_only=True)
class ZeroShotConfig:
    """A pipeline as values, such as `recipes/zero-shot/avsbench.yaml`.

    Attributes:
        tagger, proposer, selector: the three roles.
        cache: folder for what tagger and proposer say; None keeps nothing.
    """

    tagger: TaggerConfig
    proposer: DetectorConfig = field(default_factory=DetectorConfig)
    selector: RuleSelector = field(default_factory=RuleSelector)
    cache: str | None = None

    @classmethod
    def load(cls, path: Path) -> ZeroShotConfig:
        """Read a YAML file; `base` names files that it starts from, as in a recipe.

        Raises:
            UsageError: the file is not there.
            ConfigError: an unknown key or a wrong value; the message names file and key.
        """
        return read_config(cls, path, ())

    def pipeline(self, model: AuralSAM2) -> ZeroShotPipeline:
        """Load the roles, on the model's device.

        Args:
            model: of it SAM 2 alone is used.

        Raises:
            UsageError: there are no labels.
            UnavailableError: a role's model is not here and cannot be fetched.
        """
        device = str(model.network.device)
        return ZeroShotPipeline(
            model,
            ClapTagger.from_pretrained(**asdict(self.tagger), device=device),
            GroundingDinoDetector.from_pretrained(**asdict(self.proposer), device=device),
            self.selector,
            cache=None if self.cache is None else Path(self.cache),
        )
