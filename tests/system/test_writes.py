#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""Writing over HTTP: conditions, parts, repeated requests, and who may write what."""
import threading

from harness import Federation, feature, run, torg, until

API = "/torg/v1"
ITEMS = "/collections/offers/items"


def problem(answer, status, kind=None):
    assert answer.status == status, answer
    body = answer.json()
    assert body["status"] == status and len(body["detail"]) > 10, body
    if kind:
        assert body["type"].endswith(":" + kind), body
    return body


def count(node, collection="offers"):
    return node.api(f"/collections/{collection}/items", limit=0)["numberMatched"]


def patch(node, path, body, **headers):
    return node.write("PATCH", path, body, headers={"Content-Type": "application/merge-patch+json",
                                                    **{k.replace("_", "-"): v for k, v in headers.items()}})


def test_conditions():
    """Two editors at once: the second must not wipe out what the first has written."""
    with Federation() as federation:
        node = federation.found("A").start()
        made = node.write("POST", ITEMS, feature("Ett"))
        path = f"{ITEMS}/{made.json()['id']}"
        first = made.headers["ETag"]
        assert made.headers["Last-Modified"].endswith(" GMT")
        problem(node.request("PUT", API + path, feature("X"), headers={
            "Authorization": f"Bearer {node.token()}", "Content-Type": "application/geo+json"}), 428)
        second = node.write("PUT", path, feature("Två"), headers={"If-Match": first})
        assert second.status == 200 and second.headers["ETag"] != first
        problem(node.write("PUT", path, feature("Tre"), headers={"If-Match": first}), 412)
        problem(patch(node, path, {"properties": {"name": {"sv": "Tre"}}}, If_Match=first), 412)
        problem(node.write("DELETE", path, headers={"If-Match": first}), 412)
        # The tag of another coordinate system names the same listing.
        other = node.get(API + path, crs="EPSG:3006").headers["ETag"]
        assert other != second.headers["ETag"]
        third = node.write("PUT", path, feature("Tre"), headers={"If-Match": other})
        assert third.status == 200
        for tag in (third.headers["ETag"], "W/" + third.headers["ETag"], "*"):
            assert node.get(API + path, headers={"If-None-Match": tag}).status == 304, tag
        assert node.get(API + path, headers={"If-None-Match": first}).status == 200
        problem(node.write("PUT", path, feature("Fyra"),
                           headers={"If-Match": "W/" + third.headers["ETag"]}), 412)
        assert node.write("DELETE", path, headers={"If-Match": third.headers["ETag"]}).status == 204
        node.stop()


def test_patch():
    """What a patch does not name stays as it was."""
    with Federation() as federation:
        node = federation.found("A").start()
        whole = feature("Bastu", 20.0, 63.7, "bathing/sauna", url="https://example.org/",
                        price={"amount": 120.5, "currency": "SEK"}, municipality="2480",
                        description={"sv": "Vedeldad.", "en": "Wood-fired."})
        path = f"{ITEMS}/{node.publish('offers', whole)}"
        before = node.api(path)
        same = patch(node, path, {})
        assert same.status == 200, same

        def without_times(item):
            item = {k: v for k, v in item.items() if k != "links"}
            item["properties"] = {k: v for k, v in item["properties"].items() if k != "modified"}
            return item
        assert without_times(same.json()) == without_times(before)
        changed = patch(node, path, {"properties": {
            "name": {"en": "Sauna"}, "description": {"sv": None}, "url": None,
            "price": {"amount": 99}}, "geometry": {"type": "Point", "coordinates": [20.5, 63.8]}})
        assert changed.status == 200, changed
        after = changed.json()
        assert after["properties"]["name"] == {"sv": "Bastu", "en": "Sauna"}
        assert after["properties"]["description"] == {"en": "Wood-fired."}
        assert "url" not in after["properties"]
        assert after["properties"]["price"] == {"amount": 99, "currency": "SEK"}
        assert after["geometry"]["coordinates"] == [20.5, 63.8]
        assert after["properties"]["municipality"] == "2480"
        assert after["properties"]["created"] == before["properties"]["created"]
        assert node.api("/search", near="20.5,63.8", radius=1)["numberMatched"] == 1
        assert patch(node, path, {"geometry": None}).json()["geometry"] is None
        problem(patch(node, path, {"properties": {"name": None}}), 422, "invalid-listing")
        problem(patch(node, path, [1]), 422)
        problem(node.write("PATCH", path, {"a": 1}), 415)
        problem(patch(node, path[:-3] + "aaa", {}), 404)
        problem(node.write("PUT", path[:-3] + "aaa", feature("Ny")), 412)
        problem(node.request("PUT", API + path[:-3] + "aaa", feature("Ny"), headers={
            "Authorization": f"Bearer {node.token()}", "Content-Type": "application/geo+json"}), 404)
        node.stop()


