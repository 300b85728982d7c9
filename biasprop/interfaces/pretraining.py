"""Interfaces of pretraining: what an objective, a mitigation, a source of examples and a loop provide.

Shapes as in the package.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Float, Int, Key

from biasprop.interfaces.encoders import Encoder
from biasprop.interfaces.examples import Example, Params, Spec
from biasprop.interfaces.finetuning import BatchSchedule
from biasprop.interfaces.generators import Generator


class Objective(Protocol):
    """A pretraining loss."""

    kind: str
    trains: ClassVar[bool]
    """False if there is no pretraining."""
    reads: ClassVar[tuple[str, ...]]
    """Further inputs of the loss: ``attribute``, the value of the generator's attribute that the objective's field
    ``attribute`` names; ``follow_up``, the example of the same subject after the objective's ``months``. Subgroup and
    label are not available."""

    def incompatibility(self, encoder: Encoder, spec: Spec) -> str | None:
        """Why this objective cannot train this encoder on examples of this spec, or None."""
        ...

    def init(self, key: Key[Array, ""], encoder: Encoder, spec: Spec) -> Params:
        """Parameters discarded after pretraining (projection head, decoder)."""
        ...

    def loss(
        self,
        encoder: Encoder,
        params: Params,
        extra: Params,
        examples: Example,
        key: Key[Array, ""],
        *read: Array,
        weight: Float[Array, " n"] | None = None,
    ) -> Float[Array, ""]:
        """Mean loss of one batch.

        Args:
            encoder: the encoder being trained.
            params: parameters of the encoder.
            extra: parameters from :meth:`init`.
            examples: the batch.
            key: key of the step, for views, masks and corruptions.
            read: the inputs named by ``reads``, passed by keyword; an objective declares a parameter for each.
            weight: weight of each example, 1 on average; None for equal weights.
        """
        ...


class Cohort(NamedTuple):
    """A pretraining cohort, as passed to a pretraining mitigation."""

    size: int | Int[Array, ""]
    """Number of members."""
    shares: Float[Array, " g"]
    """P(subgroup)."""
    subgroup_of: Callable[[Int[Array, " n"]], Int[Array, " n"]]
    """Index of members -> their subgroups."""


class PretrainingMitigation(Protocol):
    """Counteracts a skew during pretraining. It receives subgroups, which an objective does not."""

    kind: str
    needs_subjects: ClassVar[bool]
    """Whether it requires images of subjects (a cohort) rather than non-medical images."""

    def rows(self, key: Key[Array, ""], n: int, cohort: Cohort) -> Int[Array, " n"]:
        """Draw a batch of ``n``: indices of cohort members."""
        ...

    def weights(self, subgroup: Int[Array, " n"], shares: Float[Array, " g"]) -> Float[Array, " n"] | None:
        """Loss weights of a batch, 1 on average; None for equal weights."""
        ...

    def continuation(self, pretraining: Any) -> Any | None:
        """A further stage of pretraining that follows the stage with this mitigation, or None."""
        ...


class Population(Protocol):
    """Who is in a pool of subjects."""

    shares: dict[str, float]
    """P(subgroup); sums to 1."""
    prevalence: float
    """P(disease | subgroup) before shifts."""
    shifts: dict[str, Any]
    """Subgroup -> its shifts (:class:`biasprop.population.shifts.Shift`)."""


@runtime_checkable
class HasPopulation(Population, Protocol):
    """A source with a population of its own."""

    generator: Any
    """Has the subgroups, and simulates their examples."""


class ObjectiveInputs(NamedTuple):
    """Inputs of an objective, one row per example."""

    examples: Example
    additional: dict[str, Any]
    """The inputs named by the objective's ``reads``."""


class Pool(Protocol):
    """Pretraining examples of one replicate, by index; nothing is stored."""

    @property
    def shares(self) -> Float[Array, " g"]:
        """P(subgroup); examples that show no subjects are one subgroup."""
        ...

    def subgroup_of(self, rows: Int[Array, " n"]) -> Int[Array, " n"]:
        """Subgroups of the examples of these indices."""
        ...

    def inputs(self, rows: Int[Array, " n"], objective: Objective | None) -> ObjectiveInputs:
        """What an objective receives of these examples; examples alone without an objective."""
        ...


class Source(Protocol):
    """Where pretraining examples come from."""

    kind: str
    shows_subjects: ClassVar[bool]
    """Whether examples show subjects. Otherwise they have no subgroups, and objectives can read nothing else."""
    in_domain: ClassVar[bool]
    """Whether the subjects are the study's cohort, so that its shares matter."""

    def incompatibility(self, spec: Spec) -> str | None:
        """Why it cannot stand in for examples of this spec, or None."""
        ...

    def observed_by(self, generator: Generator) -> Generator:
        """The generator of its subjects, given the study's; the study's if it shows none."""
        ...

    def pool(
        self,
        key: Key[Array, ""],
        generator: Generator,
        population: Population,
        attributes: Any = None,
        replicate: Key[Array, ""] | None = None,
    ) -> Pool:
        """The examples of a replicate.

        Args:
            key: of the replicate, or of a later stage of its pretraining.
            generator: of the study; gives the spec of the examples.
            population: the cohort of the study.
            attributes: of the study's subgroups (:class:`biasprop.population.attributes.Attributes`), if there are any.
            replicate: key of the replicate in a later stage, else None.
        """
        ...


