"""AdamW and Muon in PyTorch with the study's learning rates, layer by layer.

``torch.optim.Muon`` is not used: it orthogonalises in bfloat16, does not correct the bias of its momentum, and takes
one matrix after the other; ``torch.optim.NAdam`` has another schedule of its momentum. Nothing here imports JAX.
"""

# pyright: reportMissingImports=false
# torch is an extra that only this comparison needs.

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the iteration (Jordan et al. 2024)."""

ITERATIONS = 5

Layers = Sequence[tuple[float, Iterable[nn.Parameter]]]
"""Learning rate of each layer as a fraction of the schedule's, and its parameters."""


def orthogonalised(matrices: list[Tensor]) -> list[Tensor]:
    """Matrices with singular values near 1; those of one shape, transposed where needed, as one batch."""
    tall = [matrix.shape[0] > matrix.shape[1] for matrix in matrices]
    same: dict[tuple[int, ...], list[int]] = {}
    for row, matrix in enumerate(matrices):
        same.setdefault(tuple(sorted(matrix.shape)), []).append(row)
    found = list(matrices)
    a, b, c = NEWTON_SCHULZ
    for rows in same.values():
        x = torch.stack([matrices[row].mT if tall[row] else matrices[row] for row in rows])
        x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-8)
        for _ in range(ITERATIONS):
            gram = x @ x.mT
            x = a * x + (b * gram + c * gram @ gram) @ x
        for row, result in zip(rows, x.unbind(), strict=True):
            found[row] = result.mT if tall[row] else result
    return found


def decayed_layers(layers: Sequence[list[nn.Parameter]], decay: float) -> Layers:
    """Layers with the rate of each as a fraction of the next one's, of which the head is the last; one if all are 1."""
    if decay == 1:
        return [(1.0, itertools.chain.from_iterable(layers))]
    return [(decay ** (len(layers) - number), layer) for number, layer in enumerate(layers)]


class Nesterov(torch.optim.Optimizer, ABC):
    """Bias-corrected Nesterov momentum as in optax, from which a derived class makes updates.

    Args:
        groups: as of every optimiser, with ``lr`` and ``weight_decay``.
        momentum: decay rate of the average of gradients.
    """

    def __init__(self, groups: list[dict[str, Any]], momentum: float):
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0})
        self.momentum, self.steps = momentum, 0
        self.owned = [(group, leaf) for group in self.param_groups for leaf in group["params"]]
        self.averages = [torch.zeros_like(leaf) for _, leaf in self.owned]

    @abstractmethod
    def directions(self, gradients: list[Tensor], ahead: list[Tensor]) -> list[Tensor]:
        """Updates per unit of the learning rate, from gradients and their average looked ahead."""

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take a step along the gradients."""
        self.steps += 1
        beta, gradients = self.momentum, [leaf.grad for _, leaf in self.owned]
        torch._foreach_lerp_(self.averages, gradients, 1 - beta)
        ahead = torch._foreach_mul(self.averages, beta / (1 - beta ** (self.steps + 1)))
        torch._foreach_add_(ahead, gradients, alpha=(1 - beta) / (1 - beta**self.steps))
        found = self.directions(gradients, ahead)
        for (group, leaf), direction in zip(self.owned, found, strict=True):
            leaf.mul_(1 - group["lr"] * group["weight_decay"])
            leaf.add_(direction, alpha=-group["lr"])


class Muon(Nesterov):
    """Muon in float32 with updates of a given root mean square; kernels of convolutions count as matrices.

    Args:
        groups, momentum: as above.
        rms: root mean square of an update, per unit of the learning rate.
        compiled: :func:`orthogonalised`, compiled or not.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        momentum: float,
        rms: float,
        compiled: Callable[[list[Tensor]], list[Tensor]],
    ):
        super().__init__(groups, momentum)
        self.rms, self.compiled = rms, compiled

    def directions(self, gradients: list[Tensor], ahead: list[Tensor]) -> list[Tensor]:
        found = self.compiled([matrix.flatten(1) for matrix in ahead])
        lengths = [self.rms * math.sqrt(max(matrix.shape)) for matrix in found]
        return [
            matrix.view_as(leaf) for matrix, leaf in zip(torch._foreach_mul(found, lengths), gradients, strict=True)
        ]


class Nadam(Nesterov):
    """Adam with Nesterov momentum, which optax's Muon has for what is no matrix."""

    def __init__(
        self, groups: list[dict[str, Any]], momentum: float = 0.9, decay: float = 0.999, epsilon: float = 1e-8
    ):
        super().__init__(groups, momentum)
        self.decay, self.epsilon = decay, epsilon
        self.squares = [torch.zeros_like(leaf) for _, leaf in self.owned]

    def directions(self, gradients: list[Tensor], ahead: list[Tensor]) -> list[Tensor]:
        torch._foreach_mul_(self.squares, self.decay)
        torch._foreach_addcmul_(self.squares, gradients, gradients, 1 - self.decay)
        below = torch._foreach_sqrt(torch._foreach_div(self.squares, 1 - self.decay**self.steps))
        torch._foreach_add_(below, self.epsilon)
        return torch._foreach_div(ahead, below)


def optimiser(
    layers: Layers,
    head: Iterable[nn.Parameter],
    schedule: dict[str, Any],
    compiled: Callable[[list[Tensor]], list[Tensor]] = orthogonalised,
) -> Callable[..., Tensor]:
    """Return ``step(i, loss_of, factor)``: step ``i`` of the schedule's optimiser, gradients clipped to norm 1.

    AdamW is PyTorch's fused kernel; matrices alone decay. With Muon, all else is Nadam's. The head is a vector in our
    package, so it is no matrix here. ``factor`` multiplies the learning rate.
    """
    told = schedule.get("optimiser", {"kind": "adamw"})
    if told["kind"] not in ("adamw", "muon"):
        raise SystemExit(f"the study in PyTorch has no optimiser {told['kind']}")
    matrices, rest = [], [{"params": list(head), "fraction": 1.0}]
    for fraction, parameters in layers:
        leaves = list(parameters)
        decayed = {"params": [leaf for leaf in leaves if leaf.ndim > 1], "weight_decay": schedule["weight_decay"]}
        matrices.append(decayed | {"fraction": fraction})
        rest.append({"params": [leaf for leaf in leaves if leaf.ndim <= 1], "fraction": fraction})
    matrices, rest = ([group for group in groups if group["params"]] for groups in (matrices, rest))
    if told["kind"] == "muon":
        moving = [Muon(matrices, told["momentum"], told["rms"], compiled)] if matrices else []
        moving += [Nadam(rest)] if rest else []
    else:
        moving = [torch.optim.AdamW(matrices + rest, lr=0.0, weight_decay=0.0, fused=True)]
    groups = [group for one in moving for group in one.param_groups]
    every = [leaf for group in groups for leaf in group["params"]]

    def step(i: int, loss_of: Callable[[], Tensor], factor: float = 1.0) -> Tensor:
        for group in groups:
            group["lr"] = factor * group["fraction"] * rate(schedule, i)
        for leaf in every:
            leaf.grad = None
        loss = loss_of()
        loss.backward()
        nn.utils.clip_grad_norm_(every, 1.0, foreach=True)
        for one in moving:
            one.step()
        return loss

    return step


def rate(schedule: dict[str, Any], step: int) -> float:
    """Learning rate at a step: linear warm-up, then a cosine or a constant."""
    progress, warmup, peak = step / schedule["steps"], schedule["warmup"], schedule["learning_rate"]
    if progress < warmup:
        return peak * progress / max(warmup, 1e-6)
    if schedule["decay"] == "constant":
        return peak
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
