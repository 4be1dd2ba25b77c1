#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""The HTTP API over a real daemon: answers, errors, conditions, and hostile clients."""
import csv
import http.client
import io
import json
import pathlib
import socket
import threading

from harness import PATIENCE_S, Federation, feature, run, torg, until

API = "/torg/v1"
SOURCE = pathlib.Path(__file__).resolve().parents[2]


def geojson_valid(value):
    """RFC 7946, as far as a FeatureCollection of points, lines and polygons goes."""
    assert value["type"] == "FeatureCollection"
    assert "coordinates" not in value and "geometry" not in value and "properties" not in value
    for item in value["features"]:
        assert item["type"] == "Feature"
        assert isinstance(item["properties"], dict)
        assert isinstance(item["id"], (str, int))
        geometry_valid(item["geometry"])


def position_valid(position):
    assert 2 <= len(position) <= 3
    assert -180 <= position[0] <= 180 and -90 <= position[1] <= 90


def ring_valid(ring):
    assert len(ring) >= 4 and ring[0] == ring[-1]
    for position in ring:
        position_valid(position)


def geometry_valid(geometry):
    if geometry is None:
        return
    kind, coordinates = geometry["type"], geometry["coordinates"]
    if kind == "Point":
        position_valid(coordinates)
    elif kind in ("MultiPoint", "LineString"):
        for position in coordinates:
            position_valid(position)
    elif kind == "MultiLineString":
        for line in coordinates:
            for position in line:
                position_valid(position)
    elif kind == "Polygon":
        for ring in coordinates:
            ring_valid(ring)
        # Exterior rings go counterclockwise.
        ring = coordinates[0]
        area = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, ring[1:]))
        assert area > 0
    elif kind == "MultiPolygon":
        for polygon in coordinates:
            for ring in polygon:
                ring_valid(ring)
    else:
        raise AssertionError(kind)


def problem(answer, status):
    assert answer.status == status, answer
    assert answer.headers["Content-Type"].startswith("application/problem+json"), answer.headers
    body = answer.json()
    for name in ("type", "title", "status", "detail"):
        assert body.get(name), body
    assert body["status"] == status
    return body


def filled(federation, name="A"):
    node = federation.found(name).start()
    square = {"type": "Polygon", "coordinates": [[[17.8, 66.0], [17.8, 66.1], [18.0, 66.1],
                                                  [18.0, 66.0], [17.8, 66.0]]]}
    node.publish("offers", feature("Rum i Sörmjöle", 20.00791, 63.68057, "lodging/cabin"))
    node.publish("offers", feature("Rum på Holmön", 20.8667, 63.8, "lodging/hostel"))
    node.publish("offers", feature("Bastu i Umeå", 20.2597, 63.8284, "bathing/sauna",
                                   municipality="2480"))
    node.publish("offers", feature("Utan plats", None))
    node.publish("companies", feature("Café Åälven", 20.26, 63.83, "food/cafe"))
    node.publish("places", {**feature("Jaktmark", theme="nature/hunting/ground"),
                            "geometry": square})
    node.publish("events", feature("Förbi", theme="culture/music",
                                   start="2020-01-01T18:00[Europe/Stockholm]",
                                   end="2020-01-01T20:00[Europe/Stockholm]"))
    node.publish("events", feature("Kommer", theme="culture/music",
                                   start="2090-01-01T18:00[Europe/Stockholm]",
                                   end="2090-01-01T20:00[Europe/Stockholm]"))
    for i, asker in enumerate(["company", "company", "municipality"]):
        node.publish("needs", feature(f"Behov {i}", None, None, "competence/it-security", asker=asker,
                                      area="Västerbotten"))
    return node


def names(answer):
    return [item["properties"]["name"]["sv"] for item in answer["features"]]


