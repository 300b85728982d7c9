"""People of a table with their own images or embeddings, in place of simulated subjects.

A subject exists in one subgroup, so there are no twins, no ideal observers and no latents that explain an image:
subgroups are compared as independent people. Each part of the table (pretraining, fine-tuning, evaluation) has people
of its own. A replicate draws its labelled and test subjects from them, without replacement and with one image each, and
its cohort from all images of the people for pretraining; intervals over replicates are therefore about these people and
not about others.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic.json_schema import SkipJsonSchema

from biasprop.component import Component, Computed, FieldProblems, Shared, Traced
from biasprop.datasets.pictures import Square
from biasprop.interfaces import ArraySpec, Example, Part, Spec, Subjects

if TYPE_CHECKING:
    from biasprop.datasets.datasets import Dataset
    from biasprop.datasets.people import Files

Name = Annotated[str, Field(max_length=4_096)]
Value = Annotated[str, Field(min_length=1, max_length=200)]
Values = Annotated[tuple[Value, ...], Field(min_length=1, max_length=1_000)]


class SubgroupValues(Component):
    """Which rows of the table a subgroup has."""

    values: tuple[Value | Values, ...] = ()
    """For each of the generator's ``attributes``, the value or values of the column, or an interval of numbers such as
    ``"[40, 60)"``; left out: the subgroup's name is the value of the only attribute."""


class Parts(Component):
    """Values of the column ``split``, in lower case, for every part of the data."""

    pretraining: Values = ("pretraining", "train", "training")
    """Of the pretraining cohort."""
    finetuning: Values = ("finetuning", "fine-tuning", "val", "valid", "validation", "dev")
    """Of labelled subjects and the validation set."""
    evaluation: Values = ("evaluation", "test", "testing")
    """Of the calibration and the test set."""


def _nothing(value: Any) -> Any:
    """What only programs set cannot be set in a study file.

    Raises:
        ValueError: it is.
    """
    if value is not None:
        raise ValueError("cannot be set")
    return value


