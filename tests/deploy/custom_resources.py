"""Check manifests of other people's resources against their models; run by the environment `deploy`, not by pytest.

    python custom_resources.py FILE...

Prints one line for each thing that is wrong. KServe's resources are checked against the models of its Python package,
which are made from its schemas; those of the Spark operator and of Kubernetes against pydantic models, made likewise.
What has neither is passed over.
"""

import importlib
import importlib.machinery
import json
import re
import sys
import types
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

PLAIN = {"str": str, "int": int, "float": (int, float), "bool": bool, "object": object}
KSERVE = {"ClusterServingRuntime": "V1alpha1ClusterServingRuntime", "InferenceService": "V1beta1InferenceService"}
SPARK = {"SparkApplication": "SparkV1beta2SparkApplication"}


def model_of(name: str) -> Any:
    """A class of KServe's or, where it names one, of Kubernetes' client."""
    own = getattr(importlib.import_module("kserve.models"), name, None)
    if own is not None:
        return own
    plain = re.sub(r"^K8sIoApi[A-Z][a-z]+", "", name)
    return getattr(importlib.import_module("kubernetes.client.models"), plain)


def wrong(value: Any, kind: str, where: str) -> Iterator[str]:
    """What is wrong with a value that should be of a kind, as the models write it."""
    if match := re.fullmatch(r"list\[(.+)\]", kind):
        if not isinstance(value, list):
            yield f"{where}: a list is expected, got {value!r}"
            return
        for index, each in enumerate(value):
            yield from wrong(each, match.group(1), f"{where}[{index}]")
    elif match := re.fullmatch(r"dict\(str, (.+)\)|dict\[str, (.+)\]", kind):
        if not isinstance(value, dict):
            yield f"{where}: an object is expected, got {value!r}"
            return
        for key, each in value.items():
            yield from wrong(each, match.group(1) or match.group(2), f"{where}.{key}")
    elif kind in PLAIN:
        if not isinstance(value, PLAIN[kind]) or (kind == "int" and isinstance(value, bool)):
            yield f"{where}: {kind} is expected, got {value!r}"
    elif kind not in {"ResourceQuantity", "IntOrString", "datetime"}:
        yield from wrong_object(value, model_of(kind), where)


def wrong_object(value: Any, model: Any, where: str) -> Iterator[str]:
    """What is wrong with the fields of an object, and with those that it has not."""
    if not isinstance(value, dict):
        yield f"{where}: an object is expected, got {value!r}"
        return
    if hasattr(model, "model_validate"):
        yield from wrong_typed(value, model, where)
        return
    names = {key: attribute for attribute, key in model.attribute_map.items()}
    for key, each in value.items():
        if key not in names:
            yield f"{where}: {model.__name__} has no field {key!r}"
        else:
            yield from wrong(each, model.openapi_types[names[key]], f"{where}.{key}")
    try:
        model(**{names[key]: each for key, each in value.items() if key in names})
    except ValueError as error:  # a field that must be there, or a word that is none of those allowed
        yield f"{where}: {error}"


def wrong_typed(value: Any, model: Any, where: str) -> Iterator[str]:
    """What a pydantic model refuses or does not know."""
    try:
        read = model.model_validate(value)
    except ValueError as error:
        yield f"{where}: {error}"
        return
    kept = json.loads(read.model_dump_json(by_alias=True, exclude_unset=True))
    yield from (f"{where}: {model.__name__} has no field {place}" for place in sorted(places(value) - places(kept)))


def places(value: Any, where: str = "") -> set[str]:
    """The paths of all fields below a value."""
    if isinstance(value, dict):
        return {where}.union(*(places(each, f"{where}.{key}") for key, each in value.items()))
    if isinstance(value, list):
        return {where}.union(*(places(each, f"{where}[{index}]") for index, each in enumerate(value)))
    return {where}


def main(files: list[str]) -> int:
    """Print what is wrong and how many resources were looked at."""
    # Models alone: the package's own __init__ wants its server.
    package = types.ModuleType("kserve")
    spec = find_spec("kserve")
    assert spec is not None
    package.__path__ = list(spec.submodule_search_locations or ())
    sys.modules["kserve"] = package
    spark = importlib.import_module("kubeflow_spark_api.models")
    lines, seen = [], 0
    for file in files:
        for manifest in yaml.safe_load_all(Path(file).read_text(encoding="utf-8")):
            kind = manifest["kind"]
            if kind in KSERVE:
                lines += wrong_object(manifest, model_of(KSERVE[kind]), kind)
            elif kind in SPARK:
                lines += wrong_typed(manifest, getattr(spark, SPARK[kind]), kind)
            else:
                continue
            seen += 1
    print("\n".join([*lines, f"{seen} resources, {len(lines)} wrong"]))
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
