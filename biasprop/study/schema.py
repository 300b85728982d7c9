"""The JSON schema of study files, from the definitions that validate them.

python -m biasprop.study.schema      (writes study.schema.json)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from biasprop.study.study import Study


def schema() -> dict[str, Any]:
    """The schema; its ``$schema`` names the dialect."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Study.model_json_schema()}


if __name__ == "__main__":
    Path(__file__).with_name("study.schema.json").write_text(json.dumps(schema(), indent=2) + "\n")
