"""`python -m projects.mini.bundle`: put a trained model into the package.

A run names its frozen parts by where they lie. The model of the package holds all of them, so that it works from
anywhere and without a network, in half precision, so that it stays small.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from auralsam2.config import SAM2_FOLDER, TEXT_FOLDER, ModelConfig
from auralsam2.errors import AuralError, ConfigError, OutputError, UnavailableError, UsageError, message_line
from auralsam2.hub import download
from auralsam2.model import AuralSAM2
from auralsam2.model_folder import assemble_model
from auralsam2.modeling.network import AuralNetwork
from auralsam2.training.callbacks import BEST
from auralsam2.utils.atomic_io import Staging, writing
from auralsam2.utils.weights import CONFIG_FILE, WEIGHTS_FILE, save_weights
from projects.mini.export import export_sam2

LARGEST = 25_000_000
"""Bytes of the whole model: the package is fetched by everybody who tries it."""
OUT = download.BUNDLED / "mini"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Bytes on disk.

    Attributes:
        trained: fuser and encoder of sound, with the configuration.
        sam2: the frozen SAM 2.
        text: the frozen encoder of text and its tokeniser; 0 without.
    """

    trained: int
    sam2: int
    text: int

    @property
    def total(self) -> int:
        """Of the whole model."""
        return self.trained + self.sam2 + self.text


def bundle(model: Path, sam2: Path, out: Path, text: Path | None = None, object_score_offset: float = 0.0) -> Sizes:
    """Write a model folder that holds all its parts, as float16.

    Args:
        model: folder of a run of `auralsam2 train`, of which the best model is taken, or a model folder.
        sam2: folder of the frozen SAM 2 that it was trained on.
        out: the folder to write; a model that is there is replaced once the new one was loaded from it.
        text: folder of the frozen encoder of text, if the model reads text.
        object_score_offset: of `ExtensionsConfig`.

    Returns:
        what each part takes.

    Raises:
        UnavailableError: a part is not there.
        UsageError: text and model do not go together, or `out` holds something else.
        ConfigError: the parts do not fit each other, or half precision.
        OutputError: the folder cannot be written, or the model is larger than 25 MB.
    """
    folder = _model_folder(model)
    config = ModelConfig.load(folder)
    if (config.text is None) != (text is None):
        raise UsageError(f"{folder}: reads no text: leave --text out" if text else f"{folder}: reads text: give --text")
    if out.exists() and not (out / CONFIG_FILE).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: holds something else: give a new folder, or that of a model")
    network = _network(folder, config, sam2, text)
    with Staging(out.parent) as staging, writing(out):
        draft = staging.path / out.name
        draft.mkdir()
        inside = TEXT_FOLDER if text else None
        extensions = dataclasses.replace(config.extensions, object_score_offset=object_score_offset)
        dataclasses.replace(config, sam2=SAM2_FOLDER, text=inside, extensions=extensions).save(draft)
        save_weights(network.trained_state(), draft, half=True)
        export_sam2(network.sam2, draft / SAM2_FOLDER)
        if network.text_encoder is not None:
            export_sam2(network.text_encoder.model, draft / TEXT_FOLDER)
            network.text_encoder.tokeniser.save_pretrained(draft / TEXT_FOLDER)
        sizes = _sizes(draft)
        if sizes.total > LARGEST:
            parts = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in dataclasses.asdict(sizes).items())
            raise OutputError(
                f"{folder}: {sizes.total / 1e6:.1f} MB ({parts}), more than the {LARGEST / 1e6:.0f} MB that the "
                "package has room for; bundle a smaller model"
            )
        AuralSAM2.from_pretrained(draft, "cpu")
        staging.publish([out.name])
    return sizes


def _model_folder(given: Path) -> Path:
    """The model that a folder is, or has as its best."""
    for folder in (given, given / BEST):
        if (folder / CONFIG_FILE).is_file() and (folder / WEIGHTS_FILE).is_file():
            return folder
    raise UnavailableError(f"{given}: neither a model nor a run with a model {BEST}/: give what auralsam2 train wrote")


def _network(folder: Path, config: ModelConfig, sam2: Path, text: Path | None) -> AuralNetwork:
    """The model with its frozen parts, wherever its configuration says that they are."""
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
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m projects.mini.bundle", description="Put a trained model into the package."
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of a run, whose best is taken, or of a model")
    parser.add_argument("--sam2", type=Path, required=True, help="folder of the frozen SAM 2")
    parser.add_argument("--text", type=Path, help="folder of the frozen encoder of text, if the model reads text")
    parser.add_argument(
        "--object-score-offset",
        type=float,
        default=0.0,
        help="subtracted from the object score (experiments/object_score_offset.py)",
    )
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write (default: the package's)")
    options = parser.parse_args(arguments)
    try:
        sizes = bundle(options.run, options.sam2, options.out, options.text, options.object_score_offset)
    except AuralError as error:
        print(message_line("error", error), file=sys.stderr)
        return error.exit_code
    print(json.dumps({"folder": str(options.out), **dataclasses.asdict(sizes), "total": sizes.total}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
