"""Lightning module of the second stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from auralsam2.data.sample import Sample
from auralsam2.errors import ConfigError
from auralsam2.evaluation.semantic import SemanticSums, semantic_sums
from auralsam2.semantics.second_stage import IGNORED, SecondStage
from auralsam2.training.loaded_module import LoadedModule
from auralsam2.training.semantic_clips import SemanticClip, SemanticClips
from auralsam2.training.semantic_recipe import PhaseConfig, SemanticRecipe

MIOU = "val/mIoU"
"""Mean IoU over all classes, the background included, of the validation clips."""
_PARTS = {"class": "loss_cross_entropy", "mask": "loss_mask", "dice": "loss_dice"}


class SemanticModule(LoadedModule):
    """Train a second stage in one phase; all random numbers of a step follow from the seed and the draw.

    Args:
        network: with initial weights.
        recipe: settings.
        phase: length and learning rate.
        train, validation: samples.
    """

    monitor = MIOU

    def __init__(
        self,
        network: SecondStage,
        recipe: SemanticRecipe,
        phase: PhaseConfig,
        train: list[Sample],
        validation: list[Sample],
    ) -> None:
        super().__init__()
        self.network, self.recipe, self.phase = network, recipe, phase
        trainer, stage = recipe.trainer, network.stage
        self.steps = -(-phase.epochs * len(train) // (trainer.accumulate * trainer.devices))
        self.clips = SemanticClips(train, stage, recipe.data, training=True, seed=trainer.seed)
        self.held_out = SemanticClips(validation, stage, recipe.data, training=False)
        self._sums = SemanticSums.zero(len(stage.names))

    def training_step(self, clip: SemanticClip, _number: int) -> torch.Tensor:
        """Compute the loss of Mask2Former, of the last and all earlier predictions."""
        torch.manual_seed(self.recipe.trainer.seed * 2**32 % 2**62 + clip.draw)
        output = self.network(clip.pixels, clip.guide, clip.log_mel, clip.classes)
        # Mask2Former has one value for each part; the sum over all predictions is its loss.
        loss = output.loss.sum()
        self.log_terms({"loss": loss}, 1)
        return loss

    def validation_step(self, clip: SemanticClip, _number: int) -> None:
        """Add the scores of a clip."""
        maps = self.network.label_maps(clip.pixels, clip.guide, clip.log_mel)
        classes = len(self.network.stage.names)
        self._sums = self._sums + semantic_sums(maps, clip.classes, classes, ignored=IGNORED)

    def on_validation_epoch_end(self) -> None:
        """Log the mean IoU over all processes."""
        sums = torch.stack([self._sums.iou, self._sums.f, self._sums.count.double()])
        if self.trainer.world_size > 1:
            gathered = self.all_gather(sums.to(self.device))
            sums = torch.as_tensor(gathered).sum(0).cpu()
        total = SemanticSums(iou=sums[0], f=sums[1], count=sums[2].long())
        miou, f = total.means()
        self.log_dict({MIOU: miou, "val/F": f})
        self._sums = SemanticSums.zero(len(self.network.stage.names))

    def save_model(self, folder: Path) -> None:
        """Write the second stage."""
        self.network.save(folder)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Build AdamW with a constant learning rate."""
        trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        return torch.optim.AdamW(trained, lr=self.phase.rate, weight_decay=self.recipe.weight_decay)

    def state_dict(self, *_: Any, **__: Any) -> dict[str, torch.Tensor]:
        """Return the trained tensors; checkpoints hold no frozen weights."""
        return self.network.trained_state()

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """Load the tensors of `state_dict`, always strictly.

        Raises:
            ConfigError: the checkpoint belongs to another network.
        """
        own = self.network.trained_state()
        shapes = {name: value.shape for name, value in own.items()}
        if shapes != {name: value.shape for name, value in state_dict.items()}:
            raise ConfigError(f"checkpoint: {len(state_dict)} tensors of another second stage; {len(own)} are expected")
        self.network.load_state_dict(state_dict, strict=False)