OGC = "http://www.opengis.net/def/crs/"
# 20.263 east, 63.8258 north, as PROJ has it, each in its authority's order of axes.
SYSTEMS = {"OGC/1.3/CRS84": [20.263, 63.8258], "EPSG/0/4326": [63.8258, 20.263],
           "EPSG/0/3006": [7088280.7982, 758803.4353], "EPSG/0/25833": [758803.4353, 7088280.7982],
           "EPSG/0/3857": [2255666.8419, 9305665.255]}
DEGREES = [20.263, 63.8258]


def point(position):
    return {"type": "Point", "coordinates": position}


def test_other_coordinate_systems():
    """What comes with Content-Crs is where it would be in degrees; and what is read can be written."""
    with Federation() as federation:
        node = federation.found("A").start()
        for name, position in SYSTEMS.items():
            crs = {"Content-Crs": f"<{OGC}{name}>"}
            van = feature("Bil", *position, itinerary=[
                {"from": "2026-07-01T08:00:00Z", "through": "2026-07-01T10:00:00Z",
                 "geometry": point(position)}])
            van["properties"]["serves"] = {"type": "Polygon", "coordinates": [[
                position, [position[0] + 0.01, position[1]], [position[0], position[1] + 0.01], position]]}
            made = node.write("POST", "/collections/companies/items", van, headers=crs)
            assert made.status == 201, (name, made)
            assert made.headers["Content-Crs"] == f"<{OGC}OGC/1.3/CRS84>"
            stored = made.json()
            assert stored["geometry"]["coordinates"] == DEGREES, (name, stored)
            stop = stored["properties"]["itinerary"][0]["geometry"]
            assert stop["coordinates"] == DEGREES, (name, stop)
            assert stored["properties"]["serves"]["coordinates"][0][0] == DEGREES, (name, stored)
            # As it is read in that system it can be sent back, whole and in part.
            path = f"/collections/companies/items/{stored['id']}"
            read = node.api(path, crs=OGC + name)
            for where in (read["geometry"], read["properties"]["itinerary"][0]["geometry"]):
                assert all(abs(a - b) < 2e-4 for a, b in zip(where["coordinates"], position)), (name, where)
            corner = read["properties"]["serves"]["coordinates"][0][0]
            assert all(abs(a - b) < 2e-4 for a, b in zip(corner, position)), (name, corner)
            listed = node.api("/search", crs=OGC + name, limit=100)["features"]
            assert read["properties"]["serves"] in [f["properties"]["serves"] for f in listed]
            back = node.write("PUT", path, read, headers=crs)
            assert back.status == 200 and back.json()["geometry"] == stored["geometry"], (name, back)
            assert back.json()["properties"]["serves"] == stored["properties"]["serves"], (name, back)
            assert back.json()["properties"]["itinerary"] == stored["properties"]["itinerary"]
            moved = patch(node, path, {"geometry": point(position), "properties": {"itinerary": None}},
                          Content_Crs=f"<{OGC}{name}>")
            assert moved.json()["geometry"]["coordinates"] == DEGREES, (name, moved)
            assert "itinerary" not in moved.json()["properties"]
            assert patch(node, path, {"geometry": None}, **{"Content-Crs": f"<{OGC}{name}>"}).status == 200
        sweref = {"Content-Crs": f"<{OGC}EPSG/0/3006>"}
        wrong = problem(node.write("POST", ITEMS, feature("Fel"), headers=sweref), 422, "invalid-listing")
        assert wrong["errors"][0]["path"] == "geometry.coordinates" and "EPSG:3006" in wrong["errors"][0]["detail"]
        for bad in ("EPSG:3006", "<EPSG/0/3006>", "", f"<{OGC}EPSG/0/5845>", f"{OGC}EPSG/0/3006"):
            problem(node.write("POST", ITEMS, feature("Fel"), headers={"Content-Crs": bad}), 400, "invalid-crs")
        many = {"type": "MultiPoint", "coordinates": [SYSTEMS["EPSG/0/3006"]] * 20000}
        problem(node.write("POST", ITEMS, {**feature("Fel"), "geometry": many}, headers=sweref), 422)
        for odd in ([], [1], ["a", "b"], {"a": 1}, [[[[[[7088280, 758803]]]]]], None, 5):
            problem(node.write("POST", ITEMS, {**feature("Fel"), "geometry": {
                "type": "Point", "coordinates": odd}}, headers=sweref), 422)
        problem(node.write("POST", ITEMS, [1], headers=sweref), 422)
        node.stop()


