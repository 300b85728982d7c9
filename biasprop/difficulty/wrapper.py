"""A generator in a difficulty mode: what ``[generator]`` of a study file defines."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import jax.numpy as jnp
from jaxtyping import Array, Float
from pydantic import Field, ValidationError, ValidationInfo, create_model, field_validator, model_validator

from biasprop import keys
from biasprop.component import Component, FieldProblems, OneOf
from biasprop.difficulty.mode import Mode
from biasprop.interfaces import Example, Spec, Subjects


class InMode(Component):
    """A generator in a difficulty mode.

    It has the fields of its generator and ``difficulty``, and every attribute of its generator. A method of the
    generator whose first parameter is called ``subject`` gets the subject in the circumstances of the mode, so that
    image, mask, latents and closed forms agree. One subclass per generator is made by :func:`in_modes`.
    """

    generator_class: ClassVar[type[Component]]
    """Class of the generator without a mode."""

    if TYPE_CHECKING:  # attributes of every generator, which __getattr__ finds
        kind: str
        difficulty: Mode
        subgroups: dict[str, Any]
        diseases: ClassVar[tuple[str, ...]]
        latent_names: ClassVar[tuple[str, ...]]
        attribute_names: ClassVar[tuple[str, ...]]
        follows_up: ClassVar[bool]
        symmetries: ClassVar[tuple[str, ...]]

        @property
        def spec(self) -> Spec: ...

        def observe(self, subject: Subjects) -> Example: ...

        def latents(self, subject: Subjects) -> Float[Array, " k"]: ...

        def attributes(self, subject: Subjects) -> Float[Array, " a"]: ...

    @model_validator(mode="after")
    def passes_the_checks_of_its_generator(self) -> Self:
        """The generator's own validators hold for the values together."""
        try:
            self.generator_class.model_validate(_values(self.generator_class, vars(self)))
        except ValidationError as error:
            raise FieldProblems(((), d["msg"].removeprefix("Value error, ")) for d in error.errors()) from None
        return self

    @property
    def plain(self) -> Any:
        """The generator without a mode."""
        return _plain(self.generator_class, vars(self))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in type(self).model_fields:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        plain = self.plain
        attribute = getattr(plain, name)
        if not callable(attribute) or next(iter(inspect.signature(attribute).parameters), "") != "subject":
            return attribute

        @functools.wraps(attribute)
        def in_mode(subject: Subjects, *others: Any) -> Any:
            return attribute(self.difficulty.subject(plain, subject), *others)

        return in_mode

    def measure(self, image: Float[Array, "h w c"], mask: Float[Array, "h w"]) -> dict[str, Float[Array, ""]]:
        """Lever -> its value as estimated from the pixels."""
        return self.difficulty.measure(self.plain, image, mask)

    def calibrated(self) -> Self:
        """A copy in which the constants of the mode (such as doses) have been solved for.

        Raises:
            ValueError: there is no solution.
        """
        return self.model_copy(update={"difficulty": self.difficulty.calibrated(self.plain)})

    def representative(self, subgroup: str, disease: int | None = None) -> Subjects:
        """A subject of a subgroup, for methods that do not use its key and label, such as ``ideal_auc``.

        Args:
            subgroup: its name.
            disease: index of the disease that its label states; None for the first.
        """
        stated = None if disease is None else jnp.int32(disease)
        index = list(self.subgroups).index(subgroup)
        return Subjects(keys.replicate(0, 0), jnp.int32(index), jnp.int32(0), disease=stated)


def in_modes(generators: Mapping[str, type[Component]], modes: Mapping[str, type[Mode]]) -> dict[str, type[InMode]]:
    """Wrap a table of generators.

    Args:
        generators: kind -> class.
        modes: kind -> class; ``natural`` is the default. A mode that a generator does not support is rejected when its
            values are validated, with the reason.

    Returns:
        Kind -> class with the generator's fields and ``difficulty``.
    """
    return {kind: _wrapped(generator, modes) for kind, generator in generators.items()}


def supported(generator: type[Component], modes: Mapping[str, type[Mode]]) -> list[str]:
    """Names of the modes that a class of generators supports, by the protocols that it satisfies."""
    return [name for name, mode in modes.items() if mode.requires is None or issubclass(generator, mode.requires[0])]


def _wrapped(generator: type[Component], modes: Mapping[str, type[Mode]]) -> type[InMode]:
    def fits(cls: type[InMode], mode: Any, info: ValidationInfo) -> Any:
        if set(generator.model_fields) - set(info.data):
            return mode  # another field is wrong, and reported
        allowed = supported(generator, modes)
        if mode.kind not in allowed:
            needs, kind = mode.requires[1], info.data["kind"]
            raise ValueError(f"{mode.kind} needs {needs}, which {kind} does not have; allowed: {', '.join(allowed)}")
        if why := mode.incompatibility(_plain(generator, info.data)):
            raise ValueError(why)
        return mode

    fields: dict[str, Any] = {name: (field.annotation, field) for name, field in generator.model_fields.items()}
    description = "Difficulty mode: how hard the task is in one subgroup relative to another."
    fields["difficulty"] = (Annotated[Any, OneOf(modes)], Field(default=modes["natural"](), description=description))
    wrapped = create_model(
        generator.__name__,
        __base__=InMode,
        __module__=__name__,
        __doc__=generator.__doc__,
        __validators__={"difficulty_fits_the_generator": field_validator("difficulty")(fits)},
        **fields,
    )
    wrapped.generator_class = generator
    return wrapped


def _plain(generator: type[Component], values: Mapping[str, Any]) -> Any:
    """A generator with values that have been validated, or are traced."""
    return generator.model_construct(**_values(generator, values))


def _values(generator: type[Component], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in generator.model_fields}
