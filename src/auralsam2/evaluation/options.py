"""What can be chosen for an evaluation. Nothing here imports torch, so that a wrong word is refused at once."""

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
"""By data set, the protocol of the figures that were published for it; ours goes for all others."""


@dataclass(frozen=True, kw_only=True)
class ScoringProtocol:
    """How frames become the scores of a data set.

    Attributes:
        name: as on the command line.
        size: side of the square maps that are compared, in pixels.
        threshold: of the probability for a pixel of the object; None for logits above 0.
        call: samples that are scored as one; None scores frames, whatever sample they belong to.
        null: S of samples whose expression refers to nothing: `root` of the share of wrong pixels in a call, averaged;
            or the plain `ratio` over all calls.
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
    """A protocol as it applies to a data set: AuralSAM2's joins four samples on Ref-AVS.

    Args:
        name: one of `PROTOCOLS`; None for the data set's own.
        dataset: name of the data set.
    """
    found = PROTOCOLS[name or DEFAULTS.get(dataset, "per-frame")]
    return replace(found, call=4) if (found.name, dataset) == ("auralsam2", "ref-avs") else found


PROMPTS = ("audio", "text", "audio+text", "points", "box", "mask", "points+box", "audio+points+box")
SELECTS = ("iou", "iou+object", "first")
COMBINES = ("joint", "mean_prob", "mean_logit", "max_iou_score", "union")
SOUNDS = ("own", "shuffled", "silent", "swapped")


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """One evaluation, but for the model and the place of the files.

    Attributes:
        dataset: name of the data set.
        split: name of the split.
        prompts: what the model is given, words joined by `+`. Points, box and mask come from the truth.
        protocol: name; None for the data set's own.
        select: which of the three candidate masks counts: the one of highest predicted IoU; the same, emptied where
            the object score is below 0; or the first.
        combine: sound and visual prompts together: `joint`, all in one call of the decoder; or an ensemble, the target
            found twice and the two masks of highest predicted IoU merged by this rule.
        sound: the clip's own; that of another clip; silence; or left and right swapped.
        limit: score only so many samples, the first ones.
        seed: of the shuffled sound and of the intervals.

    Raises:
        UsageError: a word is not known.
    """

    dataset: str
    split: str
    prompts: str = "audio"
    protocol: str | None = None
    select: str = "iou"
    combine: str = "joint"
    sound: str = "own"
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
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"`limit={self.limit}`: give at least 1, or leave it out")

    @property
    def parts(self) -> frozenset[str]:
        """The kinds of prompts."""
        return frozenset(self.prompts.split("+"))

    @property
    def hears(self) -> bool:
        """Whether the model hears the sound."""
        return "audio" in self.parts

    @property
    def reads(self) -> bool:
        """Whether the model reads the expression."""
        return "text" in self.parts

    @property
    def visual(self) -> frozenset[str]:
        """The prompts that are taken from the truth."""
        return self.parts & {"points", "box", "mask"}

    @property
    def rules(self) -> ScoringProtocol:
        """The protocol as it applies to the data set."""
        return find_protocol(self.protocol, self.dataset)

    def as_json(self) -> dict[str, Any]:
        """All choices, for a report and to tell runs apart; the protocol spelt out."""
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
            "limit": self.limit,
            "seed": self.seed,
        }


class ProblemProtocol(Protocol):
    """What a reader found wrong; as text, a line that names the place."""

    @property
    def excluded(self) -> bool:
        """A sample is left out because of it."""
        ...


class ListingProtocol(Protocol):
    """What a reader says of a split."""

    @property
    def samples(self) -> Sequence[Sample]:
        """Those whose files are there, in the published order."""
        ...

    @property
    def problems(self) -> Sequence[ProblemProtocol]:
        """What the reader found wrong."""
        ...


def check_listing(listing: ListingProtocol, options: EvaluationOptions) -> None:
    """Whether there is something to score, and whether it can be prompted as the options say.

    Raises:
        InputError: the split has no samples.
        UsageError: there are no expressions to read.
    """
    if not listing.samples:
        first = f"; the first: {listing.problems[0]}" if listing.problems else ""
        raise InputError(
            f"{options.dataset}: split {options.split} has no usable samples, {len(listing.problems)} problems{first}"
        )
    if options.reads and any(sample.expression is None for sample in listing.samples):
        raise UsageError(f"`prompts={options.prompts}`: {options.dataset} has no expressions: use `prompts=audio`")
