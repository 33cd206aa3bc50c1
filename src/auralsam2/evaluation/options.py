"""Options of an evaluation. This module does not import torch, so a wrong value is refused at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from auralsam2.data.sample import Sample
from auralsam2.errors import InputError, UsageError

DEFAULTS = {
    "v1s": "auralsam2",
    "v1m": "auralsam2",
    "v2": "auralsam2",
    "ref-avs": "auralsam2",
    "s4": "avsbench",
    "ms3": "avsbench",
    "v2-semantic": "avsbench",
}
"""Protocol of the published figures by data set; all others use `per-frame`."""


@dataclass(frozen=True, kw_only=True)
class ScoringProtocol:
    """Rules by which frames are scored.

    Attributes:
        name: as on the command line.
        size: side of the compared square maps in pixels.
        threshold: of the probability; None for logits above 0.
        call: number of samples that are scored together; None scores frames.
        null: S of samples whose expression has no referent: `root` of the share of wrong pixels in a call, averaged; or
            the plain `ratio` over all calls.
    """

    name: str
    size: int
    threshold: float | None
    call: int | None
    null: Literal["root", "ratio"]


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        ScoringProtocol(name="auralsam2", size=1024, threshold=None, call=1, null="ratio"),
        ScoringProtocol(name="avsbench", size=224, threshold=0.5, call=1, null="root"),
        ScoringProtocol(name="ref-avs", size=256, threshold=0.4, call=4, null="root"),
        ScoringProtocol(name="per-frame", size=256, threshold=None, call=None, null="root"),
    )
}


def find_protocol(name: str | None, dataset: str) -> ScoringProtocol:
    """Return the protocol for a data set; that of AuralSAM2 joins four samples on Ref-AVS.

    Args:
        name: one of `PROTOCOLS`; None for the data set's own.
        dataset: name of the data set.
    """
    protocol = PROTOCOLS[name or DEFAULTS.get(dataset, "per-frame")]
    return replace(protocol, call=4) if (protocol.name, dataset) == ("auralsam2", "ref-avs") else protocol


PROMPTS = ("audio", "text", "audio+text", "points", "box", "mask", "points+box", "audio+points+box")
SELECTS = ("iou", "iou+object", "first")
COMBINES = ("joint", "mean_prob", "mean_logit", "max_iou_score", "union")
SOUNDS = ("own", "shuffled", "silent", "swapped")
POINTS = 4
"""Number of points in the paper's Tables 6 and 7."""
INNERMOST = "innermost"
"""Value of the option `points` for the innermost pixel."""


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Options of one evaluation.

    Attributes:
        dataset: name of the data set.
        split: name of the split.
        prompts: kinds of prompts joined by `+`; points, box and mask come from the ground truth.
        protocol: name; None for the data set's own.
        select: the scored candidate mask: that of the highest predicted IoU; the same, empty where the object score is
            below 0; or the first.
        combine: combination of audio and visual prompts: `joint`, in one call of the decoder; or a rule that merges the
            masks of two separate predictions.
        sound: audio condition: own, shuffled (another clip's), silent, or swapped channels.
        points: number of points, drawn uniformly from the mask of the prompted frame, as in the paper; None for its
            innermost pixel.
        limit: number of first samples to score; None for all.
        seed: seed of the points, of the shuffled audio and of the intervals.

    Raises:
        UsageError: a value is not known, or the options contradict each other.
    """

    dataset: str
    split: str
    prompts: str = "audio"
    protocol: str | None = None
    select: str = "iou"
    combine: str = "joint"
    sound: str = "own"
    points: int | None = POINTS
    limit: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, known in (
            ("prompts", self.prompts, PROMPTS),
            ("protocol", self.protocol, (None, *PROTOCOLS)),
            ("select", self.select, SELECTS),
            ("combine", self.combine, COMBINES),
            ("sound", self.sound, SOUNDS),
        ):
            if value not in known:
                raise UsageError(f"`{name}={value}`: choose from {', '.join(word for word in known if word)}")
        if self.sound != "own" and not self.hears:
            raise UsageError(f"`sound={self.sound}`: the prompts {self.prompts} have no sound in them")
        if self.combine != "joint" and (not self.hears or not self.visual or self.select != "iou"):
            raise UsageError(
                f"`combine={self.combine}` merges masks of audio and visual prompts: use `prompts=audio+points+box`, "
                "without `select`"
            )
        if self.points is not None and self.points < 1:
            raise UsageError(f"`points={self.points}`: give at least 1, or {INNERMOST}")
        if self.points != POINTS and "points" not in self.parts:
            raise UsageError(f"`points={self.points or INNERMOST}`: the prompts {self.prompts} have no points in them")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"`limit={self.limit}`: give at least 1, or leave it out")

    @property
    def parts(self) -> frozenset[str]:
        """Kinds of prompts."""
        return frozenset(self.prompts.split("+"))

    @property
    def hears(self) -> bool:
        """Whether audio is a prompt."""
        return "audio" in self.parts

    @property
    def reads(self) -> bool:
        """Whether text is a prompt."""
        return "text" in self.parts

    @property
    def visual(self) -> frozenset[str]:
        """Visual prompts."""
        return self.parts & {"points", "box", "mask"}

    @property
    def rules(self) -> ScoringProtocol:
        """Protocol for the data set."""
        return find_protocol(self.protocol, self.dataset)

    def as_json(self) -> dict[str, Any]:
        """Return all options as plain values, with the protocol's rules; they identify a run."""
        rules = self.rules
        return {
            "dataset": self.dataset,
            "split": self.split,
            "prompts": self.prompts,
            "protocol": {
                "name": rules.name,
                "size": rules.size,
                "threshold": rules.threshold,
                "call": rules.call,
                "null": rules.null,
            },
            "select": self.select,
            "combine": self.combine,
            "sound": self.sound,
            "points": (self.points or INNERMOST) if "points" in self.parts else None,
            "limit": self.limit,
            "seed": self.seed,
        }


class ProblemProtocol(Protocol):
    """Problem of a data set; as text, a line with its location."""

    @property
    def excluded(self) -> bool:
        """Whether a sample is left out."""
        ...


class ListingProtocol(Protocol):
    """Samples and problems of a split."""

    @property
    def samples(self) -> Sequence[Sample]:
        """Samples with all files, in the published order."""
        ...

    @property
    def problems(self) -> Sequence[ProblemProtocol]:
        """Problems found by the reader."""
        ...


def check_listing(listing: ListingProtocol, options: EvaluationOptions) -> None:
    """Check that a split has samples, and expressions for text prompts.

    Raises:
        InputError: the split has no samples.
        UsageError: the samples have no expressions.
    """
    if not listing.samples:
        first = f"; the first: {listing.problems[0]}" if listing.problems else ""
        raise InputError(
            f"{options.dataset}: split {options.split} has no usable samples, {len(listing.problems)} problems{first}"
        )
    if options.reads and any(sample.expression is None for sample in listing.samples):
        raise UsageError(f"`prompts={options.prompts}`: {options.dataset} has no expressions: use `prompts=audio`")
