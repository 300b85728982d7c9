"""The client of Flower in the room's README, where ``flwr`` is installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import biasprop.loops
from biasprop.nn.optimisation import Schedule
from tests.members import member

README = Path(biasprop.loops.__file__).parent / "README.md"


def test_a_client_trains_on_its_images_and_its_optimiser_remembers_earlier_rounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = pytest.importorskip("flwr.app")
    identity = pytest.importorskip("flwr.supercore.task_identity").TaskIdentity
    for name in ("_task_id", "_run_id", "_node_id"):  # as a process of Flower has them
        monkeypatch.setattr(identity, name, 1)
    client: dict[str, Any] = {}
    (source,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    exec(compile(source, str(README), "exec"), client)
    encoder, objective = member("encoders", "linear"), member("objectives", "reconstruction")
    images = np.random.default_rng(0).uniform(size=(40, 8, 8, 1)).astype(np.float32)
    site = client["client_app"](encoder, objective, Schedule(steps=40, batch=8), images, site=3, local_steps=5)
    arrays = client["record"](client["initial"](encoder, objective, images.shape[1:]))
    context = app.Context(run_id=1, node_id=1, node_config={}, state=app.RecordDict(), run_config={})
    losses = []
    for number in range(1, 5):
        round_of_server = app.ConfigRecord({"server-round": number})
        content = app.RecordDict({"arrays": arrays, "config": round_of_server})
        message = app.Message(content=content, dst_node_id=1, message_type="train")
        reply = site(message, context).content
        assert reply["metrics"]["num-examples"] == 40
        arrays = reply["arrays"]
        losses.append(reply["metrics"]["loss"])
    assert losses[-1] < losses[0]
    counts = [int(leaf) for leaf in context.state["moments"].to_numpy_ndarrays() if leaf.dtype == np.int32]
    assert counts and set(counts) == {20}
    shapes = [leaf.shape for leaf in jax.tree.leaves(client["initial"](encoder, objective, images.shape[1:]))]
    assert [leaf.shape for leaf in arrays.to_numpy_ndarrays()] == shapes