def test_queries():
    with Federation() as federation:
        node = filled(federation)
        items = "/collections/offers/items"
        near = node.api(items, near="20.2597,63.8284", radius=40000)
        geojson_valid(near)
        assert names(near) == ["Bastu i Umeå", "Rum i Sörmjöle", "Rum på Holmön"], names(near)
        distances = [item["properties"]["distance"] for item in near["features"]]
        assert distances[0] == 0 and distances == sorted(distances)
        assert abs(distances[1] - 20667) < 50, distances  # by geod
        assert near["numberMatched"] == near["numberReturned"] == 3
        assert near["timeStamp"].endswith("Z")
        assert names(node.api(items, theme="lodging", near="20.2597,63.8284", radius=25000)) == \
            ["Rum i Sörmjöle"]
        assert node.api(items, theme=["lodging", "bathing"])["numberMatched"] == 3
        assert node.api(items, theme="lodging,bathing")["numberMatched"] == 0
        assert names(node.api("/search", q="cafe aalven")) == ["Café Åälven"]
        assert node.api("/search", q="RUM")["numberMatched"] == 2
        # Listings without a place match every box (OGC API Features), and no circle.
        box = node.api(items, bbox="20.5,63.7,21,63.9")
        assert sorted(names(box)) == ["Rum på Holmön", "Utan plats"]
        assert names(node.api("/collections/events/items")) == ["Kommer"]
        assert node.api("/collections/events/items", datetime="../2021-01-01T00:00:00Z")[
            "numberMatched"] == 1
        assert node.api("/collections/events/items", datetime="../..")["numberMatched"] == 2
        assert names(node.api(items, municipality="2480")) == ["Bastu i Umeå"]
        own = node.origins()["A"]["id"]
        assert node.api(items, origin=own)["numberMatched"] == 4
        geojson_valid(node.api("/search", limit=100))
        everything = node.get(API + items, near="20.2597,63.8284", limit=1)
        assert everything.headers["torg-as-of"]


def test_pages_hold_each_listing_once():
    with Federation() as federation:
        node = federation.found("A").start()
        for i in range(57):
            node.publish("offers", feature(f"Nr {i}", 20 + (i % 7) * 0.001, 63.8))
        for start in (f"{API}/collections/offers/items?limit=10",
                      f"{API}/collections/offers/items?limit=10&near=20,63.8",
                      f"{API}/search?limit=10&theme=food"):
            seen, path = [], start
            while path:
                page = node.get(path).json()
                assert page["numberMatched"] == 57
                seen += [item["id"] for item in page["features"]]
                following = [link["href"] for link in page["links"] if link["rel"] == "next"]
                path = following and "/" + following[0].split("/", 3)[3]
            assert len(seen) == len(set(seen)) == 57, start


def test_every_resource_and_format():
    with Federation() as federation:
        node = filled(federation)
        for path in ("", "/conformance", "/collections", "/collections/offers", "/themes",
                     "/federation", "/aggregates/competence-needs"):
            answer = node.get(API + path)
            assert answer.status == 200, (path, answer)
            json.loads(answer.body)
            assert node.request("HEAD", API + path).body == b""
        listed = {c["id"] for c in node.api("/collections")["collections"]}
        assert {"companies", "offers", "events", "jobs", "courses", "needs", "service-points",
                "places"} <= listed
        listing = node.api("/collections/offers/items")["features"][0]["id"]
        one = node.get(f"{API}/collections/offers/items/{listing}")
        assert one.status == 200 and one.json()["id"] == listing
        tag = one.headers["ETag"]
        same = node.request("GET", f"{API}/collections/offers/items/{listing}",
                            headers={"If-None-Match": tag})
        assert same.status == 304 and same.body == b""
        rows = list(csv.DictReader(io.StringIO(
            node.get(f"{API}/collections/offers/items", f="csv").body.decode("utf-8-sig"))))
        assert len(rows) == 4
        lines = node.get(f"{API}/collections/offers/items", f="geojsonseq")
        assert len(lines.body.splitlines()) == 4
        # A script of another site sees only the fields that are named to it.
        shown = {f.lower() for f in lines.headers["Access-Control-Expose-Headers"].split(", ")}
        own = {"link", "content-crs", "retry-after", "torg-as-of", "torg-missing",
               "ogc-numbermatched"}
        assert own <= shown, shown
        needs = node.api("/aggregates/competence-needs")
        assert needs["needs"] == 3, needs
        table = node.get(f"{API}/aggregates/competence-needs", f="csv")
        assert "competence/it-security" in table.body.decode()
        for path in ("/healthz", "/readyz", "/metrics"):
            assert node.get(path, port=node.admin_port).status == 200
        assert b"torg_" in node.get("/metrics", port=node.admin_port).body


