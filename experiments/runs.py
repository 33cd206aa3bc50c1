"""Evaluations of a model on a data set, one report each; existing reports are reused."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

from auralsam2.bench.material import describe_machine
from auralsam2.data import open_dataset
from auralsam2.data.load import load_clip
from auralsam2.evaluation.options import EvaluationOptions
from auralsam2.evaluation.predictor import AuralPredictor
from auralsam2.evaluation.run import evaluate
from auralsam2.model import AuralSAM2
from auralsam2.utils.json_stream import plain
from auralsam2.zero_shot.pipeline import ZeroShotPipeline
from auralsam2.zero_shot.predictor import ZeroShotPredictor
from stampavs_masks import Terms, clip_terms

OWN, JOINT = "own", "joint"


class Runs:
    """Evaluations of one model, each with its report.

    Args:
        model: loaded.
        root: of the data set.
        out: folder of the reports and masks.
        seed: of shuffled sound and intervals.
        clips: only the first ones of each split; None for all.
        keep_masks: keep masks beside the reports, of StampAVS.
        pipeline: a zero-shot one on the model's SAM 2, which finds what sounds in its place.
    """

    def __init__(
        self,
        model: AuralSAM2,
        root: Path,
        out: Path,
        seed: int,
        clips: int | None,
        *,
        keep_masks: bool = False,
        pipeline: ZeroShotPipeline | None = None,
    ) -> None:
        self.model, self.root, self.out, self.seed, self.clips = model, root, out, seed, clips
        self.keep_masks, self.pipeline = keep_masks, pipeline
        self._listings: dict[tuple[str, str], Any] = {}

    def report(
        self, dataset: str, split: str, prompts: str = "audio", sound: str = OWN, combine: str = JOINT
    ) -> dict[str, Any]:
        """Return the report of a run; evaluate if it is missing, or of another model or other options."""
        listing = self._listing(dataset, split)
        clips = list(dict.fromkeys(sample.clip for sample in listing.samples))[: self.clips]
        limit = sum(sample.clip in set(clips) for sample in listing.samples)
        options = EvaluationOptions(
            dataset=dataset,
            split=split,
            prompts=prompts,
            combine=combine,
            sound=sound,
            seed=self.seed,
            limit=limit,
        )
        pipeline = self.pipeline
        predictor = AuralPredictor(self.model, options) if pipeline is None else ZeroShotPredictor(pipeline, options)
        path = self.out / f"{dataset}.{split}.{prompts}.{sound if combine == JOINT else combine}.json"
        run = plain({"model": {"name": predictor.name, **predictor.identity}, "options": options.as_json()})
        known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if any(known.get(name) != value for name, value in run.items()):
            print(f"{dataset} {split}, prompts {prompts}, sound {sound}: {limit} samples", file=sys.stderr)
            masks = self.masks(split, sound) if self.keep_masks else None
            evaluate(predictor, listing, options, load=load_clip, report=path, masks=masks)
            known = json.loads(path.read_text(encoding="utf-8"))
        return known

    def masks(self, split: str, sound: str) -> Path:
        """Return the folder of a run's masks."""
        return self.out / "masks" / split / sound

    def outlines(self, split: str, sound: str, samples: list[dict[str, Any]]) -> dict[str, Terms]:
        """Return the terms of the masks by clip."""
        folder = self.masks(split, sound)
        return {row["clip"]: clip_terms(self.root / "gt_mask" / row["clip"], folder / row["id"]) for row in samples}

    def _listing(self, dataset: str, split: str) -> Any:
        key = dataset, split
        if key not in self._listings:
            self._listings = {key: open_dataset(dataset, self.root).listing(split)}
        return self._listings[key]


def dataset_and_split(place: str) -> tuple[str, str]:
    """Split `DATASET/SPLIT`."""
    dataset, _, split = place.partition("/")
    return dataset, split


def stampavs_parser(description: str, splits: tuple[str, ...], out: str) -> argparse.ArgumentParser:
    """Return the command line of a table of StampAVS.

    Args:
        description: of the command.
        splits: default splits.
        out: default folder of the reports.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("root", type=Path, help="folder that data build-stampavs wrote")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--splits", default=",".join(splits), help="comma-separated")
    parser.add_argument("--clips", type=int, help="only the first ones of each split")
    parser.add_argument("--out", type=Path, default=Path(out), help="folder of the reports")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    return parser


def describe_stampavs(root: Path) -> str:
    """Describe the data in a folder of StampAVS."""
    about = json.loads((root / "stampavs.json").read_text(encoding="utf-8"))
    return f"StampAVS, seed {about.get('seed')}, {about.get('size')} px"


def heading(model: AuralSAM2, seed: int) -> dict[str, Any]:
    """Return the conditions of the figures."""
    on = describe_machine(model.network.device.type)
    return on | {"model": Path(model.name).name, "dtype": model.dtype, "seed": seed, "date": date.today().isoformat()}


def line(head: dict[str, Any], data: str) -> str:
    """Describe the conditions in a sentence."""
    return (
        f"Model {head['model']} on {data}; {head['cpu']}, {head['threads']} threads, {head['dtype']}, torch "
        f"{head['torch']}; seed {head['seed']}; {head['date']}."
    )
