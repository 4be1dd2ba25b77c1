#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""Requests made from the API document: what it names is accepted, and nothing brings a 5xx.

TORG_REQUESTS says how many (5,000 unless given), TORG_SEED where they begin.
"""
import http.client
import json
import os
import random
import urllib.parse

from harness import PATIENCE_S, Federation, feature, run

API = "/torg/v1"
COUNT = int(os.environ.get("TORG_REQUESTS", "5000"))
SEED = int(os.environ.get("TORG_SEED", "1"))
# What has once broken parsers, here or elsewhere.
HOSTILE = ["", " ", "0", "-1", "1e999", "NaN", "null", "true", "'", '"', "\\", "%00", "\u0000",
           "../..", "a" * 3000, "å" * 200, "\U0001f41f", "[[[[", "{", '{"a":', "(((((((", ",,,,",
           "1,2,3", "1,2,3,4,5,6", "..", "../..", "2026-02-30", "9999-12-31T23:59:60Z",
           "18446744073709551616", "-180,-90,180,90", "180,90,-180,-90", "POLYGON((0 0,1 1,0 0))",
           "POINT(1e308 1e308)", "a AND", "name LIKE '%'", "<script>", "\ufeff", "\r\nX: y"]


def resolved(document, parameter):
    if "$ref" in parameter:
        return document["components"]["parameters"][parameter["$ref"].rsplit("/", 1)[1]]
    return parameter


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, [resolved(document, parameter)
                                 for parameter in operation["parameters"]], operation


def text_of(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def pairs_of(parameter, value):
    """name=value as the document says: exploded, or with commas."""
    if not isinstance(value, list):
        return [(parameter["name"], text_of(value))]
    if parameter["explode"]:
        return [(parameter["name"], text_of(item)) for item in value]
    return [(parameter["name"], ",".join(text_of(item) for item in value))]


def by_schema(chance, schema):
    """A value that the schema allows."""
    if "enum" in schema:
        return chance.choice(schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        count = chance.randint(schema.get("minItems", 1), min(schema.get("maxItems", 3), 6))
        return [by_schema(chance, schema["items"]) for _ in range(max(count, 1))]
    if kind in ("number", "integer"):
        low, high = schema.get("minimum", -200), schema.get("maximum", 20000)
        return chance.randint(low, high) if kind == "integer" else round(chance.uniform(low, high), 4)
    if kind == "boolean":
        return chance.choice([True, False])
    return chance.choice(["a", "umeå", "2480", "food", "2026-01-01", "offers", "x" * 40])


def value_of(chance, parameter):
    draw = chance.random()
    if draw < 0.5 and "example" in parameter:
        return parameter["example"]
    if draw < 0.8:
        return by_schema(chance, parameter["schema"])
    return chance.choice(HOSTILE)


def body_of(chance, operation):
    """A listing, a listing with something wrong in it, or no listing at all."""
    draw = chance.random()
    listing = feature("Bastu", chance.uniform(10, 24), chance.uniform(55, 69))
    if draw < 0.3:
        return json.dumps(listing).encode()
    if draw < 0.7:
        place = chance.choice([listing, listing["properties"], listing["geometry"]])
        place[chance.choice(list(place) + ["price", "start", "contact"])] = \
            chance.choice(HOSTILE + [None, 1, -1.5, [], {}, [[1, 2]], {"sv": 1}, {"a": {"b": []}}])
        return json.dumps(listing).encode()
    if draw < 0.85:
        text = json.dumps(listing).encode()
        return text[:chance.randint(0, len(text))]
    return chance.choice(HOSTILE).encode()


def filled(federation):
    node = federation.found("A").start()
    for i in range(8):
        for name in ("offers", "companies", "needs"):
            node.publish(name, feature(f"Namn {i}", 20.26 + i / 100, 63.83, "food/cafe"))
    node.publish("events", feature("Konsert", theme="culture/music",
                                   start="2036-01-01T18:00[Europe/Stockholm]",
                                   end="2036-01-01T20:00[Europe/Stockholm]"))
    return node


class Client:
    """One connection, opened again when the server has closed it."""

    def __init__(self, node):
        self.node = node
        self.connection = None

    def ask(self, method, target, body=None, headers=None):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.node.http_port,
                                                         timeout=PATIENCE_S)
        self.connection.request(method, target, body=body, headers=headers or {})
        response = self.connection.getresponse()
        content = response.read()
        if response.will_close:
            self.connection.close()
            self.connection = None
        return response, content


def target_of(path, query, ids, chance):
    for name, values in (("{collectionId}", ["offers", "companies", "events", "needs", "places"]),
                         ("{featureId}", ids)):
        if name in path:
            value = chance.choice(values) if chance.random() < 0.9 else \
                urllib.parse.quote(chance.choice(HOSTILE)[:200], safe="")
            path = path.replace(name, value)
    return API + path + ("?" + urllib.parse.urlencode(query) if query else "")


def test_examples_are_accepted():
    """Each parameter, with the value that the document gives: 200, wherever it stands."""
    with Federation() as federation:
        node = filled(federation)
        client = Client(node)
        item = node.publish("offers", feature("Bastu"))
        document = node.api("/api")
        asked = 0
        for path, method, parameters, _ in operations(document):
            if method != "get":
                continue
            target = path.replace("{collectionId}", "offers").replace("{featureId}", item)
            needed = [pair for parameter in parameters if parameter.get("required") and
                      parameter["in"] == "query" for pair in pairs_of(parameter, parameter["example"])]
            for parameter in parameters:
                if parameter["in"] != "query" or "example" not in parameter:
                    continue
                pairs = pairs_of(parameter, parameter["example"])
                if parameter["name"] == "radius":
                    pairs.append(("near", "20,63"))
                pairs += [pair for pair in needed if pair[0] != parameter["name"]]
                response, content = client.ask(
                    "GET", API + target + "?" + urllib.parse.urlencode(pairs))
                assert response.status == 200, (target, pairs, content)
                asked += 1
            response, content = client.ask("GET", API + target + "?no-such-thing=1")
            assert response.status == 400, (target, content)
            names = [parameter["name"] for parameter in parameters if parameter["in"] == "query"]
            told = json.loads(content)["errors"][0]["detail"]
            assert all(name in told for name in names), (target, told)
        assert asked > 50, asked
        node.stop()


def in_swedish(client, english, method, target, body, headers):
    """What was refused in English, asked again: not a sentence is left in that language."""
    response, content = client.ask(method.upper(), target, body, {**headers, "Accept-Language": "sv"})
    swedish = json.loads(content)
    told = f"seed {SEED}: {method} {target} {headers} {body!r}: {swedish}"
    assert response.headers["Content-Language"] == "sv", told
    assert swedish["status"] == english["status"] and swedish["type"] == english["type"], told
    for one, other in [(english, swedish), *zip(english.get("errors", []), swedish.get("errors", []))]:
        assert one["detail"] != other["detail"], told
        assert one.get("path") == other.get("path"), told


def one_request(client, node, choices, ids, chance):
    path, method, parameters, operation = chance.choice(choices)
    query, headers, body = [], {}, None
    for parameter in parameters:
        if parameter["in"] == "query" and \
                (parameter.get("required") or chance.random() < 2.5 / len(parameters)):
            query += pairs_of(parameter, value_of(chance, parameter))
    if chance.random() < 0.02:
        query.append((chance.choice(HOSTILE)[:40], "1"))
    if "security" in operation and chance.random() < 0.9:
        headers["Authorization"] = f"Bearer {node.token()}"
    if "requestBody" in operation:
        headers["Content-Type"] = chance.choice(list(operation["requestBody"]["content"]))
        body = body_of(chance, operation)
    if chance.random() < 0.1:
        headers["Accept"] = chance.choice(["text/html", "text/csv", "*/*;q=0.1", "x/y", "application/*"])
    if chance.random() < 0.1:
        headers["If-Match" if method != "get" else "If-None-Match"] = chance.choice(['"a"', "*", "W/\"b\""])
    target = target_of(path, query, ids, chance)
    if len(target) > 7000:
        return None
    response, content = client.ask(method.upper(), target, body, headers)
    told = f"seed {SEED}: {method} {target} {headers} {body!r}: {response.status} {content[:500]!r}"
    assert response.status < 500 and response.status != 429, told
    if response.status >= 400 and method != "head":
        assert response.headers["Content-Type"] == "application/problem+json", told
        assert json.loads(content)["status"] == response.status, told
        if "lang" not in target and chance.random() < 0.3:
            in_swedish(client, json.loads(content), method, target, body, headers)
    elif response.headers.get("Content-Type", "").split(";")[0].endswith("json"):
        assert isinstance(json.loads(content), dict), told
    if response.status == 201:
        ids.append(json.loads(content)["id"])
    return response.status


def test_nothing_brings_a_5xx():
    """A crash or an inner error by any request is a way to take the node down."""
    with Federation() as federation:
        node = filled(federation)
        client = Client(node)
        chance = random.Random(SEED)
        choices = list(operations(node.api("/api")))
        # Each write costs an fsync: they get a share of their own.
        reads = [choice for choice in choices if choice[1] == "get"]
        ids = [item["id"] for item in node.api("/search", limit=20)["features"]]
        statuses = {}
        for _ in range(COUNT):
            status = one_request(client, node, reads if chance.random() < 0.9 else choices, ids, chance)
            statuses[status] = statuses.get(status, 0) + 1
        print(f"seed {SEED}: {sorted(statuses.items(), key=str)}")
        assert statuses[200] > COUNT / 10 and statuses[400] > COUNT / 50, statuses
        node.stop()
        assert "http.failed" not in node.log.read_text()


def test_bodies_are_accepted():
    """Each operation that writes, with the body that the document gives."""
    with Federation() as federation:
        node = filled(federation)
        written = 0
        for path, methods in node.api("/api")["paths"].items():
            for method, operation in methods.items():
                for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                    item = node.publish("offers", feature("Bastu"))
                    target = path.replace("{collectionId}", "offers").replace("{featureId}", item)
                    answer = node.write(method.upper(), target, content["example"],
                                        headers={"Content-Type": kind})
                    assert answer.status == (201 if method == "post" else 200), (path, method, answer)
                    written += 1
        assert written > 20
        node.stop()


ANSWER_FIELDS = {"Content-Crs", "ETag", "Last-Modified", "Location"}


def test_fields_of_answers_are_declared():
    """A generated client sees no more of an answer than the document names; what it names must come."""
    with Federation() as federation:
        node = filled(federation)
        document = node.api("/api")
        assert set(document["components"]["headers"]) == ANSWER_FIELDS
        asked = 0
        for path, method, parameters, operation in operations(document):
            item = node.publish("offers", feature("Bastu"))
            target = path.replace("{collectionId}", "offers").replace("{featureId}", item)
            pairs = [pair for parameter in parameters if parameter["in"] == "query" and
                     parameter["required"] for pair in pairs_of(parameter, parameter["example"])]
            if method == "get":
                answer = node.get(API + target, **dict(pairs))
            else:
                kind, content = next(iter(operation.get("requestBody", {}).get("content", {}).items()),
                                     (None, None))
                answer = node.write(method.upper(), target, content and content["example"],
                                    headers={"Content-Type": kind} if kind else {})
            response = operation["responses"][str(answer.status)]
            sent = {name for name in ANSWER_FIELDS if answer.headers.get(name)}
            assert sent == set(response["headers"]), (method, path, answer, sent, response)
            asked += 1
        assert asked > 30, asked
        node.stop()


def test_datetime_is_declared_as_ogc_has_it():
    """Part 1, requirement 25: one string, style form, not exploded. (GDAL may send it twice.)"""
    with Federation() as federation:
        node = federation.found("A").start()
        declared = node.api("/api")["components"]["parameters"]["datetime"]
        assert (declared["schema"]["type"], declared["style"], declared["explode"]) == \
            ("string", "form", False), declared
        node.stop()


run(test_bodies_are_accepted, test_datetime_is_declared_as_ogc_has_it, test_examples_are_accepted,
    test_fields_of_answers_are_declared, test_nothing_brings_a_5xx)
