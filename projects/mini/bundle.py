"""`python -m projects.mini.bundle`: put a trained model into the package.

A run refers to its frozen parts by path. The bundled model contains them, as float16, so it works offline.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from auralsam2.config import NAMER_FOLDER, SAM2_FOLDER, TEXT_FOLDER, ModelConfig
from auralsam2.errors import ConfigError, OutputError, UnavailableError, UsageError
from auralsam2.hub import download
from auralsam2.model import AuralSAM2
from auralsam2.model_folder import assemble_model
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.object_namer import ObjectNamer
from auralsam2.training.callbacks import BEST
from auralsam2.utils.atomic_io import Staging, writing
from auralsam2.utils.weights import CONFIG_FILE, WEIGHTS_FILE, save_weights
from projects.mini.export import export_model
from projects.mini.stage_loop import exit_code

MAX_BYTES = 25_000_000
"""Maximum size of the model, which is part of the wheel."""
OUT = download.BUNDLED / "mini"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Bytes on disk of the trained part (fuser, audio encoder, configuration), SAM 2 and the text encoder."""

    trained: int
    sam2: int
    text: int

    @property
    def total(self) -> int:
        """Size of the model."""
        return self.trained + self.sam2 + self.text


def bundle(
    model: Path,
    sam2: Path,
    out: Path,
    text: Path | None = None,
    object_score_offset: float = 0.0,
    namer: Path | None = None,
) -> Sizes:
    """Write a model folder with all its parts, as float16.

    An existing model is replaced after the new one has been loaded.

    Args:
        model: model folder, or folder of a run of `auralsam2 train`, whose best model is used.
        sam2: folder of the frozen SAM 2.
        out: folder to write.
        text: folder of the frozen text encoder, for a model with text.
        object_score_offset: value of `extensions.object_score_offset`.
        namer: folder of a namer for the features of `sam2`; None for a model without names.

    Raises:
        AuralError: a part is missing or does not match, a weight exceeds float16, `out` has other files or cannot be
            written, or the model is larger than 25 MB.
    """
    folder = _model_folder(model)
    config = ModelConfig.load(folder)
    if (config.text is None) != (text is None):
        raise UsageError(f"{folder}: reads no text: omit `text`" if text else f"{folder}: reads text: give `text`")
    if out.exists() and not (out / CONFIG_FILE).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: not a model folder, and not empty: name another folder")
    network = _network(folder, config, sam2, text)
    with Staging(out.parent) as staging, writing(out):
        draft = staging.path / out.name
        draft.mkdir()
        text_folder = TEXT_FOLDER if text else None
        extensions = dataclasses.replace(config.extensions, object_score_offset=object_score_offset)
        dataclasses.replace(config, sam2=SAM2_FOLDER, text=text_folder, extensions=extensions).save(draft)
        save_weights(network.trained_state(), draft, half=True)
        export_model(network.sam2, draft / SAM2_FOLDER)
        if network.text_encoder is not None:
            export_model(network.text_encoder.model, draft / TEXT_FOLDER)
            network.text_encoder.tokeniser.save_pretrained(draft / TEXT_FOLDER)
        if namer is not None:
            ObjectNamer.load(namer).save(draft / NAMER_FOLDER)
        sizes = _sizes(draft)
        if sizes.total > MAX_BYTES:
            parts = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in dataclasses.asdict(sizes).items())
            raise OutputError(
                f"{folder}: {sizes.total / 1e6:.1f} MB ({parts}), more than the limit of {MAX_BYTES / 1e6:.0f} MB "
                "for the package; bundle a smaller model"
            )
        AuralSAM2.from_pretrained(draft, "cpu")
        staging.publish([out.name])
    return sizes


def _model_folder(path: Path) -> Path:
    """Return the folder itself, or its best model."""
    for folder in (path, path / BEST):
        if (folder / CONFIG_FILE).is_file() and (folder / WEIGHTS_FILE).is_file():
            return folder
    raise UnavailableError(f"{path}: neither a model nor a run with {BEST}/: name a folder of auralsam2 train")


def _network(folder: Path, config: ModelConfig, sam2: Path, text: Path | None) -> AuralNetwork:
    """Build the model from these parts; the paths in its configuration are ignored."""
    for part in (sam2, text):
        if part is not None and not part.is_dir():
            raise UnavailableError(f"{part}: no such folder")
    parts = dataclasses.replace(config, sam2=str(sam2), text=None if text is None else str(text))
    network = assemble_model(parts, weights=folder)
    if not isinstance(network, AuralNetwork):
        raise ConfigError(f"{folder}: method is {config.method!r}: a baseline, not AuralSAM2")
    return network


def _sizes(folder: Path) -> Sizes:
    def measure(name: str) -> int:
        return sum(path.stat().st_size for path in (folder / name).rglob("*") if path.is_file())

    sam2, text = measure(SAM2_FOLDER), measure(TEXT_FOLDER)
    return Sizes(trained=measure(".") - sam2 - text, sam2=sam2, text=text)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m projects.mini.bundle", description="Put a trained model into the package."
    )
    parser.add_argument(
        "--run", type=Path, required=True, help="folder of a run, whose best model is used, or of a model"
    )
    parser.add_argument("--sam2", type=Path, required=True, help="folder of the frozen SAM 2")
    parser.add_argument("--text", type=Path, help="folder of the frozen text encoder, for a model with text")
    parser.add_argument(
        "--object-score-offset",
        type=float,
        default=0.0,
        help="subtracted from the object score (experiments/object_score_offset.py)",
    )
    parser.add_argument("--namer", type=Path, help="folder of a namer (python -m auralsam2.training.namer)")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write (default: the package's)")
    options = parser.parse_args(arguments)

    def write() -> None:
        sizes = bundle(options.run, options.sam2, options.out, options.text, options.object_score_offset, options.namer)
        print(json.dumps({"folder": str(options.out), **dataclasses.asdict(sizes), "total": sizes.total}))

    return exit_code(write)


if __name__ == "__main__":
    sys.exit(main())
