"""Registry of models with a name."""

from __future__ import annotations

from dataclasses import dataclass

from auralsam2.config import SAM2_LARGE

AURALSAM2_REPO = "yyliu01/AuralSAM2"
_AURALSAM2_LICENCE = f"code MIT; for the weights see https://huggingface.co/{AURALSAM2_REPO}"


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """A named model.

    Attributes:
        name: name for users.
        task: training task.
        modalities: prompts beside points, boxes and masks. The configuration of a bundled model takes precedence.
        licence: licence of the weights, as far as known.
        size_mb: size of `model.safetensors` (fuser and audio encoder, without the frozen encoders) in MB (10⁶ bytes);
            None for a bundled model, whose file is measured.
        repo: hub repository of the checkpoint; None for a bundled model.
        filename: path of the checkpoint in that repository.
        revision: branch, tag or commit.
        sam2: hub id of its frozen SAM 2.
        frames: length of its clip windows; None for that of its modality.
    """

    name: str
    task: str
    modalities: tuple[str, ...]
    licence: str
    size_mb: int | None = None
    repo: str | None = None
    filename: str = ""
    revision: str = "main"
    sam2: str = SAM2_LARGE
    frames: int | None = None


def _released(name: str, stem: str, task: str, modalities: tuple[str, ...], size_mb: int, frames: int) -> ModelEntry:
    return ModelEntry(
        name=name,
        task=task,
        modalities=modalities,
        licence=_AURALSAM2_LICENCE,
        size_mb=size_mb,
        repo=AURALSAM2_REPO,
        filename=f"ckpts/auralsam2_{stem}.pth",
        frames=frames,
    )


REGISTRY = {
    entry.name: entry
    for entry in (
        ModelEntry(
            name="mini",
            task="demonstration: objects of StampAVS, by audio and text",
            modalities=("audio", "text"),
            licence="Apache-2.0, as is its backbone; trained on pictures and sounds of Tux Paint stamps (GPL-2)",
        ),
        _released("v1s", "avs_v1s", "single sounding objects (AVSBench V1S)", ("audio",), 483, 5),
        _released("v1m", "avs_v1m", "several sounding objects (AVSBench V1M)", ("audio",), 483, 5),
        _released("v2", "avs_v2", "sounding objects (AVSBench V1S, V1M and V2)", ("audio",), 483, 10),
        _released("ref-avs", "refavs_best", "objects by audio and text (Ref-AVS)", ("audio", "text"), 487, 10),
    )
}
"""Named models in the order of listing."""
