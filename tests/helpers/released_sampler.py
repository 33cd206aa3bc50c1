"""The sampling of the released contrastive loss with its bugs, for comparison with numbers of the released code.

The product draws otherwise (`training.sampling`): labels of the drawn positions, thresholded predictions, a total limit
that is reached exactly. Here:

* the prediction is the raw logit, so a position is "easy" only where the logit is exactly 0 or 1;
* what the smaller of "hard" and "easy" lacks of 2 · limit comes on top of the other's own share;
* labels are read at the drawn places of the list of candidates, not at those places of the map;
* above the total limit, a prefix of random length is kept.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from auralsam2.training.contrastive_loss import Embeddings


def released_sample(
    visual: tuple[torch.Tensor, ...],
    audio: tuple[torch.Tensor, ...],
    label: torch.Tensor,
    logits: torch.Tensor,
    limit: int,
    total: int,
) -> tuple[Embeddings, int]:
    """The drawn embeddings, and how many there were before the total limit.

    Args:
        visual: three levels of (T, h·w, D), on the unit sphere.
        audio: three levels of (T, D).
        label: (T, S, S), 0 or 1.
        logits: (T, H, W) of the predicted masks.
        limit: of each kind, class, level and frame.
        total: of the clip.
    """
    side = round(visual[0].shape[1] ** 0.5)
    truth = F.interpolate(label[:, None].float(), size=(side, side), mode="nearest").flatten(1)
    raw = F.interpolate(logits[:, None], size=(side, side), mode="bilinear", align_corners=False).flatten(1)
    rows, labels, heard, heard_labels = [], [], [], []
    for t in range(len(label)):
        for level in range(3):
            heard.append(audio[level][t])
            heard_labels.append(truth[t].any())
            for klass in truth[t].unique():
                of_class = truth[t] == klass
                pools = [(of_class & fits).nonzero()[:, 0] for fits in (truth[t] != raw[t], truth[t] == raw[t])]
                hard, easy = (min(limit, len(pool)) for pool in pools)
                if hard + easy < 2 * limit:
                    if hard > easy:
                        hard += 2 * limit - easy
                    else:
                        easy += 2 * limit - hard
                for pool, size in zip(pools, (hard, easy), strict=True):
                    places = torch.randperm(len(pool))[:size]
                    rows.append(visual[level][t][pool[places]])
                    labels.append(truth[t][places])
    embeddings, row_labels = torch.cat(rows), torch.cat(labels).bool()
    drawn = len(embeddings)
    if drawn > total:
        end = int(torch.randperm(drawn)[total])
        embeddings, row_labels = embeddings[:end], row_labels[:end]
    return Embeddings(embeddings, row_labels, torch.stack(heard), torch.stack(heard_labels)), drawn
