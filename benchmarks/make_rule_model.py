"""Write a model folder of the released size, with SAM 2 hiera-large, filled by the number rule.

    python benchmarks/make_rule_model.py OUT_DIR [--modality audio|audio+text] [--image-size 1024|256]

The folder has about 1.3 GB of float32. Use it to compare programs and to measure time and memory; its masks have no
meaning. A model of audio and text names the published text encoder by its hub id; the rule does not fill it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
from pathlib import Path

import torch
from transformers import Sam2VideoModel

from auralsam2.config import SAM2_FOLDER, Modality, ModelConfig
from auralsam2.hub.convert import sort_tensors
from auralsam2.model import AuralSAM2
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.sam2 import sam2_config
from golden_rule import weight

SHAPES = Path(__file__).parents[1] / "tests" / "golden"
"""Folder with names and shapes of the released checkpoints."""
SIZES = (1024, 256)
MODALITIES: tuple[Modality, ...] = ("audio", "audio+text")


def rule_network(modality: Modality, image_size: int) -> AuralNetwork:
    """Build the released model filled by the number rule, in evaluation mode, without its text encoder.

    As for a released checkpoint, the tensors have the names of the release and are checked and renamed by
    `auralsam2.hub.convert`.

    Args:
        modality: `audio` as v1s, v1m and v2, or `audio+text` as Ref-AVS.
        image_size: S; the weights are the same for any.
    """
    variant = {"audio": "avs", "audio+text": "ref"}[modality]
    shapes = json.loads(gzip.decompress((SHAPES / f"state_dict_{variant}.json.gz").read_bytes()))
    # The rule does not fill the text encoder; the conversion needs its names.
    table = {
        name: torch.empty(shape, device="meta") if name.startswith("t_model.") else weight(name, tuple(shape))
        for name, (_, *shape) in shapes.items()
    }
    checkpoint = sort_tensors(table, "number rule")
    assert checkpoint.sam2 is not None
    sam2 = Sam2VideoModel(sam2_config("large", image_size=image_size))
    sam2.load_state_dict(checkpoint.sam2)
    network = AuralNetwork(ModelConfig.released(modality, sam2=SAM2_FOLDER), sam2)
    trained = {f"fuser.{name}": value for name, value in checkpoint.fuser.items()}
    trained |= {f"audio_encoder.{name}": value for name, value in checkpoint.audio_encoder.items()}
    network.load_trained(trained, "number rule")
    return network.eval()


def make(out_dir: Path, modality: Modality = "audio", image_size: int = 1024) -> Path:
    """Write the model folder, completely or not at all.

    Args:
        out_dir: new or empty folder.
        modality: as for `rule_network`.
        image_size: as for `rule_network`.

    Returns:
        `out_dir`.

    Raises:
        OSError: the folder is not empty or cannot be written.
    """
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    network = rule_network(modality, image_size)
    with tempfile.TemporaryDirectory(prefix=".rule-", dir=out_dir.parent) as hidden:
        draft = Path(hidden) / "model"
        network.sam2.save_pretrained(draft / SAM2_FOLDER)
        AuralSAM2(network, "rule").save_pretrained(draft)
        draft.replace(out_dir)
    return out_dir


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Write a hiera-large model folder filled by the number rule.")
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--modality", choices=MODALITIES, default="audio")
    parser.add_argument("--image-size", type=int, choices=SIZES, default=1024)
    arguments = parser.parse_args()
    if arguments.out_dir.exists() and (not arguments.out_dir.is_dir() or any(arguments.out_dir.iterdir())):
        parser.error(f"{arguments.out_dir}: exists; name a new or empty folder")
    print(make(arguments.out_dir, arguments.modality, arguments.image_size))


if __name__ == "__main__":
    main()
