"""The named ways to come from frames to one number. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

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
class Protocol:
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
        Protocol(name="auralsam2", size=1024, threshold=None, call=1, null="ratio"),
        Protocol(name="avsbench", size=224, threshold=0.5, call=1, null="root"),
        Protocol(name="ref-avs", size=256, threshold=0.4, call=4, null="root"),
        Protocol(name="per-frame", size=256, threshold=None, call=None, null="root"),
    )
}


def protocol(name: str | None, dataset: str) -> Protocol:
    """A protocol as it applies to a data set: AuralSAM2's joins four samples on Ref-AVS.

    Args:
        name: one of `PROTOCOLS`; None for the data set's own.
        dataset: name of the data set.
    """
    found = PROTOCOLS[name or DEFAULTS.get(dataset, "per-frame")]
    return replace(found, call=4) if (found.name, dataset) == ("auralsam2", "ref-avs") else found