def test_the_tree_of_themes_has_each_once_below_its_parent():
    """A theme that is missing there cannot be chosen by anybody."""
    def walk(themes, parent):
        for theme in themes:
            assert theme["slug"].rpartition("/")[0] == parent
            yield theme["slug"], theme["count"]
            yield from walk(theme["narrower"], theme["slug"])

    with Federation() as federation:
        node = federation.found("A").start()
        node.publish("offers", feature("Kafé", theme="food/cafe"))
        told = list(walk(node.api("/themes")["themes"], ""))
        known = json.loads((SOURCE / "data/themes.json").read_text())["themes"]
        assert sorted(slug for slug, _ in told) == sorted(theme["slug"] for theme in known)
        assert {slug for slug, count in told if count} == {"food", "food/cafe"}


def test_errors_are_problems_that_say_what_to_do():
    with Federation() as federation:
        node = filled(federation)
        problem(node.get(API + "/nothing"), 404)
        problem(node.get(API + "/collections/nothing/items"), 404)
        problem(node.get(API + "/collections/offers/items/nothing"), 404)
        wrong = problem(node.get(API + "/search", colour="red"), 400)
        assert "near" in json.dumps(wrong), wrong
        for name, value in [("near", "1"), ("near", "200,10"), ("near", "10,95"), ("near", "a,b"),
                            ("radius", "-1"), ("radius", "1e99"), ("bbox", "1,2,3"),
                            ("bbox", "1,5,2,4"), ("limit", "0x10"), ("limit", "-1"),
                            ("datetime", "yesterday"), ("datetime", "2030-01-01/2020-01-01"),
                            ("theme", "No Theme!"), ("municipality", "24"), ("cursor", "abc"),
                            ("f", "xml"), ("origin", "zz"), ("q", "x" * 1000)]:
            extra = {} if name == "near" else {"near": "20,63"} if name == "radius" else {}
            detail = problem(node.get(API + "/search", **{name: value}, **extra), 400)
            assert name in json.dumps(detail), (name, detail)
        # One wrong parameter does not hide another, nor what is no parameter at all.
        for path, known in (("/search", "name"), ("/collections/offers/items", "kind")):
            several = problem(node.get(API + path, near="1", limit="x", colour="red", taste="sweet",
                                       **{known: "x"}), 400)
            assert {error["path"] for error in several["errors"]} == \
                {"near", "limit", "colour", "taste"}, several
        several = problem(node.get(API + "/collections/nothing/items", near="1", colour="red"), 400)
        assert [error["path"] for error in several["errors"]] == ["near"], several
        post = API + "/collections/offers/items"
        problem(node.request("POST", post, body=feature("X"),
                             headers={"Content-Type": "application/geo+json"}), 401)
        problem(node.request("POST", post, body=feature("X"),
                             headers={"Content-Type": "application/geo+json",
                                      "Authorization": "Bearer wrong"}), 401)
        problem(node.write("POST", "/collections/offers/items", "text",
                           headers={"Content-Type": "text/plain"}), 415)
        answer = node.request("PATCH", API + "/themes")
        problem(answer, 405)
        assert "GET" in answer.headers["Allow"]
        bad = feature("X", lon=999, themes="nope", price="dear", url="javascript:alert(1)",
                      organisationNumber="1", validFrom="soon")
        answer = node.write("POST", "/collections/offers/items", bad)
        assert answer.status in (400, 422)
        told = json.dumps(problem(answer, answer.status))
        for name in ("coordinates", "themes", "price", "url", "organisationNumber", "validFrom"):
            assert name in told, (name, told)
        assert node.api("/collections/offers/items")["numberMatched"] == 4
        problem(node.write("POST", "/collections/offers/items", b"{not json"), 400)


