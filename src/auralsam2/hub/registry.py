"""The models that have a name."""

from __future__ import annotations

from dataclasses import dataclass

from auralsam2.config import SAM2_LARGE

AURALSAM2_REPO = "yyliu01/AuralSAM2"
_AURALSAM2_LICENCE = f"code MIT; for the weights see https://huggingface.co/{AURALSAM2_REPO}"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A model with a name.

    Attributes:
        name: what users call it.
        task: what it was trained for.
        modalities: what it can be prompted with beside points, boxes and masks. A bundled model's own configuration
            wins, where it is there.
        licence: of the weights, as far as it is known.
        size_mb: of `model.safetensors`, fuser and audio encoder, in MB (10⁶ bytes); the frozen encoders come on top.
            None for a bundled model, which is measured.
        repo: hub repository of the checkpoint; None for a bundled model.
        filename: the checkpoint in that repository.
        revision: branch, tag or commit to fetch.
        sam2: hub id of the frozen SAM 2 below it.
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


def _released(name: str, stem: str, task: str, modalities: tuple[str, ...], size_mb: int) -> Entry:
    return Entry(
        name=name,
        task=task,
        modalities=modalities,
        licence=_AURALSAM2_LICENCE,
        size_mb=size_mb,
        repo=AURALSAM2_REPO,
        filename=f"ckpts/auralsam2_{stem}.pth",
    )


REGISTRY = {
    entry.name: entry
    for entry in (
        Entry(
            name="mini",
            task="trying things out: objects of StampAVS, told by sound and words",
            modalities=("audio", "text"),
            licence="Apache-2.0, as is its backbone; trained on pictures and sounds of Tux Paint stamps (GPL-2)",
        ),
        _released("v1s", "avs_v1s", "single sounding objects (AVSBench V1S)", ("audio",), 483),
        _released("v1m", "avs_v1m", "several sounding objects (AVSBench V1M)", ("audio",), 483),
        _released("v2", "avs_v2", "sounding objects (AVSBench V1S, V1M and V2)", ("audio",), 483),
        _released("ref-avs", "refavs_best", "objects told by sound and words (Ref-AVS)", ("audio", "text"), 487),
    )
}
"""The models with a name, in the order in which they are listed."""
