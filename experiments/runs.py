"""Evaluations of a model on a data set, one report each; existing reports are reused."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from auralsam2.data import open_dataset
from auralsam2.data.class_names import CLASS_NAMES
from auralsam2.data.load import load_clip
from auralsam2.evaluation.named_predictor import named_predictor
from auralsam2.evaluation.options import EvaluationOptions
from auralsam2.evaluation.predictor import AuralPredictor, Predictor
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
        model: loaded model.
        root: folder of the data set.
        out: folder of the reports and masks.
        seed: seed of shuffled audio and of intervals.
        clips: number of clips of each split; None for all.
        save_masks: save masks beside the reports, for StampAVS.
        pipeline: zero-shot pipeline on the model's SAM 2 that is evaluated instead of the model.
        namer: folder of a namer for data with classes; without one, their classes are those of the labels.
        second_stage: folder of a second stage for the same data.
    """

    def __init__(
        self,
        model: AuralSAM2,
        root: Path,
        out: Path,
        seed: int,
        clips: int | None,
        *,
        save_masks: bool = False,
        pipeline: ZeroShotPipeline | None = None,
        namer: Path | None = None,
        second_stage: Path | None = None,
    ) -> None:
        self.model, self.root, self.out, self.seed, self.clips = model, root, out, seed, clips
        self.save_masks, self.pipeline, self.namer, self.second_stage = save_masks, pipeline, namer, second_stage
        self._listings: dict[tuple[str, str], Any] = {}

    def report(
        self,
        dataset: str,
        split: str,
        prompts: str = "audio",
        sound: str = OWN,
        combine: str = JOINT,
        *,
        second_stage: bool = False,
    ) -> dict[str, Any]:
        """Return the report of a run; evaluate if it is missing, or has another model or other options."""
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
        predictor: Predictor
        if pipeline is not None:
            predictor = ZeroShotPredictor(pipeline, options)
        else:
            masks = AuralPredictor(self.model, options)
            namer = self.second_stage if second_stage else self.namer
            predictor = masks if namer is None or dataset not in CLASS_NAMES else named_predictor(masks, namer)
        stage = ".second-stage" if second_stage else ""
        path = self.out / f"{dataset}.{split}.{prompts}.{sound if combine == JOINT else combine}{stage}.json"
        run = plain({"model": {"name": predictor.name, **predictor.identity}, "options": options.as_json()})
        report = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if any(report.get(name) != value for name, value in run.items()):
            print(f"{dataset} {split}, prompts {prompts}, sound {sound}: {limit} samples", file=sys.stderr)
            folder = self.masks(split, sound) if self.save_masks else None
            evaluate(predictor, listing, options, load=load_clip, report=path, masks=folder)
            report = json.loads(path.read_text(encoding="utf-8"))
        return report

    def masks(self, split: str, sound: str) -> Path:
        """Return the folder of a run's masks."""
        return self.out / "masks" / split / sound

    def mask_terms(self, split: str, sound: str, samples: list[dict[str, Any]]) -> dict[str, Terms]:
        """Return the output of `clip_terms` for the masks of a run, by clip."""
        folder = self.masks(split, sound)
        return {row["clip"]: clip_terms(self.root / "gt_mask" / row["clip"], folder / row["id"]) for row in samples}

    def _listing(self, dataset: str, split: str) -> Any:
        key = dataset, split
        if key not in self._listings:
            self._listings = {key: open_dataset(dataset, self.root).listing(split)}
        return self._listings[key]


def dataset_and_split(text: str) -> tuple[str, str]:
    """Return the two parts of `DATASET/SPLIT`."""
    dataset, _, split = text.partition("/")
    return dataset, split


def splits_parser(description: str, splits: tuple[str, ...]) -> argparse.ArgumentParser:
    """Return the command line of a script that goes through clips of StampAVS, with its default splits."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("root", type=Path, help="folder that data build-stampavs wrote")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--splits", default=",".join(splits), help="comma-separated")
    parser.add_argument("--clips", type=int, help="evaluate only the first clips of each split")
    return parser


def stampavs_parser(description: str, splits: tuple[str, ...], out: str) -> argparse.ArgumentParser:
    """Return the command line of a script that evaluates a model on StampAVS, with its default splits and output."""
    parser = splits_parser(description, splits)
    parser.add_argument("--out", type=Path, default=Path(out), help="folder of the reports")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    return parser