def test_what_is_declared_of_part_4():
    """A class that is declared and does not hold is a promise that clients build on."""
    with Federation() as federation:
        node = federation.found("A").start()
        part_4 = "http://www.opengis.net/spec/ogcapi-features-4/1.0/conf/"
        declared = {one[len(part_4):] for one in node.api("/conformance")["conformsTo"]
                    if one.startswith(part_4)}
        assert declared == {"create-replace-delete", "update", "optimistic-locking-etags"}, declared
        # Much of Features holds: an id in the body, for example, changes nothing.
        schema = node.api("/collections/events/schema")
        start = {"start": "2036-07-04T18:00[Europe/Stockholm]"}
        event = node.publish("events", feature("Konsert", **start))
        path = f"/collections/events/items/{event}"
        other = {**feature("Konserten", **start), "id": "aaaaaaaaaaaaa-aaaaaaaaaaaaaaaaaaaaaaaaaa"}
        replaced = node.write("PUT", path, other)
        assert replaced.status == 200 and replaced.json()["id"] == event, replaced
        # But it wants all to be taken that the schema lets through: properties of later versions ...
        assert schema["additionalProperties"] is True
        problem(node.write("POST", "/collections/events/items", feature("X", colour="red", **start)), 422,
                "invalid-listing")
        # ... and what keeps it property by property, as these do.
        for name, value in (("end", "2036-07-04T17:00[Europe/Stockholm]"),
                            ("identifiers", {"organisationNumber": "556000-0002"})):
            assert name in schema["properties"], name
            wrong = problem(node.write("POST", "/collections/events/items",
                                       feature("X", **start, **{name: value})), 422, "invalid-listing")
            assert wrong["errors"][0]["path"].startswith(f"properties.{name}"), wrong
        node.stop()


def test_options_say_what_may_be_done():
    """Allow is of the very resource: a neighbour's listing is not to be changed here."""
    with Federation() as federation:
        a, b = federation.line("A", "B")
        theirs = f"{ITEMS}/{b.start().publish('offers', feature('Bortom'))}"
        mine = f"{ITEMS}/{a.start().publish('offers', feature('Här'))}"
        until("it has come", lambda: count(a) == 2)
        changes = {"PUT", "PATCH", "DELETE"}
        for path, wanted in ((mine, changes), (theirs, set()), (ITEMS, {"POST"})):
            answer = a.request("OPTIONS", API + path)
            assert answer.status == 200 and answer.body == b"", answer
            assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"} | wanted, path
        a.stop()
        b.stop()


def test_a_repeated_request_is_carried_out_once():
    """The answer was lost on the way: the client asks again, and there must be one listing."""
    with Federation() as federation:
        node = federation.found("A").start()
        key = {"Idempotency-Key": "c0ffee-1"}
        first = node.write("POST", ITEMS, feature("Bastu"), headers=key)
        again = node.write("POST", ITEMS, feature("Bastu"), headers=key)
        assert (first.status, again.status) == (201, 201), again
        assert first.json() == again.json()
        assert first.headers["Location"] == again.headers["Location"]
        assert count(node) == 1
        problem(node.write("POST", ITEMS, feature("Annat"), headers=key), 422, "idempotency-key")
        problem(node.write("POST", "/collections/places/items", feature("Bastu"), headers=key), 422,
                "idempotency-key")
        for bad in ("", "a b", "x" * 256, "å".encode().decode("latin-1")):
            problem(node.write("POST", ITEMS, feature("Bastu"), headers={"Idempotency-Key": bad}), 400)
        # Durable: also when the node was killed in between.
        node.kill()
        node.start()
        until("it takes writes", lambda: node.get("/readyz", port=node.admin_port).status == 200)
        after = node.write("POST", ITEMS, feature("Bastu"), headers=key)
        assert after.status == 201 and after.json()["id"] == first.json()["id"]
        # Many at once: one listing.
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(node.write(
            "POST", ITEMS, feature("Samtidigt"), headers={"Idempotency-Key": "k"}))) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {answer.status for answer in answers} == {201}, answers
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert count(node) == 2
        assert node.write("DELETE", f"{ITEMS}/{first.json()['id']}").status == 204
        problem(node.write("POST", ITEMS, feature("Bastu"), headers=key), 410)
        assert count(node) == 1
        # Another token has keys of its own.
        node._token = None
        assert node.write("POST", ITEMS, feature("Bastu"), headers=key).status == 201
        assert count(node) == 2
        node.stop()
        assert node.verify().returncode == 0


