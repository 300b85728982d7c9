"""Encoders, one file per architecture.

An encoder is a frozen :class:`biasprop.component.Component` that satisfies :class:`biasprop.interfaces.Encoder`:
``kind``, ``reads`` (which arrays of an example), ``features``, ``incompatibility``, ``counts``, ``init``, ``apply`` and
``layers``. It does not know what is predicted from its features. Its parameters are nested dictionaries of arrays,
whose keys are the names of stored arrays and must not be renamed. An encoder of patches derives from
:class:`.patches.PatchEncoder`, which makes it a :class:`biasprop.interfaces.HasTokens` (needed by objectives that
predict an image), and builds its network from :mod:`biasprop.nn.layers`.

To add one: write one file, add one line to :data:`ENCODERS`, and regenerate the schema of study files with
``python -m biasprop.study.schema``. The contract tests in ``tests/encoders`` read the table and test the new member.
"""

from biasprop.component import Component
from biasprop.encoders.embeddings import Embeddings
from biasprop.encoders.identity import Identity
from biasprop.encoders.linear import Linear
from biasprop.encoders.mixer import Mixer
from biasprop.encoders.vit import Vit

ENCODERS: dict[str, type[Component]] = {
    "vit": Vit,
    "mixer": Mixer,
    "linear": Linear,
    "identity": Identity,
    "embeddings": Embeddings,
}