def test_errors_are_told_in_the_language_that_is_asked_for():
    with Federation() as federation:
        node = filled(federation)

        def told(language=None, path="/search", **parameters):
            headers = {"Accept-Language": language} if language else {}
            answer = node.get(API + path, headers=headers, **(parameters or {"limit": "x"}))
            assert "Accept-Language" in answer.headers["Vary"], answer.headers
            return answer.headers["Content-Language"], problem(answer, 400 if parameters else answer.status)

        english, swedish = told(), told("sv")
        assert english[0] == "en" and swedish[0] == "sv", (english, swedish)
        assert english[1]["title"] == "Bad Request" and swedish[1]["title"] == "Felaktig begäran"
        assert swedish[1]["detail"] == "Minst en av frågans parametrar är fel.", swedish
        assert swedish[1]["errors"] == [{"path": "limit",
                                         "detail": "måste vara ett heltal, 0 till 10000"}], swedish
        # What programs read is the same.
        for name in ("type", "status", "instance"):
            assert english[1][name] == swedish[1][name], (english, swedish)
        for language, expected in (("sv-SE,sv;q=0.9,en;q=0.5", "sv"), ("en-GB,sv;q=0.5", "en"),
                                   ("fi,se", "en"), ("fi,sv;q=0.1", "sv"), ("*", "en")):
            assert told(language)[0] == expected, language
        # lang goes before the field, and a language that is none before nothing.
        assert told("sv", lang="en", limit="x")[0] == "en"
        assert told("en", lang="sv", limit="x")[0] == "sv"
        assert told(lang="no")[0] == "en"
        assert told("sv", path="/nothing")[1]["detail"] == "Ingenting har denna sökväg."
        filtered = told("sv", filter="name = 'x' AND")[1]["errors"][0]["detail"]
        assert filtered.startswith("vid tecken ") and "väntades" in filtered, filtered
        wrong = node.write("POST", "/collections/offers/items", feature("X", lon=999),
                           headers={"Accept-Language": "sv"})
        told_of = problem(wrong, 422)["errors"]
        assert [error["path"] for error in told_of] == ["geometry.coordinates"], told_of
        assert told_of[0]["detail"].endswith("sedan latitud (-90 till 90)"), told_of
        # A page for people is in the language of the page.
        for path, expected in (("/listing/x", "Något sådant finns inte här."),
                               ("/listing/x?lang=en", "There is no such thing here.")):
            page = node.get(path, headers={"Accept": "text/html"})
            assert page.status == 404 and expected in page.body.decode(), page


def test_errors_repeat_texts_of_others_as_utf_8():
    """What is too long to be repeated is cut, at whatever byte of a letter that is."""
    with Federation() as federation:
        node = federation.found("A").start()
        for length in range(40, 56):
            name = "x" * (length % 3) + "å" * length
            for language in ("en", "sv"):
                headers = {"Accept-Language": language}
                answer = node.get(API + "/search", headers=headers, **{name: "1"})
                path = problem(answer, 400)["errors"][0]["path"]
                assert path and name.startswith(path), path
                answer = node.write("POST", "/collections/offers/items", {name: 1},
                                    headers=headers)
                problem(answer, 422)
            page = node.get("/", headers={"Accept": "text/html"}, **{name: "1"})
            assert "å" in page.body.decode(), page
            wrong = (name * 20 + "{").encode()
            problem(node.write("POST", "/collections/offers/items", wrong), 400)


def test_lists_are_in_the_language_that_is_asked_for():
    """As the single ones are: a list that forgot its language would look right to whoever wrote it."""
    with Federation() as federation:
        node = federation.found("A").start()
        names = {"sv": "Konsert", "fi": "Konsertti", "se": "Konsearta"}
        concert = feature("", start="2036-07-04T18:00[Europe/Stockholm]")
        concert["properties"]["name"] = names
        event = node.publish("events", concert)
        for path in ("/collections", "/collections/events", "/", "/collections/events/schema",
                     "/collections/events/queryables", "/api"):
            for asked, headers, parameters in (("en", {}, {"lang": "en"}), ("sv", {}, {}),
                                               ("en", {"Accept-Language": "en"}, {}),
                                               ("en", {"Accept-Language": "fi,en;q=0.5"}, {}),
                                               ("sv", {}, {"lang": "fi"}),
                                               ("sv", {"Accept-Language": "en"}, {"lang": "sv"})):
                answer = node.get(API + path, headers=headers, **parameters)
                assert answer.headers["Content-Language"] == asked, (path, asked, answer.headers)
                assert "Accept-Language" in answer.headers["Vary"], path
                one = node.get(API + path, lang=asked)
                assert drop_links(answer.json()) == drop_links(one.json()), (path, asked, parameters)
        # Texts of listings stay in all their languages where there is a place for them all ...
        for path in ("/collections/events/items", "/search"):
            listed = node.api(path, lang="fi")["features"][0]["properties"]["name"]
            assert listed == names, (path, listed)
        # ... and where one is chosen, a list chooses as the single listing does.
        tags = set()
        for headers, parameters, expected in (
                ({}, {"lang": "fi"}, "Konsertti"), ({"Accept-Language": "se"}, {}, "Konsearta"),
                ({"Accept-Language": "sma,fi;q=0.5"}, {}, "Konsert"), ({}, {}, "Konsert"),
                ({"Accept-Language": "en"}, {"lang": "se"}, "Konsearta")):
            for path in ("/collections/events/items", f"/collections/events/items/{event}"):
                calendar = node.get(API + path, f="ics", headers=headers, **parameters)
                assert f"SUMMARY:{expected}\r\n" in calendar.body.decode(), (path, parameters, calendar)
                page = node.get(API + path, f="html", headers=headers, **parameters).body.decode()
                assert f">{expected}<" in page, (path, parameters, page)
            listed = node.get(API + "/collections/events/items", f="ics", headers=headers, **parameters)
            tags.add(listed.headers["ETag"])
        assert len(tags) == 5, tags
        page = node.get("/?lang=se&place=Ume%C3%A5").body.decode()
        assert f"/listing/{event}?lang=se" in page and "Konsearta" in page, page
        assert '<html lang="sv">' in page
        problem(node.get(API + "/collections", lang="no"), 400)