class PretrainingSteps(Protocol):
    """The steps of one pretraining stage, as a loop takes them; a pytree."""

    @property
    def schedule(self) -> BatchSchedule:
        """Number of steps, batch size and optimiser."""
        ...

    @property
    def cohort(self) -> Cohort:
        """The examples, with their subgroups."""
        ...

    def rows(self, step: Int[Array, ""]) -> Int[Array, " n"]:
        """The batch of a step: indices of examples."""
        ...

    def loss_of_rows(
        self,
        params: Params,
        rows: Int[Array, " n"],
        step: Int[Array, ""],
        weight: Float[Array, " n"] | None = None,
    ) -> Float[Array, ""]:
        """The objective on given examples, with the views of a step.

        Args:
            params: dict of ``encoder``, and ``extra``, which is discarded after pretraining.
            rows: indices of examples.
            step: decides the views, masks and corruptions.
            weight: of each example, 1 on average; None: as the mitigation says.
        """
        ...

    def loss(self, params: Params, step: Int[Array, ""]) -> Float[Array, ""]:
        """The objective on the batch of a step."""
        ...


class SiteSteps(PretrainingSteps, Protocol):
    """The steps of a stage whose cohort is divided among ``s`` sites; a pytree. Random numbers depend on a site's name,
    not on its position."""

    @property
    def site_sizes(self) -> Int[Array, " s"]:
        """Number of members of each site."""
        ...

    def sites_at_random(self, index: Int[Array, ""]) -> Int[Array, " s"]:
        """All sites in a random order, which an index decides; those without members last."""
        ...

    def site_rows(self, site: Int[Array, ""], step: Int[Array, ""], n: int) -> Int[Array, " n"]:
        """A site's batch of a step: indices of its own examples, meaningless for a site without members."""
        ...

    def site_weights(self, site: Int[Array, ""], rows: Int[Array, " n"]) -> Float[Array, " n"] | None:
        """Loss weights of a site's batch, 1 on average; None for equal weights."""
        ...

    def site_loss(
        self, params: Params, site: Int[Array, ""], rows: Int[Array, " n"], step: Int[Array, ""]
    ) -> Float[Array, ""]:
        """The objective on a site's batch of a step, with views of its own."""
        ...


class LoopState(Protocol):
    """State of a pretraining loop between two segments; a pytree."""

    step: Int[Array, ""]
    """Steps taken."""
    diverged_at: Int[Array, ""]
    """First step that was not finite, or :data:`biasprop.nn.optimisation.NOT_DIVERGED`."""


class Loop(Protocol):
    """Runs the steps of a pretraining stage in segments, between which a run can be interrupted and resumed."""

    kind: str

    @property
    def segment_steps(self) -> int:
        """Steps per segment."""
        ...

    def start(self, task: PretrainingSteps, params: Params) -> Any:
        """The state before the first step (a :class:`LoopState`).

        Args:
            task: the stage.
            params: dict of ``encoder`` and ``extra``, initial or from the stage before.
        """
        ...

    def segment(self, task: PretrainingSteps, state: Any) -> tuple[Any, Float[Array, " s"]]:
        """Take ``segment_steps`` steps in one compiled call; steps beyond the schedule change nothing.

        Returns:
            The state after them, and the loss of each step (NaN for steps beyond the end or after divergence).
        """
        ...

    def params(self, state: Any) -> Params:
        """The parameters that a state has reached, in the form that :meth:`start` receives."""
        ...


@runtime_checkable
class HasSites(Protocol):
    """A loop whose cohort is divided among sites; its task is a :class:`SiteSteps`."""

    sites: str | None
    """The attribute whose values are the sites; None: every subgroup is one."""

    def images_per_site(self, batch: int, sites: int) -> int:
        """Images of each site in a step.

        Args:
            batch: images per step.
            sites: number of sites.

        Raises:
            ValueError: the batch cannot be divided equally, or a site would have fewer than 2.
        """
        ...

    def sites_per_round(self, sites: int) -> int:
        """Number of sites, of all, that take part in a round.

        Raises:
            ValueError: there are fewer.
        """
        ...

    def bytes_sent(self, params: Params, sites: int, steps: int) -> int:
        """Bytes of parameters that sites send and receive.

        Args:
            params: of a network, as arrays or their shapes and types.
            sites: number of sites.
            steps: of the schedule.
        """
        ...
