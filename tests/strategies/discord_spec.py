"""Discord's OpenAPI description and the wire table of 1.5.1, read from beside the project."""

import csv
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "spec"


def need(name: str, checks: str) -> Path:
    """Return the path of a file; without it, skip the module's tests with a message."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"NOT CHECKED: {checks}; {path} is missing", allow_module_level=True)
    return path


def openapi(checks: str) -> dict[str, Any]:
    return _parsed(need("openapi.json", checks))


@cache
def _parsed(path: Path) -> dict[str, Any]:
    return json.loads(path.read_bytes())


def wire_table(checks: str) -> dict[str, Any]:
    return json.loads(need("wire_1_5_1.json", checks).read_bytes())


def routes(checks: str) -> dict[tuple[str, str], dict[str, str]]:
    with need("routes.tsv", checks).open(newline="") as file:
        return {(row["method"], row["path"]): row for row in csv.DictReader(file, delimiter="\t")}


def resolve(spec: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = spec["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def alternatives(spec: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the schemas of a union, nulls left out; a single schema is a union of one."""
    schema = resolve(spec, schema)
    found = []
    for inner in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
        if resolve(spec, inner).get("type") != "null" and "const" not in inner:
            found += alternatives(spec, inner)
    return found or [schema]


def body_schema(spec: dict[str, Any], method: str, path: str) -> dict[str, Any] | None:
    """Return the schema of an operation's body: of its JSON, or of its form."""
    content = spec["paths"][path][method.lower()].get("requestBody", {}).get("content", {})
    return content.get("application/json", content.get("multipart/form-data", {})).get("schema")


def body_places(spec: dict[str, Any], method: str, path: str) -> list[dict[str, Any]]:
    """Return the schemas that describe the objects of a body: the body, or its elements if it is an array."""
    schema = body_schema(spec, method, path)
    found = alternatives(spec, schema) if schema is not None else []
    return [inner for each in found for inner in alternatives(spec, each.get("items", each))]


def answer_schema(spec: dict[str, Any], method: str, path: str) -> dict[str, Any] | None:
    """Return the JSON schema of an operation's successful answer; None when it has no body."""
    for status, response in spec["paths"][path][method.lower()]["responses"].items():
        if status.startswith("2") and "application/json" in response.get("content", {}):
            return response["content"]["application/json"]["schema"]
    return None