def drop_links(value):
    """All but addresses, which say what was asked."""
    if isinstance(value, dict):
        return {name: drop_links(one) for name, one in value.items()
                if name not in ("href", "timeStamp", "links")}
    return [drop_links(one) for one in value] if isinstance(value, list) else value


def test_conditional_writes():
    with Federation() as federation:
        node = federation.found("A").start()
        created = node.write("POST", "/collections/offers/items", feature("Ett"))
        assert created.status == 201 and created.headers["Location"]
        path = "/collections/offers/items/" + created.json()["id"]
        tag = node.get(API + path).headers["ETag"]
        changed = node.write("PUT", path, feature("Två"), headers={"If-Match": tag})
        assert changed.status in (200, 204), changed
        problem(node.write("PUT", path, feature("Tre"), headers={"If-Match": tag}), 412)
        assert node.api(path)["properties"]["name"]["sv"] == "Två"
        problem(node.write("DELETE", path, headers={"If-Match": tag}), 412)
        assert node.write("DELETE", path).status in (200, 204)
        problem(node.get(API + path), 404)
        problem(node.write("DELETE", path), 404)


def test_only_the_own_origin_can_be_written():
    with Federation() as federation:
        a, b = federation.line("A", "B")
        a.start()
        b.start()
        listing = a.publish("offers", feature("A:s"))
        until("B has it", lambda: b.api("/search", q="a:s")["numberMatched"] == 1)
        for method, body in (("PUT", feature("B:s")), ("DELETE", None)):
            answer = b.write(method, f"/collections/offers/items/{listing}", body)
            assert answer.status in (403, 404), answer


def raw(node, data, wait_close=True):
    with socket.create_connection(("127.0.0.1", node.http_port), timeout=PATIENCE_S) as connection:
        connection.sendall(data)
        received = b""
        while wait_close:
            part = connection.recv(65536)
            if not part:
                break
            received += part
        return received


def test_doubtful_framing_is_refused_and_closed():
    with Federation() as federation:
        node = federation.found("A").start()
        good = b"GET /torg/v1/themes HTTP/1.1\r\nHost: a\r\n"
        for request in [
            b"GET / HTTP/1.1\r\n\r\n",                                       # no Host
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            good + b"Content-Length: 0x4\r\n\r\nabcd",
            good + b"Content-Length: +4\r\n\r\nabcd",
            good + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
            good + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            good + b"Transfer-Encoding: gzip\r\n\r\n",
            good + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
            b"GET / HTTP/1.1\nHost: a\n\n",                                  # bare LF
            b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n",
            b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",                 # TLS
            b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 100 + b"\r\n",
        ]:
            answer = raw(node, request)
            status = answer.split(b" ", 2)[1:2]
            assert status and status[0][:1] in (b"4", b"5"), (request[:60], answer[:200])
            assert answer.count(b"HTTP/1.1 4") + answer.count(b"HTTP/1.1 5") == 1, (request[:60], answer[:400])
        assert node.get(API + "/themes").status == 200


def test_pipelined_requests_are_answered_in_order():
    with Federation() as federation:
        node = federation.found("A").start()
        one = b"GET /torg/v1/themes HTTP/1.1\r\nHost: a\r\n\r\n"
        two = b"GET /torg/v1/nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        answer = raw(node, one + two)
        assert answer.startswith(b"HTTP/1.1 200"), answer[:100]
        assert b"HTTP/1.1 404" in answer


