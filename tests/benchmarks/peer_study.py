"""A study in PyTorch, cell by cell, on images rendered beforehand: pretrain once, then every arm from there.

A worker: ``python -m tests.benchmarks.peer_study FOLDER`` reads one JSON request a line and answers each with one line.
``{"cell": 0, "replicate": 0}`` computes a cell and writes its scores; ``{"time": "pretrain"}`` repeats one unit of a
stage and answers with its seconds. What FOLDER holds is written by :mod:`tests.benchmarks.images`.
"""

# pyright: reportMissingImports=false
# torch is an extra that only this comparison needs.

from __future__ import annotations

import argparse
import copy
import functools
import itertools
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biasprop.hardware import environment
from tests.benchmarks.peer_network import Classifier, Encoder, Projection, Views, initialise, nt_xent
from tests.benchmarks.peer_optimiser import decayed_layers, optimiser, orthogonalised
from tests.benchmarks.peer_probe import fitted, solve
from tests.benchmarks.peer_stopping import rule

TIMED = 4
"""Segments of the timed fine-tuning, as in :mod:`biasprop.bench.stages`."""

SETS = ("train", "selection")
"""Labelled and validation subjects."""

AT_ONCE = 1_000
"""Images encoded at once where nothing is learned."""


class Peer:
    """A study's recipe and one replicate's images, ready to compute."""

    def __init__(self, folder: Path, replicate: int, device: str, compiled: bool):
        self.recipe = json.loads((folder / "recipe.json").read_text())
        self.folder, self.replicate, self.device = folder, replicate, torch.device(device)
        self.compiled = compiled
        self.subgroups = len(self.recipe["subgroups"])
        self.seconds: dict[str, float] = {}

    @functools.cache  # noqa: B019 - as long as the worker
    def images(self, name: str) -> Tensor:
        """A set of images, [n, c, h, w]."""
        stored = np.load(self.folder / f"{self.replicate}-{name}.npy")
        return torch.from_numpy(stored).permute(0, 3, 1, 2).contiguous().to(self.device)

    @functools.cache  # noqa: B019
    def numbers(self, name: str) -> Tensor:
        """Labels or subgroups of a set."""
        return torch.from_numpy(np.load(self.folder / f"{self.replicate}-{name}.npy").astype(np.int64)).to(self.device)

    def cohort(self, cell: int) -> Tensor:
        """Images of a cell's cohort, each subject in the subgroup that this cell's mix puts it in."""
        subgroup = self.numbers(f"subgroup-{cell}").cpu().numpy()
        stored = [
            np.load(self.folder / f"{self.replicate}-cohort-{g}.npy", mmap_mode="r") for g in range(self.subgroups)
        ]
        chosen = np.empty_like(stored[0])
        for g, images in enumerate(stored):
            chosen[subgroup == g] = images[subgroup == g]
        return torch.from_numpy(chosen).permute(0, 3, 1, 2).contiguous().to(self.device)

    def encoder(self) -> Encoder:
        """An untrained encoder."""
        return Encoder(**self.recipe["encoder"]).to(self.device)

    def views(self, levers: dict[str, float]) -> Views:
        """Random views."""
        return Views(self.recipe["encoder"]["size"], **levers).to(self.device)

    def fast(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Compiled, where that was asked for."""
        mode = "default" if self.device.type == "cpu" else "reduce-overhead"  # graphs: steps are short on a GPU
        return torch.compile(function, dynamic=False, mode=mode) if self.compiled else function

    # --- learning; what is compiled once serves every cell and arm ---

    @functools.cached_property
    def pretraining_loss(self) -> tuple[nn.Module, nn.Module, Callable[[Tensor], Tensor]]:
        """Encoder, projection head, and the loss of a batch."""
        told = next(cell["pretraining"] for cell in self.recipe["cells"] if cell["pretraining"])
        encoder, projection = self.encoder(), Projection(self.recipe["features"], told["projection"]).to(self.device)
        views = self.views(told["augmentation"])

        def loss_of(images: Tensor) -> Tensor:
            features = encoder(views(torch.cat([images, images])), told.get("hidden_percent", 0))
            return nt_xent(projection(features), told["temperature"])

        return encoder, projection, self.fast(loss_of)

    @functools.cached_property
    def orthogonalised(self) -> Callable[[list[Tensor]], list[Tensor]]:
        """Muon's iteration."""
        return self.fast(orthogonalised)

    def untrained(self, cell: int) -> Encoder:
        """An untrained encoder, with the constants of the cell's cohort if its normalisation has any."""
        encoder = self.encoder()
        if encoder.normalisation.kind == "cohort":
            encoder.normalisation.measure(self.cohort(cell)[: self.recipe["cells"][cell]["cohort"]])
        return encoder

    def pretraining(self, cell: int) -> tuple[nn.Module, Callable[[int], Tensor]]:
        """An untrained encoder and the function that takes one step of its pretraining."""
        told = self.recipe["cells"][cell]
        schedule = told["pretraining"]["schedule"]
        encoder, projection, loss_of = self.pretraining_loss
        encoder.load_state_dict(self.untrained(cell).state_dict())
        projection.apply(initialise)
        images = self.cohort(cell)
        layers = [(1.0, [*encoder.parameters(), *projection.parameters()])]
        step = optimiser(layers, [], schedule, self.orthogonalised)

        def take(i: int) -> Tensor:
            rows = torch.randint(told["cohort"], (schedule["batch"],), device=self.device)
            return step(i, lambda: loss_of(images[rows]))

        return encoder, take

    @functools.cache  # noqa: B019
    def finetuning_loss(self, augmentation: str) -> tuple[Classifier, Callable[[Tensor, Tensor], Tensor]]:
        """Classifier, and the log loss of a batch of views."""
        views = self.views(json.loads(augmentation))
        model = Classifier(self.encoder(), self.recipe["features"]).to(self.device)

        def loss_of(images: Tensor, wanted: Tensor) -> Tensor:
            return F.binary_cross_entropy_with_logits(model(views(images)), wanted)

        return model, self.fast(loss_of)

    def finetuning(
        self, encoder: nn.Module, labels: dict[str, int], recipe: dict[str, Any], draw: int, frozen: Tensor | None
    ) -> tuple[Classifier, Callable[[int, float], Tensor]]:
        """A classifier from an encoder, and the function that takes one step of its training.

        Args:
            encoder: pretrained or not.
            labels: the label budget, with how many to train and to validate on.
            recipe: of fine-tuning.
            draw: of labelled subjects.
            frozen: features of the label pool by this encoder; computed where they are needed and None.
        """
        schedule, n = recipe["schedule"], labels["train"]
        model, loss_of = self.finetuning_loss(json.dumps(recipe["augmentation"]))
        model.encoder.load_state_dict(encoder.state_dict())
        train, label = self.images(f"train-{draw}"), self.numbers("train-label").float()
        if recipe["head_first"]:
            features = self.encode(model.encoder, train) if frozen is None else frozen
            penalty = torch.tensor([recipe["head_penalty"]], device=self.device)
            weights, intercepts = solve(features[:n], label[:n], penalty)
            model.restart(weights[0], intercepts[0])
        else:
            model.restart()
        layers = decayed_layers(model.encoder.layers(), recipe["layer_decay"])
        step = optimiser(layers, model.head.parameters(), schedule, self.orthogonalised)

        def take(i: int, factor: float) -> Tensor:
            rows = torch.randint(n, (schedule["batch"],), device=self.device)
            return step(i, lambda: loss_of(train[rows], label[rows]), factor)

        return model, take

    @torch.inference_mode()
    def judge(self, model: nn.Module, n: int) -> float:
        """Mean log loss of the first validation subjects."""
        log_odds = model(self.images("selection")[:n])
        return float(F.binary_cross_entropy_with_logits(log_odds, self.numbers("selection-label")[:n].float()))

    def finetuned(
        self,
        encoder: nn.Module,
        labels: dict[str, int],
        recipe: dict[str, Any],
        draw: int = 0,
        frozen: Tensor | None = None,
    ) -> Classifier:
        """The classifier of lowest validation loss on the way, or the last one where that does not decide."""
        model, take = self.finetuning(encoder, labels, recipe, draw, frozen)
        stopping, step = rule(recipe, labels["budget"]), 0
        best, kept = math.inf, copy.deepcopy(model.state_dict())
        while step < stopping.end:
            for i in range(step, min(step + self.recipe["segment"], stopping.end)):
                take(i, stopping.factor(i))
            step += self.recipe["segment"]
            loss = self.judge(model, labels["validation"])
            if loss < best or not stopping.validated:
                best, kept = loss, copy.deepcopy(model.state_dict())
            stopping.follow(step, loss)
        model.load_state_dict(kept)
        return model

    # --- probing and scoring ---

    @torch.inference_mode()
    def encode(self, encoder: nn.Module, images: Tensor) -> Tensor:
        """Features."""
        return torch.cat([encoder(part) for part in images.split(AT_ONCE)])

    @torch.inference_mode()
    def probe(self, train: Tensor, selection: Tensor, labels: dict[str, int]) -> tuple[Tensor, Tensor]:
        """Weights and intercept of the penalty of lowest loss on subjects left out."""
        parts = (train[: labels["train"]], selection[: labels["validation"]])
        targets = [self.numbers(f"{name}-label")[: len(part)].float() for name, part in zip(SETS, parts, strict=True)]
        return fitted(parts, targets, self.recipe["linear_probe"], labels["budget"])

    @torch.inference_mode()
    def features(self, encoder: nn.Module) -> dict[str, Tensor]:
        """Features of everyone who calibrates and tests, and how they tell subgroups apart."""
        calibration = self.encode(encoder, self.images("calibration"))
        test = torch.stack([self.encode(encoder, self.images(f"test-{g}")) for g in range(self.subgroups)])
        subgroup = self.numbers("calibration-subgroup")
        ends = (subgroup == 0) | (subgroup == self.subgroups - 1)
        penalty = torch.tensor([1e-2], device=self.device)
        weights, intercepts = solve(calibration[ends], (subgroup[ends] != 0).float(), penalty)
        return {"calibration": calibration, "test": test, "separability": test @ weights[0] + intercepts[0]}

    def cell(self, cell: int) -> dict[str, Any]:
        """Compute a cell: scores by arm go to a file; answers with seconds by stage."""
        torch.manual_seed(1_000 * self.replicate + 7)  # initial weights are the same in every cell, as in ours
        told, began = self.recipe["cells"][cell], time.perf_counter()
        spent, scores = self.seconds, {}

        def clock(stage: str) -> None:
            nonlocal began
            now = time.perf_counter()
            spent[stage] = spent.get(stage, 0.0) + now - began
            began = now

        trains = told["pretraining"] is not None
        if trains:
            encoder, take = self.pretraining(cell)
            for i in range(told["pretraining"]["schedule"]["steps"]):
                take(i)
        else:
            encoder = self.untrained(cell)
        clock("pretrain")
        frozen = self.features(encoder)
        selection = self.encode(encoder, self.images("selection"))
        clock("evaluate")
        draws = self.recipe["draws"]
        pools = [self.encode(encoder, self.images(f"train-{draw}")) for draw in range(max(draws.values()))]
        for draw, pool in enumerate(pools[: draws["linear_probe"]]):
            for labels in self.recipe["labels"]:
                weights, intercept = self.probe(pool, selection, labels)
                scores[f"linear_probe {labels['budget']} {draw}"] = (frozen["test"] @ weights + intercept).cpu().numpy()
        clock("probe")
        recipe = self.recipe["full"]["pretrained" if trains else "scratch"]
        for labels, draw in itertools.product(self.recipe["labels"], range(draws["full"])):
            model = self.finetuned(encoder, labels, recipe, draw, pools[draw])
            clock("finetune")
            own = self.features(model.encoder)
            with torch.inference_mode():
                scores[f"full {labels['budget']} {draw}"] = model.head(own["test"])[..., 0].cpu().numpy()
            clock("evaluate")
        np.savez(self.folder / f"scores-{cell}-{self.replicate}.npz", **scores)
        return {"cell": cell, "replicate": self.replicate, "seconds": spent}


class Unit(NamedTuple):
    """What is repeated to time a stage; the same as :class:`biasprop.bench.stages.Stage` has."""

    run: Callable[[], Any]
    work: int
    """Images or fits."""


def units(peer: Peer) -> dict[str, Unit]:
    """One unit of each stage, of the first cell that is pretrained and the largest label budget."""
    cell = next(i for i, told in enumerate(peer.recipe["cells"]) if told["pretraining"])
    labels, segment = peer.recipe["labels"], peer.recipe["segment"]
    _, pretrain = peer.pretraining(cell)
    encoder, full = peer.encoder(), peer.recipe["full"]["pretrained"]
    shorter = full | {"schedule": full["schedule"] | {"steps": TIMED * segment}}

    def probe() -> list[Any]:
        train, selection = (peer.encode(encoder, peer.images(name)) for name in ("train-0", "selection"))
        return [peer.probe(train, selection, n) for n in labels]

    judges = len(peer.images("calibration")) + peer.subgroups * len(peer.images("test-0"))
    batch = peer.recipe["cells"][cell]["pretraining"]["schedule"]["batch"]
    return {
        "pretrain": Unit(lambda: [pretrain(i) for i in range(segment)], segment * batch),
        "finetune": Unit(
            lambda: peer.finetuned(encoder, labels[-1], shorter), TIMED * segment * full["schedule"]["batch"]
        ),
        "probe": Unit(probe, len(labels)),
        "evaluate": Unit(lambda: peer.features(encoder), judges),
    }


def main() -> None:
    """Answer requests until there are no more."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peer_study", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-compile", action="store_true")
    given = parser.parse_args()
    environment.configure()  # freed memory stays with the process, as with ours
    torch.set_num_threads(given.threads)
    if given.device != "cpu":
        torch.set_float32_matmul_precision("high")  # what a user would set; ours uses the same products

    @functools.cache
    def peer(replicate: int) -> Peer:
        peer.cache_clear()
        return Peer(given.folder, replicate, given.device, not given.no_compile)

    timed: dict[str, Unit] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if "time" in asked:
            timed = timed or units(peer(0))
            unit, began, processor = timed[asked["time"]], time.perf_counter(), time.process_time()
            unit.run()
            if given.device != "cpu":
                torch.cuda.synchronize()
            answer: dict[str, Any] = {
                "seconds": time.perf_counter() - began,
                "processor": time.process_time() - processor,
                "work": unit.work,
            }
        else:
            one = peer(asked["replicate"])
            one.seconds = {}
            answer = one.cell(asked["cell"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
