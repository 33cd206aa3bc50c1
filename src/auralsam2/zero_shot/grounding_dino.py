"""Default object detector: Grounding DINO finds a label in an image."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoTokenizer, GroundingDinoForObjectDetection

from auralsam2.errors import UnavailableError
from auralsam2.modeling.preprocess import DEVIATION, MEAN
from auralsam2.zero_shot.interfaces import DetectionBox

GROUNDING_DINO = "IDEA-Research/grounding-dino-tiny"


class GroundingDinoDetector:
    """Detector of the objects of a label.

    Args:
        model, tokeniser: Grounding DINO.
        max_boxes: maximum number of boxes in an image.
        shorter, longer: target length of the image's shorter side, and maximum length of its longer side, in pixels.
        name: identifier for the cache.
    """

    def __init__(
        self,
        model: GroundingDinoForObjectDetection,
        tokeniser: Any,
        *,
        max_boxes: int = 3,
        shorter: int = 800,
        longer: int = 1333,
        name: str = GROUNDING_DINO,
    ) -> None:
        self.model, self.tokeniser = model.eval(), tokeniser
        self.max_boxes, self.shorter, self.longer = max_boxes, shorter, longer
        self.name = f"{name} {max_boxes} {shorter} {longer}"

    @classmethod
    def from_pretrained(cls, model: str = GROUNDING_DINO, device: str = "cpu", **options: Any) -> GroundingDinoDetector:
        """Load a published Grounding DINO from the hub or a folder; raise UnavailableError if it is not available."""
        try:
            parts = GroundingDinoForObjectDetection.from_pretrained(model), AutoTokenizer.from_pretrained(model)
        except (OSError, ValueError) as error:
            raise UnavailableError(f"{model}: no Grounding DINO ({str(error).splitlines()[0]})") from error
        cast(nn.Module, parts[0]).to(device)
        return cls(*parts, name=model, **options)

    @torch.inference_mode()
    def detect(self, image: np.ndarray, label: str) -> list[tuple[DetectionBox, float]]:
        """Return boxes and scores, best first; ties in the order of the model's output."""
        height, width = image.shape[:2]
        tokens = self.tokeniser(f"{label.lower().strip(' .')}.", return_tensors="pt").to(self.model.device)
        output = self.model(
            pixel_values=self._pixels(image).to(self.model.device),
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
        )
        # Maximum over the tokens of the label; positions beyond it are -inf.
        scores = output.logits[0].sigmoid().max(-1).values.float().cpu()
        centre, size = output.pred_boxes[0].float().cpu().split(2, -1)
        scale = torch.tensor([width, height], dtype=torch.float32)
        corners = torch.cat([(centre - size / 2) * scale, (centre + size / 2) * scale], -1)
        corners = corners.clamp(min=torch.zeros(4), max=scale.repeat(2))
        detections = []
        for number in sorted(range(len(scores)), key=lambda number: (-float(scores[number]), number)):
            x0, y0, x1, y1 = corners[number].tolist()
            if x1 > x0 and y1 > y0:
                detections.append(((x0, y0, x1, y1), float(scores[number])))
        return detections[: self.max_boxes]

    def _pixels(self, image: np.ndarray) -> torch.Tensor:
        """Resize and normalise an image: (1, 3, h, w) float."""
        height, width = image.shape[:2]
        scale = min(self.shorter / min(height, width), self.longer / max(height, width))
        picture = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        picture = F.interpolate(picture, size=size, mode="bilinear", align_corners=False, antialias=True)
        return (picture - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(DEVIATION).view(1, 3, 1, 1)