def test_slow_clients_do_not_keep_others_waiting():
    with Federation() as federation:
        node = federation.found("A").start()
        slow = [socket.create_connection(("127.0.0.1", node.http_port)) for _ in range(60)]
        for connection in slow:
            connection.sendall(b"GET /torg/v1/themes HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        assert node.get(API + "/themes").status == 200
        for connection in slow:
            connection.close()


def test_readers_while_writing():
    with Federation() as federation:
        node = federation.found("A").start()
        node.token()
        failures = []

        def read():
            for _ in range(60):
                page = node.api("/collections/offers/items", limit=1000, near="20,63.8")
                if page["numberMatched"] != len(page["features"]):
                    failures.append((page["numberMatched"], len(page["features"])))
        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for i in range(100):
            node.publish("offers", feature(f"Nr {i}", 20 + i * 1e-4, 63.8))
        for reader in readers:
            reader.join()
        assert not failures, failures[:3]


def test_everything_in_one_answer_while_writes_go_on():
    """What is there throughout comes once; the reader is slow, and the daemon keeps nothing."""
    with Federation() as federation:
        node = federation.found("A")
        node.start()
        rows = [feature(f"Nr {i}", identifiers={"source": {"system": "t", "id": str(i)}})
                for i in range(3500)]
        file = node.directory / "rows.geojsonseq"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        torg("import", "--quiet", "--collection", "offers", "--config", str(node.conf), str(file))
        path = "/torg/v1/collections/offers/items?all=true&f=geojsonseq"
        connection = http.client.HTTPConnection("127.0.0.1", node.http_port, timeout=PATIENCE_S)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200 and answer.getheader("Transfer-Encoding") == "chunked"
        assert answer.getheader("OGC-NumberMatched") == "3500", answer.getheaders()
        text = answer.read(5000)
        for i in range(30):  # while the rest waits for us
            node.publish("offers", feature(f"Ny {i}"))
        text += answer.read()
        seen = [json.loads(line)["properties"]["name"]["sv"]
                for line in text.decode().replace("\x1e", "").splitlines()]
        old = [name for name in seen if name.startswith("Nr ")]
        assert sorted(old) == sorted(f"Nr {i}" for i in range(3500)), len(old)
        assert len(seen) == len(set(seen)), "a listing came twice"
        # The connection goes on; and the other ways to ask.
        connection.request("GET", path.replace("geojsonseq", "csv"))
        lines = connection.getresponse().read().decode().splitlines()
        assert len(lines) == 3531, len(lines)
        connection.request("HEAD", path)
        assert connection.getresponse().read() == b""
        connection.close()
        everything = node.get(path.replace("geojsonseq", "geojson") + "&facets=theme").json()
        assert everything["numberMatched"] == everything["numberReturned"] == 3530
        assert everything["facets"]["theme"][0]["count"] == 3530
        assert len({f["id"] for f in everything["features"]}) == len(everything["features"]) == 3530
        rels = {link["rel"] for link in everything["links"]}
        assert "collection" in rels and "next" not in rels, rels
        nothing = node.get("/torg/v1/search?all=true&f=geojson&q=saknas").json()
        assert nothing["features"] == [] and nothing["numberReturned"] == 0
        assert node.get(path.replace("geojsonseq", "html")).status == 400
        assert node.get(path + "&limit=3").status == 400
        with socket.create_connection(("127.0.0.1", node.http_port), PATIENCE_S) as old_client:
            old_client.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            whole = b"".join(iter(lambda: old_client.recv(65536), b""))
        assert whole.partition(b"\r\n\r\n")[2].count(b"\n") == 3530
        node.stop()


if __name__ == "__main__":
    run(test_queries, test_pages_hold_each_listing_once, test_every_resource_and_format,
        test_the_tree_of_themes_has_each_once_below_its_parent,
        test_errors_are_problems_that_say_what_to_do,
        test_errors_are_told_in_the_language_that_is_asked_for,
        test_errors_repeat_texts_of_others_as_utf_8,
        test_lists_are_in_the_language_that_is_asked_for, test_conditional_writes,
        test_only_the_own_origin_can_be_written, test_doubtful_framing_is_refused_and_closed,
        test_pipelined_requests_are_answered_in_order,
        test_slow_clients_do_not_keep_others_waiting, test_readers_while_writing,
        test_everything_in_one_answer_while_writes_go_on)
