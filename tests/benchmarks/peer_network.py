"""The study's network, views and losses in PyTorch: what a user would write, with the same sizes and initial laws.

Images are ``[n, c, h, w]``, as PyTorch's kernels like them. Nothing here imports JAX.
"""

# pyright: reportMissingImports=false
# torch is an extra that only this comparison needs.

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """Pre-norm transformer block; attention is PyTorch's own fused kernel."""

    def __init__(self, width: int, heads: int, expansion: int):
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width, eps=1e-6)
        self.mix = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width, eps=1e-6)
        self.widen = nn.Linear(width, expansion * width)
        self.narrow = nn.Linear(expansion * width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, t, d = x.shape
        q, k, v = self.mix(self.norm_attention(x)).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, d))
        return x + self.narrow(F.gelu(self.widen(self.norm_mlp(x)), approximate="tanh"))


MIN_MEAN = MIN_SD = 1 / 255
"""Smallest mean of a channel, or sd of an image, that is divided by."""


class Normalisation(nn.Module):
    """How the values of an image are scaled before the first layer.

    Args:
        kind: as in the study.
        channels: of an image; the constants of ``cohort`` are one per channel, and those of ``fixed`` until set.
    """

    def __init__(self, kind: str, channels: int):
        super().__init__()
        if kind not in ("fixed", "cohort", "image", "colour_constancy"):
            raise SystemExit(f"the study in PyTorch has no normalisation {kind}")
        self.kind = kind
        self.register_buffer("mean", torch.full((channels, 1, 1), 0.5))
        self.register_buffer("sd", torch.full((channels, 1, 1), 0.25))

    def measure(self, cohort: Tensor) -> None:
        """Take the constants of a cohort's images, if the normalisation is of the cohort."""
        if self.kind == "cohort":
            variance, mean = torch.var_mean(cohort, (0, 2, 3), correction=0)
            self.mean.copy_(mean[:, None, None])  # pyright: ignore[reportCallIssue]
            self.sd.copy_(variance.sqrt()[:, None, None])  # pyright: ignore[reportCallIssue]

    def forward(self, images: Tensor) -> Tensor:
        if self.kind == "image":
            variance, mean = torch.var_mean(images, (1, 2, 3), correction=0, keepdim=True)
            return (images - mean) / torch.sqrt(variance + MIN_SD**2)
        if self.kind == "colour_constancy":
            images = images * (0.5 / images.mean((2, 3), keepdim=True).clamp(min=MIN_MEAN))
        return (images - self.mean) / self.sd  # pyright: ignore[reportOperatorIssue]


class Encoder(nn.Module):
    """Vision transformer, mean-pooled; patches by a strided convolution (measured: twice as fast as unfolding)."""

    def __init__(
        self,
        size: int,
        channels: int,
        patch: int,
        width: int,
        depth: int,
        heads: int,
        expansion: int,
        normalisation: str = "fixed",
    ):
        super().__init__()
        self.normalisation = Normalisation(normalisation, channels)
        self.embed = nn.Conv2d(channels, width, patch, patch)
        self.positions = nn.Parameter(0.02 * torch.randn((size // patch) ** 2, width))
        self.blocks = nn.Sequential(*(Block(width, heads, expansion) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.apply(initialise)

    def forward(self, images: Tensor, hidden_percent: int = 0) -> Tensor:
        tokens = self.embed(self.normalisation(images)).flatten(2).mT + self.positions
        if hidden_percent:
            n, t, d = tokens.shape
            seen = max(1, round(t * (100 - hidden_percent) / 100))
            chosen = torch.rand(n, t, device=tokens.device).argsort(1)[:, :seen]
            tokens = tokens.gather(1, chosen[..., None].expand(-1, -1, d))
        return self.norm(self.blocks(tokens)).mean(1)

    def layers(self) -> list[list[nn.Parameter]]:
        """Parameters layer by layer: those before the blocks, then block by block; the final norm is in the last."""
        found = [[*self.embed.parameters(), self.positions]]
        found += [list(block.parameters()) for block in self.blocks]
        found[-1] += self.norm.parameters()
        return found


class Projection(nn.Sequential):
    """Two-layer MLP, thrown away after pretraining."""

    def __init__(self, inputs: int, width: int):
        super().__init__(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width))
        self.apply(initialise)


class Classifier(nn.Module):
    """Encoder and a linear head that starts from zero."""

    def __init__(self, encoder: nn.Module, features: int):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(features, 1)
        self.restart()

    @torch.no_grad()
    def restart(self, weights: Tensor | float = 0.0, intercept: Tensor | float = 0.0) -> None:
        """Begin again with this head."""
        self.head.weight[:] = weights
        self.head.bias[:] = intercept

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.encoder(images))[:, 0]


def initialise(module: nn.Module) -> None:
    """LeCun's normal law, truncated at two sd, and biases of 0: what flax does."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        sd = math.sqrt(1 / module.weight[0].numel()) / 0.87962566103423978
        nn.init.trunc_normal_(module.weight, std=sd, a=-2 * sd, b=2 * sd)
        nn.init.zeros_(module.bias)  # pyright: ignore[reportArgumentType]


class Views(nn.Module):
    """Random views of a batch: zoom, shift, flips, transposition and colour, as two batched matrix products.

    ``affine_grid`` and ``grid_sample`` with border padding compute the same views; eager they are a tenth faster,
    compiled six times slower (README).
    """

    def __init__(
        self, size: int, scale: float, shift: float, flip: float, transpose: float, gain: float, offset: float
    ):
        super().__init__()
        self.scale, self.shift, self.flip, self.transpose = scale, shift, flip, transpose
        self.gain, self.offset = gain, offset
        self.register_buffer("pixel", torch.arange(size, dtype=torch.float32), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        n, c, size, _ = images.shape
        draw: dict[str, Any] = {"device": images.device}
        zoom = torch.exp(self.scale * (2 * torch.rand(n, 2, 1, **draw) - 1))
        zoom = torch.where(torch.rand(n, 2, 1, **draw) < self.flip, -zoom, zoom)
        shift = self.shift * (2 * torch.rand(n, 2, 1, **draw) - 1)
        axis = (self.pixel + 0.5) / size - 0.5  # pyright: ignore[reportOperatorIssue]
        source = ((axis / zoom + shift + 0.5) * size - 0.5).clamp(0, size - 1)
        resample = (1 - (source[..., None] - self.pixel).abs()).clamp(min=0)  # [n, 2, o, i]
        moved = resample[:, None, 0] @ images @ resample[:, None, 1].mT
        moved = torch.where(torch.rand(n, 1, 1, 1, **draw) < self.transpose, moved.mT, moved)
        gain = torch.exp(self.gain * torch.randn(n, c, 1, 1, **draw))
        return moved * gain + self.offset * torch.randn(n, c, 1, 1, **draw)


def nt_xent(projected: Tensor, temperature: float) -> Tensor:
    """NT-Xent (Chen et al. 2020); rows i and i + m/2 are the two views of one image."""
    m = len(projected)
    unit = F.normalize(projected)
    logits = (unit @ unit.mT / temperature).fill_diagonal_(-1e9)
    partner = (torch.arange(m, device=projected.device) + m // 2) % m
    return F.cross_entropy(logits, partner)
