"""The linear probe in PyTorch: regularised logistic regression, and how its penalty is chosen."""

# pyright: reportMissingImports=false
# torch is an extra that only this comparison needs.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def fitted(
    parts: Sequence[Tensor], targets: Sequence[Tensor], told: dict[str, Any], budget: int
) -> tuple[Tensor, Tensor]:
    """The linear probe fitted to the labelled subjects; all its penalties are solved as one batch.

    Args:
        parts: features of the labelled and of the validation subjects, whose loss chooses the penalty.
        targets: their labels.
        told: the study's probe. Below its ``min_labels``, cross-validation over both sets chooses.
        budget: number of labels.
    """
    penalties = torch.tensor(told["penalties"], device=parts[0].device)
    weights, intercepts = solve(parts[0], targets[0], penalties)

    def losses(features: Tensor, wanted: Tensor, weights: Tensor, intercepts: Tensor) -> Tensor:
        log_odds = features @ weights.mT + intercepts
        wanted = wanted[:, None].expand_as(log_odds)
        return F.binary_cross_entropy_with_logits(log_odds, wanted, reduction="none").sum(0)

    if budget >= told["min_labels"]:
        loss = losses(parts[1], targets[1], weights, intercepts)
    else:
        features, wanted = torch.cat(list(parts)), torch.cat(list(targets))
        blocks = [torch.arange(len(part), device=part.device) * told["folds"] // len(part) for part in parts]
        fold, loss = torch.cat(blocks), torch.zeros_like(penalties)
        for k in range(told["folds"]):
            left_out = fold == k
            heads = solve(features[~left_out], wanted[~left_out], penalties)
            loss = loss + losses(features[left_out], wanted[left_out], *heads)
    best = loss.argmin()
    return weights[best], intercepts[best]


def solve(features: Tensor, labels: Tensor, penalties: Tensor) -> tuple[Tensor, Tensor]:
    """L2-regularised logistic regression on standardised features, one fit a penalty, by damped Newton steps."""
    mean, scale = features.mean(0), torch.sqrt(features.var(0, unbiased=False) + 1e-8)
    inputs = torch.cat([(features - mean) / scale, torch.ones_like(features[:, :1])], 1)
    n, d = inputs.shape
    ridge = penalties[:, None].repeat(1, d)
    ridge[:, -1] = 0
    theta = torch.zeros(len(penalties), d, device=features.device)
    lengths = 0.5 ** torch.arange(6, device=features.device)
    for _ in range(60):
        log_odds = theta @ inputs.mT  # [penalty, n]
        p = torch.sigmoid(log_odds)
        gradient = (p - labels) @ inputs / n + ridge * theta
        if gradient.abs().max() <= 1e-5:
            break
        hessian = (inputs * (p * (1 - p) / n)[..., None]).mT @ inputs + torch.diag_embed(ridge + 1e-6)
        move = torch.linalg.solve(hessian, gradient)
        tried = theta[:, None] - lengths[:, None] * move[:, None]  # [penalty, length, d]
        ahead = log_odds[:, None] - lengths[:, None] * (move @ inputs.mT)[:, None]
        loss = (F.softplus(ahead) - labels * ahead).mean(2) + 0.5 * (ridge[:, None] * tried**2).sum(2)
        theta = tried[torch.arange(len(theta)), loss.argmin(1)]
    weights = theta[:, :-1] / scale
    return weights, theta[:, -1] - weights @ mean
