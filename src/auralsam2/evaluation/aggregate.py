"""Aggregate the rows of samples to the scores of a data set, each with an interval.

The scores do not depend on the order of clips, except under protocols that join several samples in a call.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

from auralsam2.data.class_names import CLASS_NAMES
from auralsam2.evaluation.metrics import DRAWS, auroc, draw_weights, interval, ratio_draws
from auralsam2.evaluation.options import ScoringProtocol
from auralsam2.evaluation.semantic import SemanticSums

Terms = dict[str, tuple[float, float]]
"""Sum and number of scores by name; a value is the quotient of the totals."""
V2_SEMANTIC = "v2-semantic"
"""Data set of the published semantic scores."""
_CHUNK = 20
"""Bootstrap samples for which the AUROC is computed at a time."""


class ScoreAggregator:
    """Accumulates rows; stores some sums and the object scores of each.

    Args:
        protocol: scoring protocol.
        seed: seed of the intervals.
        dataset: name of the data set, which defines the classes: on `v2-semantic` the mean is over all, as published;
            elsewhere over those in a label.
    """

    def __init__(self, protocol: ScoringProtocol, seed: int, dataset: str = V2_SEMANTIC) -> None:
        self._protocol, self._seed, self._dataset = protocol, seed, dataset
        self._units: dict[str, list[Terms]] = {}
        self._scores: dict[str, tuple[list[float], list[bool]]] = {}
        self._call: list[dict[str, Any]] = []
        self._calls = 0
        self._classes: SemanticSums | None = None
        self._present = torch.zeros(len(CLASS_NAMES.get(dataset, ())), dtype=torch.bool)
        self._named = False

    def add(self, row: dict[str, Any]) -> None:
        """Add the row of a sample; call in the order of the data set."""
        if "classes" in row:
            classes = len(CLASS_NAMES[self._dataset])
            sums = _class_sums(row["classes"], classes)
            self._classes = sums if self._classes is None else self._classes + sums
            if self._dataset != V2_SEMANTIC:
                self._present[torch.tensor(row["classes"]["names"])[torch.tensor(row["classes"]["true"])]] = True
            self._named = row["named"]
        self._call.append(row)
        if len(self._call) == (self._protocol.call or 1):
            self._end_call()

    def numbers(self) -> dict[str, dict[str, Any]]:
        """Return all values by name: `value`, `low` and `high` of the 95 % interval, and `count`, the number of scores.

        Names without a score are left out.
        """
        if self._call:
            self._end_call()
        units = sorted(self._units)
        if not units:
            return {}
        merged = [_total(self._units[unit]) for unit in units]
        names = dict.fromkeys(name for terms in merged for name in terms)
        weights = draw_weights(len(units), self._seed)
        numbers: dict[str, dict[str, Any]] = {}
        draws: dict[str, torch.Tensor] = {}
        for name in names:
            sums = [terms.get(name, (0.0, 0.0)) for terms in merged]
            top, bottom = math.fsum(s for s, _ in sums), math.fsum(n for _, n in sums)
            if bottom:
                columns = torch.tensor(sums, dtype=torch.float64)
                draws[name] = ratio_draws(weights, columns[:, 0], columns[:, 1])
                numbers[name] = _number(top / bottom, draws[name], int(bottom))
        for name, parts in (("J&F", ("M_J", "M_F")), ("J&F with target", ("J with target", "F with target"))):
            if all(part in numbers for part in parts):
                value = math.fsum(numbers[part]["value"] for part in parts) / 2
                both = (draws[parts[0]] + draws[parts[1]]) / 2
                numbers[name] = _number(value, both, numbers[parts[0]]["count"])
        numbers |= self._auroc(units, weights) | self._semantic()
        return numbers

    def _end_call(self) -> None:
        """Convert the pending rows to terms. The bootstrap resamples clips, or calls that hold several samples."""
        rows, self._call = self._call, []
        unit = f"{self._calls:09}" if (self._protocol.call or 1) > 1 else rows[0]["clip"]
        self._calls += 1
        terms = _total([*map(_frame_terms, rows), _published_terms(rows, self._protocol)])
        self._units.setdefault(unit, []).append(terms)
        scores, present = self._scores.setdefault(unit, ([], []))
        for row in rows:
            scores += row["frames"]["object_score"]
            present += [truth > 0 for truth in row["frames"]["truth"]]

    def _auroc(self, units: list[str], weights: torch.Tensor) -> dict[str, dict[str, Any]]:
        scores = torch.tensor([score for unit in units for score in self._scores[unit][0]], dtype=torch.float64)
        present = torch.tensor([target for unit in units for target in self._scores[unit][1]], dtype=torch.bool)
        if not present.any() or present.all():
            return {}
        frames = torch.tensor([len(self._scores[unit][0]) for unit in units])
        owner = torch.arange(len(units)).repeat_interleave(frames)
        draws = [auroc(scores, present, weights[first : first + _CHUNK, owner]) for first in range(0, DRAWS, _CHUNK)]
        return {"presence AUROC": _number(float(auroc(scores, present)), torch.cat(draws), len(scores))}

    def _semantic(self) -> dict[str, dict[str, Any]]:
        if (sums := self._classes) is None:
            return {}
        published = self._dataset == V2_SEMANTIC
        present = torch.ones_like(self._present) if published else self._present
        # A mean over classes of means over frames is not a ratio of sums, so it has no interval.
        names = "" if self._named else ", true names"
        numbers = {}
        for suffix, dropped in (("", None), (" without background", 0), (" without last class", -1)):
            if not published and dropped == -1:
                continue
            count = int(present.sum()) - (dropped is not None)
            for score, value in zip(("mIoU", "class F"), sums.means(dropped, present), strict=True):
                numbers[f"{score}{suffix}{names}"] = {"value": value, "count": count}
        return numbers


def _number(value: float, draws: torch.Tensor, count: int) -> dict[str, Any]:
    low, high = interval(draws) or (value, value)
    return {"value": value, "low": low, "high": high, "count": count}


def _total(parts: list[Terms]) -> Terms:
    """Add terms exactly, so that the order does not matter."""
    names = dict.fromkeys(name for terms in parts for name in terms)
    return {
        name: (
            math.fsum(terms[name][0] for terms in parts if name in terms),
            math.fsum(terms[name][1] for terms in parts if name in terms),
        )
        for name in names
    }


def _frame_terms(row: dict[str, Any]) -> Terms:
    """Compute the means over frames, which are the same under all protocols."""
    frames = _frames(row)
    present = [frame for frame in frames if frame["truth"] > 0]
    empty = [frame for frame in frames if frame["truth"] == 0]
    predicted = [frame for frame in frames if frame["object_score"] >= 0]
    neighbours = row["neighbours"]
    kind = row["kind"]
    by_kind = {f"M_J of {kind}": _mean_of(frames, "iou"), f"false area of {kind}": _mean_of(empty, "area")}
    return {
        "J with target": _mean_of(present, "iou"),
        "F with target": _mean_of(present, "f"),
        "boundary F with target": _mean_of(present, "boundary"),
        "false area in silence": _mean_of([frame for frame in empty if frame["silent"]], "area"),
        "false area of sound without target": _mean_of([frame for frame in empty if not frame["silent"]], "area"),
        "presence precision": (float(sum(frame["truth"] > 0 for frame in predicted)), float(len(predicted))),
        "presence recall": (float(sum(frame["object_score"] >= 0 for frame in present)), float(len(present))),
        "IoU of neighbouring masks": (neighbours["masks"], float(neighbours["pairs"])),
        "IoU of neighbouring labels": (neighbours["labels"], float(neighbours["pairs"])),
        **(by_kind if kind else {}),
    }


def _published_terms(rows: list[dict[str, Any]], protocol: ScoringProtocol) -> Terms:
    """Compute M_J, M_F and S of one call, or of one row under a per-frame protocol; `S root` is S with a root."""
    frames = [frame for row in rows for frame in _frames(row)]
    null = all(row["null"] for row in rows)
    if protocol.call is None:
        terms = {"M_J": _mean_of(frames, "iou"), "M_F": _mean_of(frames, "f")}
        roots = math.fsum(math.sqrt(frame["lit"]) for frame in frames)
        return terms | ({name: (roots, float(len(frames))) for name in ("S", "S root")} if null else {})
    present = sum(frame["truth"] > 0 for frame in frames)
    curve = (
        [math.fsum(values) / present for values in zip(*(row["curve"] for row in rows), strict=True)]
        if present
        else [0.0]
    )
    total, number = _mean_of(frames, "j")
    terms = {"M_J": (total / number, 1.0), "M_F": (max(curve), 1.0)}
    if null:
        # All maps have one size, so the mean of the shares is the share of all pixels.
        lit, number = _mean_of(frames, "lit")
        terms["S root"] = (math.sqrt(lit / number), 1.0)
        terms["S"] = terms["S root"] if protocol.null == "root" else (lit, number)
    return terms


def _frames(row: dict[str, Any]) -> list[dict[str, Any]]:
    names, columns = row["frames"].keys(), row["frames"].values()
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _mean_of(frames: Iterable[dict[str, Any]], column: str) -> tuple[float, float]:
    values = [float(frame[column]) for frame in frames]
    return math.fsum(values), float(len(values))


def _class_sums(row: dict[str, list[Any]], classes: int) -> SemanticSums:
    sums = SemanticSums.zero(classes)
    names = torch.tensor(row["names"])
    sums.iou[names] = torch.tensor(row["iou"], dtype=torch.float64)
    sums.f[names] = torch.tensor(row["f"], dtype=torch.float64)
    sums.count[names] = torch.tensor(row["count"])
    return sums
