"""When a fine-tuning run cools down and ends, on validation losses that are given."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.nn.optimisation import SEGMENT, CoolDown
from biasprop.nn.stopping import Course, Plateau

CAP = 1_000
RULE = Plateau(patience=150, smoothing=0.0, cooldown=0.5, min_labels=100, fixed_steps=200)

_begin = jax.jit(lambda rule, labels: rule.start(jnp.asarray(CAP), labels))
_follow = jax.jit(lambda rule, course, step, loss: rule.follow(course, step, loss))


def followed(rule: Plateau, losses: list[float], labels: int = 100) -> Course:
    """The course after a run with these validation losses, segment by segment."""
    course = _begin(rule, jnp.int32(labels))
    for i, loss in enumerate(losses):
        course = _follow(rule, course, jnp.int32((i + 1) * SEGMENT), jnp.float32(loss))
    return course


def cooldown(rule: Plateau, losses: list[float], labels: int = 100) -> tuple[int, int]:
    """First step and end of the cool-down."""
    return tuple(int(step) for step in followed(rule, losses, labels).cooldown)  # pyright: ignore[reportReturnType]


FALLING = [1 / (1 + i) for i in range(40)]


def test_a_run_ends_at_the_cap_while_the_loss_falls() -> None:
    assert cooldown(RULE, FALLING[:19]) == (667, CAP)


def test_the_cool_down_begins_when_the_loss_has_not_fallen_for_the_patience() -> None:
    losses = [0.5, 0.4, 0.41, 0.42, 0.43]  # the lowest after step 100
    assert cooldown(RULE, losses[:4]) == (667, CAP)
    assert cooldown(RULE, losses) == (250, 375)


def test_a_cool_down_that_has_begun_is_not_moved() -> None:
    assert cooldown(RULE, [0.5, 0.4, 0.41, 0.42, 0.43, 0.1, 0.2, 0.3, 0.4, 0.5]) == (250, 375)


def test_a_lower_loss_postpones_the_cool_down() -> None:
    assert cooldown(RULE, [0.5, 0.4, 0.41, 0.42, 0.39, 0.4, 0.4]) == (667, CAP)


def test_training_does_not_end_before_its_shortest_length() -> None:
    rule = RULE.model_copy(update={"shortest": 400})
    assert cooldown(rule, [0.4] * 7) == (667, CAP)
    assert cooldown(rule, [0.4] * 8) == (400, 600)


def test_few_labels_have_a_fixed_number_of_steps() -> None:
    course = followed(RULE, [0.5, 0.6, 0.7, 0.8, 0.9, 1.0], labels=99)
    assert tuple(map(int, course.cooldown)) == (200, 300) and not course.validated
    assert cooldown(RULE.model_copy(update={"fixed_steps": 5_000}), [], labels=50) == (667, CAP)
    assert cooldown(RULE.model_copy(update={"shortest": 300}), [], labels=50) == (300, 450)


def test_the_expected_length_is_that_of_the_cool_down_where_it_is_known() -> None:
    assert RULE.expected_steps(CAP, 99) == 300 and RULE.expected_steps(250, 99) == 250
    assert RULE.expected_steps(CAP, 100) == CAP // 2 and RULE.expected_steps(1, 100) == 1


def test_smoothing_forgets_one_lucky_value() -> None:
    noisy = [0.5, 0.4, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert float(followed(RULE, noisy).lowest) == pytest.approx(0.4)
    smooth = followed(RULE.model_copy(update={"smoothing": 0.9}), noisy)
    assert float(smooth.lowest) == pytest.approx(0.49)
    assert float(smooth.smoothed) == pytest.approx(0.5 - 0.01 * 0.9**5, abs=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_is_no_progress(bad: float) -> None:
    assert cooldown(RULE, [0.5, 0.4, bad, bad, bad]) == (250, 375)


def test_the_rate_falls_linearly_to_zero() -> None:
    falling = CoolDown(jnp.int32(100), jnp.int32(199))
    factors = [float(falling.factor(jnp.int32(step))) for step in (0, 99, 100, 150, 198, 199, 250)]
    assert factors == pytest.approx([1, 1, 0.99, 0.49, 0.01, 0, 0])
