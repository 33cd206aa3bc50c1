"""Print the parameter counts of the documentation: `python experiments/parameter_counts.py`.

The published backbones are built without storage for their weights. The printed tables are those of
docs/concepts/baselines.md and docs/models/mini.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import cast

import torch
from torch import nn
from transformers import Sam2VideoModel

from auralsam2.baselines.gavs import Gavs
from auralsam2.baselines.network import AdapterNetwork
from auralsam2.baselines.sama import Sama
from auralsam2.config import ClipConfig, GavsConfig, ModelConfig, SamaConfig
from auralsam2.model import AuralSAM2
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.sam2 import Size, sam2_config

SIZES: tuple[Size, ...] = ("base-plus", "large")


def count(*modules: nn.Module | None) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for module in modules if module is not None for parameter in module.parameters())


def baseline(size: Size, method: str, options: GavsConfig | SamaConfig | None = None) -> AdapterNetwork:
    """Build a baseline on a published backbone, without storage."""
    config = dataclasses.replace(
        ModelConfig.released(), clip=ClipConfig(conditioning="each"), method=method, **{method: options}
    )
    with torch.device("meta"):
        return AdapterNetwork(config, Sam2VideoModel(sam2_config(size)))


def gavs_rows(size: Size) -> dict[str, int]:
    """Return the rows of GAVS†."""
    network = baseline(size, "gavs", GavsConfig(norms=True))
    adapters = cast(Gavs, network.adapters)
    parts = {
        "encoder adapters, blocks 9 to the last": count(adapters.encoder_adapters),
        "decoder adapters": count(adapters.decoder_adapters),
        "projection of the audio embedding": count(adapters.audio_projection),
    }
    norms = (module for name, module in network.trained_modules.items() if name.startswith("tuned."))
    return parts | {
        "total": sum(parts.values()),
        "`norms: true`: also the layer normalisations of blocks 10 to the last": count(*norms),
    }


def sama_rows(size: Size) -> dict[str, int]:
    """Return the rows of SAMA-AVS†."""
    network = baseline(size, "sama")
    adapters = cast(Sama, network.adapters)
    late = cast(Sama, baseline(size, "sama", SamaConfig(start_block=9)).adapters)
    tokens = cast(Sama, baseline(size, "sama", SamaConfig(start_block=9, form="image_token")).adapters)
    parts = {
        "per block": count(adapters.down),
        "shared, one for each of the four widths": count(adapters.up),
        "mask decoder": count(network.trained_modules["tuned.mask_decoder"]),
    }
    return parts | {
        "total": sum(parts.values()),
        "adapters with `start_block: 9`": count(late),
        "bottlenecks with `start_block: 9, form: image_token`": count(tokens.bottlenecks),
    }


def mini_rows() -> dict[str, int]:
    """Return the rows of the bundled model."""
    network = AuralSAM2.from_pretrained("mini", "cpu").network
    assert isinstance(network, AuralNetwork)
    backbone = count(network.sam2.vision_encoder.get_submodule("backbone"))
    return {
        "backbone, EfficientNet-lite0": backbone,
        "neck, prompt encoder, mask decoder and memory of SAM 2": count(network.sam2) - backbone,
        "audio encoder, VGGish-shaped": count(network.audio_encoder),
        "text encoder, a small RoBERTa": count(network.text_encoder),
        "AuralFuser": count(network.fuser),
    }


def table(columns: Iterable[str], rows: dict[str, list[int]]) -> list[str]:
    """Return a Markdown table."""
    columns = list(columns)
    lines = [f"| parameters | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    return lines + [f"| {name} | {' | '.join(f'{value:,}' for value in values)} |" for name, values in rows.items()]


def main() -> None:
    """Print all tables."""
    for title, rows_of in (("GAVS†", gavs_rows), ("SAMA-AVS†", sama_rows)):
        one, other = (rows_of(size) for size in SIZES)
        print(f"\n{title}\n")
        print("\n".join(table(("hiera-b+", "hiera-l"), {name: [one[name], other[name]] for name in one})))
    rows = mini_rows()
    print("\nmini\n")
    print(
        "\n".join(table(("number",), {name: [value] for name, value in (rows | {"all": sum(rows.values())}).items()}))
    )


if __name__ == "__main__":
    main()
