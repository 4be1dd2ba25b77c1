#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""The API document: standard tools take it, and it says what the server does."""
import json
import pathlib
import subprocess

import npm
from harness import Federation, feature, run

API = "/torg/v1"
OPENAPI = "application/vnd.oai.openapi+json;version=3.0"


def documents(node):
    found = {}
    for lang in ("sv", "en"):
        answer = node.get(API + "/api", lang=lang)
        assert answer.status == 200 and answer.headers["Content-Type"] == OPENAPI, answer
        assert answer.headers["Content-Language"] == lang
        found[lang] = answer.json()
    return found


def texts(value, path=""):
    """Every text for people in the document, by where it stands."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name in ("summary", "description") and isinstance(item, str):
                yield f"{path}/{name}", item
            else:
                yield from texts(item, f"{path}/{name}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from texts(item, f"{path}/{i}")


def test_a_linter_takes_it():
    """Whoever generates a client from it gets one that works."""
    spectral = npm.program("spectral")
    with Federation() as federation:
        node = federation.found("A").start()
        paths = []
        for lang, document in documents(node).items():
            paths.append(str(federation.directory / f"api-{lang}.json"))
            pathlib.Path(paths[-1]).write_text(json.dumps(document, indent=1))
        result = subprocess.run([spectral, "lint", "--fail-severity", "hint", "--ruleset",
                                 str(npm.SOURCE / "spectral.yaml"), *paths],
                                capture_output=True, text=True, timeout=900)
        assert result.returncode == 0, f"{result.stdout}{result.stderr}"
        node.stop()


def test_two_languages():
    """A text that was forgotten shows as the same in both."""
    with Federation() as federation:
        node = federation.found("A").start()
        found = documents(node)
        swedish, english = dict(texts(found["sv"])), dict(texts(found["en"]))
        assert swedish.keys() == english.keys() and len(swedish) > 60
        same = [path for path, text in swedish.items() if text == english[path]]
        assert not same, f"not translated in daemon/http_api_words.c: {same}"
        node.stop()


def test_it_is_complete():
    """What the document names exists; what exists is in the document, with its methods."""
    with Federation() as federation:
        node = federation.found("A").start()
        item = node.publish("offers", feature("Bastu"))
        document = documents(node)["en"]
        for template, operations in document["paths"].items():
            path = template.replace("{collectionId}", "offers").replace("{featureId}", item)
            query = {}
            for parameter in operations["get"]["parameters"] if "get" in operations else []:
                if parameter.get("required") and parameter["in"] == "query":
                    query[parameter["name"]] = json.loads(json.dumps(parameter["example"]))
            if "get" in operations:
                answer = node.get(API + path, **query)
                assert answer.status == 200, (path, answer)
                kinds = operations["get"]["responses"]["200"]["content"]
                assert answer.headers["Content-Type"] in kinds, (path, answer.headers)
            allowed = node.request("OPTIONS", API + path).headers["Allow"].split(", ")
            expected = {method.upper() for method in operations} | {"OPTIONS"}
            if "get" in operations:
                expected.add("HEAD")
            assert set(allowed) == expected, (path, allowed)
        node.stop()


run(test_a_linter_takes_it, test_two_languages, test_it_is_complete)