class OwnImages(Component):
    """Images or embeddings of the people of a table; paths are relative to the working directory."""

    kind: Literal["images"] = "images"
    table: Annotated[Name, Field(min_length=1)]
    """A table (CSV, parquet, or the one-dimensional arrays of an .npz or zarr file) with one row for each image."""
    images: Name = ""
    """Folder of the files that the column ``file`` names, by default that of the table; or an .npz, .npy or zarr file
    of images in the order of the rows, with ``:NAME`` behind it if it has several arrays."""
    embeddings: Name = ""
    """Features of every image by another model, which ``encoder.kind = "embeddings"`` reads: an .npz, .npy or zarr
    file, or a table of numbers. Rows are matched by ``identifier``, or are in the order of the table."""
    file: Name = ""
    """Column of the names of image files: PNG, JPEG, TIFF, DICOM (.dcm) or NIfTI (.nii, .nii.gz)."""
    suffix: Name = ""
    """What is put behind every name of a file, such as ``.jpg``."""
    slice: Name = ""
    """Column of the slice of a NIfTI volume, from 0; left out: the middle one."""
    identifier: Name = ""
    """Column of an identifier, different in every row."""
    target: Name
    """Column of what is predicted."""
    positive: tuple[Value, ...] = ()
    """Values of the target that stand for the disease, all others being without unless ``negative`` says which are;
    left out: 1 and 0, yes and no, malignant and benign and the like are understood."""
    negative: tuple[Value, ...] = ()
    """Values of the target that stand for being without the disease, beside ``positive``; rows with other values, such
    as uncertain ones, are left out."""
    attributes: Annotated[tuple[Value, ...], Field(min_length=1, max_length=8)]
    """Columns of the attributes that subgroups are made of."""
    subgroups: Annotated[dict[str, SubgroupValues], Field(min_length=2)]
    """Name -> values of the attributes that its rows have."""
    person: Name = ""
    """Column of the person that each image is of, so that no person is in two sets; left out: every row is another
    person. People have the disease if any of their rows has, and the subgroup of the first such row; their other rows
    are left out, except for pretraining."""
    person_pattern: Name = ""
    """Regular expression whose first match in the column ``person`` says whose image it is, for names of files such as
    ``train/patient00001/view1.jpg``; left out: the whole cell."""
    split: Name = ""
    """Column of the part of the data; left out: people are divided by ``percentages``, by a hash of ``person`` (or else
    ``identifier``), so that a person's part does not depend on who else is in the table."""
    parts: Parts = Parts()
    """Values of ``split``."""
    percentages: Annotated[tuple[Annotated[int, Field(ge=0, le=100)], ...], Field(min_length=3, max_length=3)] = (
        60,
        20,
        20,
    )
    """Percentage of people for pretraining, fine-tuning and evaluation without ``split``; sums to 100."""
    size: Annotated[int, Field(ge=8, le=1_024)] = 64
    """Pixels along a side, to which images are resized."""
    channels: Literal[1, 3] = 3
    """1 for grey images, 3 for colours."""
    square: Square = "crop"
    """How an image becomes a square: ``crop`` cuts out its middle, ``pad`` adds black borders, ``stretch`` scales its
    sides."""
    symmetries: tuple[Literal["flip", "transpose"], ...] = ()
    """Views that make an image another one that is equally likely; none is assumed."""
    digest: Annotated[
        str,
        Field(validate_default=True, max_length=64),
        AfterValidator(lambda text, info: _read(text, info)),
        Computed(),
    ] = ""
    """Of the contents of table, images and embeddings; it is computed, and, if it is stated, compared. Results of other
    contents are never mixed, because they are part of the study's digest."""
    shared: SkipJsonSchema[Annotated[Any, Traced(), AfterValidator(_nothing)]] = Field(default=None, exclude=True)
    """Arrays of the table: a :class:`biasprop.component.Shared`, from :meth:`with_people`."""
    order: SkipJsonSchema[Annotated[Any, Traced(), AfterValidator(_nothing)]] = Field(default=None, exclude=True)
    """A row of each person by part, subgroup and label, in the order of a replicate: [people]."""

    diseases: ClassVar[tuple[str, ...]] = ("disease",)
    latent_names: ClassVar[tuple[str, ...]] = ("row",)
    attribute_names: ClassVar[tuple[str, ...]] = ()
    follows_up: ClassVar[bool] = False

    @field_validator("percentages")
    @classmethod
    def percentages_sum_to_100(cls, percentages: tuple[int, ...]) -> tuple[int, ...]:
        """Every person is in one part."""
        if sum(percentages) != 100:
            raise ValueError(f"percentages must sum to 100; these sum to {sum(percentages)}")
        return percentages

    @property
    def spec(self) -> Spec:
        """``image`` if there are images, and ``features`` if there are embeddings."""
        return {name: ArraySpec(shape) for name, shape in _dataset(self.digest).shapes.items()}

    @property
    def available(self) -> NDArray[np.int64]:
        """Number of people by part, subgroup and label, and for pretraining of images: [part, g, 2]."""
        return _dataset(self.digest).people.available

    @property
    def rows(self) -> int:
        """Number of rows that are used."""
        return len(_dataset(self.digest).people.rows)

    @property
    def left_out(self) -> dict[str, int]:
        """Why rows of the table are not used -> how many."""
        return _dataset(self.digest).people.left_out

    def with_people(self, order: Int[Array, " people"], images: Int[Array, " rows"]) -> Self:
        """A copy with the arrays of the table, of which a process holds one.

        Args:
            order: a permutation of the people, in which those of a part, subgroup and label are taken.
            images: a permutation of the rows, the first of which that is a person's stands for the person. It has to be
                independent of ``order``, or people with many images would be taken first.
        """
        known, shuffled = _dataset(self.digest).people, np.asarray(images)
        taken = shuffled[np.unique(known.person[shuffled], return_index=True)[1]][np.asarray(order)]
        by_stratum = taken[np.argsort(known.codes[taken], kind="stable")].astype(np.int32)
        return self.model_copy(update={"shared": _arrays(self.digest), "order": by_stratum})

    def row(
        self, part: Part, subgroup: Int[Array, "*n"], label: Int[Array, "*n"], rank: Int[Array, "*n"]
    ) -> Int[Array, "*n"]:
        """The row of the ``rank``-th person of a part, subgroup and label; :attr:`rows` where there is none."""
        counts = self.available.reshape(-1)
        first = np.cumsum(counts) - counts
        stratum = (int(part) * len(self.subgroups) + subgroup) * 2 + label
        exists = rank < jnp.asarray(counts, jnp.int32)[stratum]
        return jnp.where(exists, jnp.asarray(self.order)[jnp.asarray(first, jnp.int32)[stratum] + rank], self.rows)

    def observe(self, subject: Subjects) -> Example:
        """The arrays of a subject's row; images are in [0, 1]. NaN for a row that the table does not have, so that
        no other person is taken in its place."""
        assert subject.row is not None, "subjects of a table have a row"
        # A product, because XLA may replace a quotient by it, in some programs and not in others.
        taken = {name: values[subject.row] for name, values in self.shared.arrays.items()}
        scaled = {name: x * np.float32(1 / 255) if x.dtype == jnp.uint8 else x for name, x in taken.items()}
        return {name: jnp.where(subject.row < self.rows, x, jnp.nan) for name, x in scaled.items()}

    def latents(self, subject: Subjects) -> Float[Array, " 1"]:
        """The row, from 0, among those that are used."""
        return jnp.asarray(subject.row, jnp.float32)[None]