def source(number):
    return {"source": {"system": "crm", "id": number}}


def test_a_company_writes_its_own():
    """A company that could write another's offers would be a company that can close another."""
    with Federation() as federation:
        node = federation.found("A").start()
        ours = node.publish("companies", feature("Vårt AB"))
        theirs = node.publish("companies", feature("Deras AB", identifiers=source("1")))
        their_offer = node.publish("offers", feature("Deras", provider=theirs))
        municipal = node.publish("offers", feature("Kommunens", identifiers=source("2")))
        node._token = torg("token", "create", "--label", "Vårt AB", "--role", "company",
                           "--company", ours, "--config", str(node.conf)).stdout.strip()
        mine = node.publish("offers", feature("Vår bastu", provider=ours))
        path = f"{ITEMS}/{mine}"
        assert node.write("PUT", path, feature("Vår båt", provider=ours)).status == 200
        assert patch(node, path, {"properties": {"name": {"sv": "Vår kanot"}}}).status == 200
        own = f"/collections/companies/items/{ours}"
        assert patch(node, own, {"properties": {"name": {"sv": "Vårt nya AB"}}}).status == 200
        refused = [
            ("POST", ITEMS, feature("Deras", provider=theirs)),
            ("POST", ITEMS, feature("Ingens")),
            ("POST", "/collections/companies/items", feature("Nytt AB")),
            ("PUT", path, feature("Vår", provider=theirs)),
            ("PUT", f"{ITEMS}/{their_offer}", feature("Vår", provider=ours)),
            ("PUT", f"{ITEMS}/{municipal}", feature("Vår", provider=ours)),
            ("PUT", f"/collections/companies/items/{theirs}", feature("X")),
            ("DELETE", f"{ITEMS}/{their_offer}", None),
            ("DELETE", f"{ITEMS}/{municipal}", None),
            ("DELETE", own, None),
            # An import would give us what it takes for theirs.
            ("PUT", own, feature("Deras AB", identifiers=source("1"))),
            ("PUT", own, feature("Kommande AB", identifiers=source("3"))),
            ("POST", ITEMS, feature("Kommunens", provider=ours, identifiers=source("2"))),
            ("PUT", path, feature("Kommunens", provider=ours, identifiers=source("2"))),
            ("PUT", own, {"type": "Feature", "geometry": None, "properties": {"movedTo": theirs}}),
        ]
        for method, target, body in refused:
            detail = problem(node.write(method, target, body), 403, "another-company")["detail"]
            assert ours in detail
        problem(patch(node, path, {"properties": {"provider": theirs}}), 403, "another-company")
        system = feature("Vår kanot", provider=ours, identifiers=source("4"))
        assert node.write("PUT", path, system).status == 200
        assert node.write("PUT", path, system).status == 200
        assert node.write("DELETE", path).status == 204
        assert count(node) == 2 and count(node, "companies") == 2
        node._token = None
        assert node.write("PUT", own, {"type": "Feature", "geometry": None,
                                       "properties": {"movedTo": theirs}}).status == 204
        assert count(node, "companies") == 1
        wrong = torg("token", "create", "--label", "x", "--role", "company",
                     "--config", str(node.conf), check=False)
        assert wrong.returncode != 0 and "--company" in wrong.stderr
        assert ours in torg("token", "list", "--config", str(node.conf)).stdout
        node.stop()


run(test_conditions, test_patch, test_other_coordinate_systems,
    test_what_is_declared_of_part_4, test_options_say_what_may_be_done,
    test_a_repeated_request_is_carried_out_once,
    test_a_company_writes_its_own)
