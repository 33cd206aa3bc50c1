"""Count the floating-point operations of SAM 2's memory attention, without computing it.

    python benchmarks/memory_operations.py [--image-size 1024] [--memories 1 3 7]

Prints for a frame with some memories, in units of 10^9 operations: the projections of the remembered tokens to keys and
values, which follow from the memories alone; the attention to them (products of queries, keys and values); and
everything. Then the share of the projections, and the size of the memories and of their projected keys and values in
float32. The sizes of the backbone do not matter.
"""

from __future__ import annotations

import argparse
import sys

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import Sam2VideoModel

from auralsam2.modeling.memory import MemoryNetwork
from auralsam2.modeling.sam2 import sam2_config


def count(sam2: Sam2VideoModel, grid: int, memories: int) -> tuple[int, int, int]:
    """Count the operations of projections, of attention to memories, and of everything, on the meta device."""
    width = sam2.hidden_dim
    embedding, position = (torch.empty(1, width, grid, grid, device="meta") for _ in range(2))
    remembered = [(distance, torch.empty(1, sam2.mem_dim, grid, grid, device="meta")) for distance in range(memories)]
    with torch.no_grad(), FlopCounterMode(display=False, depth=9) as counter:
        MemoryNetwork(sam2).attend(embedding, position, remembered, [], 1)
    totals = {name: sum(operators.values()) for name, operators in counter.get_flop_counts().items()}

    def parts(suffix: str) -> int:
        return sum(value for name, value in totals.items() if name.endswith(f".cross_attn_image{suffix}"))

    projections = parts(".k_proj") + parts(".v_proj")
    attention = parts("") - projections - parts(".q_proj") - parts(".o_proj")
    return projections, attention, totals["Global"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image-size", type=int, default=1024, metavar="PX", help="side of the image (default 1024)")
    parser.add_argument("--memories", type=int, nargs="+", default=[1, 3, 7], metavar="N", help="numbers of memories")
    options = parser.parse_args(arguments)
    with torch.device("meta"):
        sam2 = Sam2VideoModel(sam2_config("tiny", image_size=options.image_size))
    sam2.eval().set_attn_implementation("eager")
    grid = options.image_size // 16
    layers = len(sam2.memory_attention.layers)
    print("memories  projections  attention  everything  share  memories MB  keys and values MB")
    for memories in options.memories:
        projections, attention, everything = count(sam2, grid, memories)
        tokens = memories * grid**2
        stored, projected = (4e-6 * tokens * width for width in (sam2.mem_dim, 2 * layers * sam2.hidden_dim))
        print(
            f"{memories:8}{projections / 1e9:13.1f}{attention / 1e9:11.1f}{everything / 1e9:12.1f}"
            f"{projections / everything:7.3f}{stored:13.1f}{projected:20.1f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