def _read(stated: str, info: ValidationInfo) -> str:
    """The digest of what the other fields name.

    Raises:
        FieldProblems: it cannot be read; names the field that leads to the problem.
        ValueError: it differs from the stated digest.
    """
    from biasprop.datasets import datasets  # here, because it loads pandas

    data = info.data
    if set(OwnImages.model_fields) - {"digest", "shared", "order"} - set(data):
        return stated  # another field is wrong, and reported
    found = datasets.read(
        _files(data), data["images"], data["embeddings"], data["size"], data["channels"], data["square"]
    )
    if stated not in ("", found.digest):
        raise ValueError(f"is {stated}, but the contents of {data['table']} and its images have {found.digest}")
    return found.digest


def _dataset(digest: str) -> Dataset:
    """What this process has read."""
    from biasprop.datasets import datasets

    return datasets.of(digest)


def _files(data: dict[str, Any]) -> Files:
    from biasprop.datasets.people import Files

    attributes, parts = data["attributes"], data["parts"]
    subgroups = []
    for name, stated in data["subgroups"].items():
        values = stated.values or (name,)
        if len(values) != len(attributes):
            names = ", ".join(attributes)
            what = f"states values of {len(values)} attributes, and there are {len(attributes)}: {names}"
            raise FieldProblems([(("subgroups", name, "values"), what)])
        subgroups.append((name, tuple((v,) if isinstance(v, str) else v for v in values)))
    return Files(
        table=data["table"],
        attributes=attributes,
        subgroups=tuple(subgroups),
        target=data["target"],
        positive=data["positive"],
        negative=data["negative"],
        person=data["person"],
        person_pattern=data["person_pattern"],
        identifier=data["identifier"],
        file=data["file"],
        suffix=data["suffix"],
        slice=data["slice"],
        split=data["split"],
        parts=(parts.pretraining, parts.finetuning, parts.evaluation),
        percentages=data["percentages"],
    )


@functools.lru_cache(maxsize=4)
def _arrays(digest: str) -> Shared:
    """The arrays of a table, on the device once for all programs of a process."""
    found = _dataset(digest).arrays()
    return Shared({name: jnp.asarray(np.asarray(values)) for name, values in found.items()}, digest)
