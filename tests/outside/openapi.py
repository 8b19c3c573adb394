"""Judges OpenAPI documents and exchanges with the server that they describe.

A line in: {"document": …, "exchanges": [{"method", "path", "status", "headers", "body"}]}. A line out: a list of complaints."""

import json
import sys

from jsonschema_rs import Draft202012Validator
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR


def judge(document, exchanges):
    complaints = [f"{list(error.instance_path)}: {error.message[:300]}" for error in OPENAPI_31_VALIDATOR.iter_errors(document)]

    def resolve(node):
        while "$ref" in node:
            target = document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

    def check(where, schema, instance):
        validator = Draft202012Validator({**schema, "components": document["components"]}, validate_formats=True)
        complaints.extend(f"{where}: {error.message[:300]}" for error in validator.iter_errors(instance))

    def walk(where, node):
        if isinstance(node, list):
            for number, item in enumerate(node):
                walk(f"{where}/{number}", item)
        elif isinstance(node, dict):
            if isinstance(node.get("schema"), dict):
                examples = [example["value"] for example in node.get("examples", {}).values()]
                examples += [node["example"]] if "example" in node else []
                for example in examples:
                    check(f"{where}: example", node["schema"], example)
            for name, item in node.items():
                walk(f"{where}/{name}", item)

    walk("#", document)
    for exchange in exchanges:
        method, path, status = exchange["method"], exchange["path"], exchange["status"]
        where = f"{method} {path} {status}"
        answer = document["paths"][path][method.lower()]["responses"].get(str(status))
        if answer is None:
            complaints.append(f"{where}: the document knows no such status")
            continue
        check(where, answer["content"]["application/json"]["schema"], exchange["body"])
        for name, header in answer["headers"].items():
            header, value = resolve(header), exchange["headers"].get(name.lower())
            if value is None:
                if header["required"]:
                    complaints.append(f"{where}: no {name}")
            else:
                number = header["schema"].get("type") == "integer"
                check(f"{where}: {name}", header["schema"], int(value) if number else value)
    return complaints


for line in sys.stdin:
    case = json.loads(line)
    print(json.dumps(judge(case["document"], case["exchanges"])), flush=True)
