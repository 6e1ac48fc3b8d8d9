"""The Terraform example, read by a parser of its language: it was never planned."""

import json
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.programs import DEPLOY, found, linter, passes

FOLDER = DEPLOY / "terraform"
FILES = sorted(FOLDER.glob("*.tf"))
REFERENCE = re.compile(r"(?<![\w.])(data\.\w+\.\w+|(?:aws|kubernetes|helm)_\w+\.\w+|var\.\w+|local\.\w+)")
SECRET = re.compile(r"^(password|master_password|secret_key|access_key|token|private_key)$")


@cache
def blocks() -> dict[str, list[dict[str, Any]]]:
    """All blocks of all files by kind; texts without their quotes."""
    found_blocks: dict[str, list[dict[str, Any]]] = {}
    for file in FILES:
        for kind, entries in json.loads(passes([linter("hcl2tojson"), file])).items():
            found_blocks.setdefault(kind, []).extend(plain(entries))
    return found_blocks


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key.strip('"'): plain(each) for key, each in value.items() if key != "__is_block__"}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value[1:-1] if isinstance(value, str) and value[:1] == value[-1:] == '"' else value


def named(kind: str) -> dict[str, dict[str, Any]]:
    return {name: body for each in blocks().get(kind, []) for name, body in each.items()}


def typed(kind: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (type_, name): body for each in blocks()[kind] for type_, inner in each.items() for name, body in inner.items()
    }


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts(each)


def references() -> set[str]:
    """What expressions refer to; a variable's own condition does not count."""
    used = {kind: entries for kind, entries in blocks().items() if kind != "variable"}
    return {name for text in texts(used) for name in REFERENCE.findall(text.partition("${")[2])}


def test_it_is_formatted() -> None:
    terraform = shutil.which("terraform")
    if terraform is None:
        pytest.skip("no terraform on this machine: its format was not checked")
    passes([terraform, "fmt", "-check", "-diff", FOLDER])


def test_what_is_referred_to_is_declared_and_what_is_declared_is_used() -> None:
    declared = {f"var.{name}" for name in named("variable")}
    declared |= {f"local.{name}" for each in blocks()["locals"] for name in each}
    declared |= {f"{type_}.{name}" for type_, name in typed("resource")}
    declared |= {f"data.{type_}.{name}" for type_, name in typed("data")}
    asked = references()
    assert asked - declared == set()
    needed = {name for name in declared if name.startswith(("var.", "local.", "data."))}
    assert needed - asked == set()


def test_variables_are_described_typed_and_in_the_example() -> None:
    variables = named("variable")
    assert all({"description", "type"} <= body.keys() for body in variables.values())
    example = json.loads(passes([linter("hcl2tojson"), FOLDER / "example.tfvars"]))
    assert example.keys() == {name for name, body in variables.items() if "default" not in body}
    for name, body in variables.items():
        if match := re.search(r'regex\("(.+)", var', json.dumps(body.get("validation", "")).replace('\\"', '"')):
            value = plain(example).get(name, body.get("default"))
            assert re.search(match.group(1), value)


def test_versions_are_pinned() -> None:
    (settings,) = blocks()["terraform"]
    assert re.fullmatch(r"~> \d+\.\d+", settings["required_version"])
    (providers,) = settings["required_providers"]
    used = {type_.partition("_")[0] for type_, _ in typed("resource")}
    assert used == providers.keys()
    assert all(re.fullmatch(r"~> \d+\.\d+", provider["version"]) for provider in providers.values())


def test_no_secret_is_written_down() -> None:
    keys = set(re.findall(r'"([a-z_]+)": ', json.dumps(blocks())))
    assert "manage_master_user_password" in keys
    assert [key for key in keys if SECRET.fullmatch(key)] == []


def test_nothing_is_open_to_the_world() -> None:
    resources = typed("resource")
    database = resources["aws_db_instance", "lockstep"]
    assert all(database[name] for name in ("storage_encrypted", "deletion_protection", "manage_master_user_password"))
    assert database["publicly_accessible"] is False
    block = resources["aws_s3_bucket_public_access_block", "lockstep"]
    assert [value for name, value in block.items() if name != "bucket"] == [True] * 4
    assert not any("cidr_ipv4" in body for body in resources.values())


def test_values_of_the_release_are_accepted_by_the_chart(tmp_path: Path) -> None:
    release = typed("resource")["helm_release", "endpoint"]
    assert (FOLDER / release["chart"].replace("${path.module}/", "")).resolve() == DEPLOY / "helm" / "lockstep"
    keys = re.findall(r"(\w+) = \{(.+?)\}", release["values"][1].partition("yamlencode({")[2])
    assert [name for name, _ in keys] == ["image", "mlflow", "serviceAccount"]
    digest = "sha256:" + 64 * "a"
    values = {
        "image": {"repository": "registry.example.com/lockstep-endpoint", "digest": digest},
        "mlflow": {"trackingUri": "http://mlflow:5000"},
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/x"}},
    }
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    (account,) = (each["account"] for each in blocks()["locals"])
    files = ["--values", FOLDER / "endpoint-values.yaml", "--values", tmp_path / "values.yaml"]
    text = passes([found("helm"), "template", plain(account), DEPLOY / "helm" / "lockstep", *files])
    manifests = [each for each in yaml.safe_load_all(text) if each]
    (name,) = (each["metadata"]["name"] for each in manifests if each["kind"] == "ServiceAccount")
    assert name == plain(account)
    assert digest in text
