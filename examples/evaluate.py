"""Evaluate a model on StampAVS from Python, with the clips' own audio and with silence.

    auralsam2 data build-stampavs data/stamp
    python "$(auralsam2 samples evaluate)" data/stamp [--split test-seen] [--model mini] [--limit N]

A model that uses the audio scores much higher with it. M_J counts an empty mask in a frame without a target as 1, so
silence does not score 0; J with target leaves such frames out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import auralsam2
from auralsam2.data import open_dataset
from auralsam2.data.load import load_clip
from auralsam2.evaluation.options import EvaluationOptions
from auralsam2.evaluation.predictor import AuralPredictor
from auralsam2.evaluation.run import evaluate


def main(root: Path, split: str, model_name: str, limit: int | None) -> None:
    """Print M_J and J with target, with 95 % intervals, for each audio condition."""
    model = auralsam2.load(model_name)
    listing = open_dataset("stampavs", root).listing(split)
    for sound in ("own", "silent"):
        options = EvaluationOptions(dataset="stampavs", split=split, sound=sound, limit=limit)
        evaluation = evaluate(AuralPredictor(model, options), listing, options, load=load_clip)
        for name in ("M_J", "J with target"):
            score = evaluation.numbers[name]
            print(f"audio {sound}: {name} {score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, metavar="ROOT", help="folder of a StampAVS data set")
    parser.add_argument("--split", default="test-seen", metavar="NAME")
    parser.add_argument("--model", default="mini", metavar="NAME")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N clips")
    arguments = parser.parse_args()
    main(arguments.root, arguments.split, arguments.model, arguments.limit)
