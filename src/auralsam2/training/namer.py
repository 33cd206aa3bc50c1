"""Training of an object namer: `python -m auralsam2.training.namer --dataset stampavs --root DIR --out FOLDER`.

The namer learns the categories of a data set from its true masks, on the frozen features of a model. Data sets with
categories are `stampavs` and `v2-semantic`, whose 70 classes besides the background are learnt. Features are computed
once; the head is then trained in seconds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F

from auralsam2.data import open_dataset
from auralsam2.data.class_names import AVSS
from auralsam2.data.images import read_frame
from auralsam2.data.load import load_clip
from auralsam2.data.sample import Sample
from auralsam2.errors import AuralError, UsageError
from auralsam2.model import AuralSAM2, inference_context, streaming_network
from auralsam2.modeling.object_namer import ObjectNamer, pool_features
from auralsam2.modeling.preprocess import normalise, to_square
from auralsam2.stampavs.remix import read_scene
from auralsam2.training.dataset import crop_frames, object_masks

LEAST_AREA = 1e-3
"""Smallest area of a mask that is learnt, as a share of the frame."""
DATASETS = ("stampavs", "v2-semantic")


def named_masks(sample: Sample, size: int) -> Iterator[tuple[int, str, torch.Tensor]]:
    """Yield the frame, the category and the mask (S, S) bool of each visible object of a sample.

    Raises:
        InputError: a file cannot be read.
    """
    if sample.objects:
        categories = [one["category"] for one in read_scene(sample.frames[0].parent.parent)["objects"]]
        for category, masks in zip(categories, object_masks(sample, size), strict=True):
            for t, mask in enumerate(masks):
                if float(mask.float().mean()) >= LEAST_AREA:
                    yield t, category, mask
        return
    clip = load_clip(sample, size, pictures=False, sound=False)
    assert clip.classes is not None, "v2-semantic has classes"
    for t in clip.supervised.nonzero()[:, 0].tolist():
        for number in clip.classes[t].unique().tolist():
            mask = clip.classes[t] == number
            if 0 < number < len(AVSS) and float(mask.float().mean()) >= LEAST_AREA:
                yield t, AVSS[number], mask


@torch.inference_mode()
def pooled_objects(
    model: AuralSAM2, samples: list[Sample], frames: int, *, flips: bool
) -> tuple[torch.Tensor, list[str]]:
    """Pool the features of the objects of samples.

    Args:
        model: provides the features.
        samples: with categories.
        frames: number of evenly spaced frames of each sample.
        flips: pool each frame a second time, flipped.

    Returns:
        (n, 5C/2), and n categories.
    """
    network = streaming_network(model)
    vectors, names = [], []
    for whole in samples:
        count = min(frames, len(whole.frames))
        chosen = [number * len(whole.frames) // count for number in range(count)]
        sample = crop_frames(whole, chosen)
        objects = list(named_masks(sample, network.image_size))
        if not objects:
            continue
        pictures = [to_square(read_frame(path), network.image_size) for path in sample.frames]
        pixels = normalise(torch.stack(pictures))
        for flipped in (False, True) if flips else (False,):
            with inference_context(model):
                turned = (pixels.flip(3) if flipped else pixels).to(network.device)
                features = network.encode(turned, with_patches=False)
            for t, name, mask in objects:
                vectors.append(pool_features(features[t], (mask.flip(1) if flipped else mask)[None]).cpu())
                names.append(name)
    if not vectors:
        raise UsageError("no object with a category in these samples: choose another split")
    return torch.cat(vectors).clone(), names


def train_head(
    vectors: torch.Tensor, names: list[str], width: int, *, steps: int = 3000, seed: int = 0, hidden: int = 192
) -> ObjectNamer:
    """Train a head with cross-entropy, each category with the same weight.

    Args:
        vectors: (n, 5C/2), pooled features.
        names: n categories.
        width: C.
        steps: of 256 vectors.
        seed: of the weights, order and dropout.
        hidden: channels of the hidden layer.
    """
    categories = sorted(set(names))
    targets = torch.tensor([categories.index(name) for name in names])
    balance = 1 / torch.bincount(targets).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        namer = ObjectNamer(categories, width, hidden)
        adam = torch.optim.AdamW(namer.parameters(), lr=2e-3, weight_decay=0.05)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
        for _ in range(steps):
            rows = torch.multinomial(balance[targets], 256, replacement=True)
            batch = vectors[rows] * (1 + 0.1 * torch.randn(256, vectors.shape[1]))
            loss = F.cross_entropy(namer(F.dropout(batch, 0.2)), targets[rows], label_smoothing=0.05)
            adam.zero_grad()
            loss.backward()
            adam.step()
            decay.step()
    return namer.eval().requires_grad_(False)


@torch.inference_mode()
def accuracy(namer: ObjectNamer, vectors: torch.Tensor, names: list[str]) -> float:
    """Return the share of objects of known categories that get their name; NaN without one."""
    known = [row for row, name in enumerate(names) if name in namer.names]
    if not known:
        return float("nan")
    found = namer(vectors[known]).argmax(1).tolist()
    return sum(namer.names[number] == names[row] for number, row in zip(found, known, strict=True)) / len(known)


def train_namer(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", choices=DATASETS, default=DATASETS[0])
    parser.add_argument("--root", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--split", default="train", help="training splits, joined by +")
    parser.add_argument("--validation", default="val", help="validation split")
    parser.add_argument("--model", default="mini", help="model whose features are used")
    parser.add_argument("--out", type=Path, required=True, help="folder of the namer")
    parser.add_argument("--frames", type=int, default=3, help="frames of each clip; default: %(default)s")
    parser.add_argument("--clips", type=int, help="first clips of each split; default: all")
    parser.add_argument("--flips", action="store_true", help="learn each frame flipped, too")
    parser.add_argument("--steps", type=int, default=3000, help="training steps; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        dataset = open_dataset(options.dataset, options.root)
        model = AuralSAM2.from_pretrained(options.model)
        training = [
            sample
            for split in options.split.split("+")
            for sample in list(dataset.listing(split).samples)[: options.clips]
        ]
        vectors, names = pooled_objects(model, training, options.frames, flips=options.flips)
        namer = train_head(vectors, names, model.network.sam2.hidden_dim, steps=options.steps, seed=options.seed)
        namer.save(options.out)
        held_out = list(dataset.listing(options.validation).samples)[: options.clips]
        score = accuracy(namer, *pooled_objects(model, held_out, 1, flips=False))
    except AuralError as error:
        parser.error(str(error))
    print(f"{len(names)} objects of {len(namer.names)} categories; accuracy on {options.validation}: {score:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(train_namer())
