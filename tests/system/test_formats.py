#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""What calendars, search engines and data portals read, by programs that others wrote."""
import json
import subprocess

from harness import Federation, feature, run

API = "/torg/v1"
EVENTS = API + "/collections/events/items"
PYTHON = "/usr/bin/python3"  # Debian's, which has the packages

CALENDAR = """
import icalendar, json, sys
calendar = icalendar.Calendar.from_ical(sys.stdin.buffer.read())
zones = [str(zone['TZID']) for zone in calendar.walk('VTIMEZONE')]
for zone in calendar.walk('VTIMEZONE'):
    zone.to_tz()
events = {}
for event in calendar.walk('VEVENT'):
    start, end = event.decoded('DTSTART'), event.get('DTEND') and event.decoded('DTEND')
    events[str(event['SUMMARY'])] = {
        'uid': str(event['UID']), 'sequence': int(event['SEQUENCE']), 'status': str(event['STATUS']),
        'start': start.isoformat(), 'end': end and end.isoformat(),
        'description': str(event.get('DESCRIPTION', '')),
        'geo': event.get('GEO') and [event['GEO'].latitude, event['GEO'].longitude]}
print(json.dumps({'zones': zones, 'events': events, 'version': str(calendar['VERSION'])}))
"""

GRAPH = """
import json, rdflib, sys
DCAT = rdflib.Namespace('http://www.w3.org/ns/dcat#')
graph = rdflib.Graph().parse(data=sys.stdin.buffer.read(), format='xml')
catalogue, = graph.subjects(rdflib.RDF.type, DCAT.Catalog)
datasets = list(graph.objects(catalogue, DCAT.dataset))
missing = [str(dataset) for dataset in datasets for term in (
    rdflib.DCTERMS.title, rdflib.DCTERMS.description, rdflib.DCTERMS.publisher, DCAT.distribution)
    if not list(graph.objects(dataset, term))]
urls = [str(url) for url in graph.objects(None, DCAT.accessURL)]
service, = graph.subjects(rdflib.RDF.type, DCAT.DataService)
publisher, = set(graph.objects(None, rdflib.DCTERMS.publisher))
print(json.dumps({'datasets': len(datasets), 'missing': missing, 'urls': urls,
                  'description': str(graph.value(service, DCAT.endpointDescription)),
                  'publisher': str(graph.value(publisher, rdflib.FOAF.name))}))
"""


def judged(script, body):
    done = subprocess.run([PYTHON, "-c", script], input=body, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return json.loads(done.stdout)


def test_calendar():
    """An event that is an hour off, or whose cancellation nobody hears of, is worse than none."""
    with Federation() as federation:
        node = federation.found("Umeå & co").start()
        text = "Kaffe, te; och \\ bröd.\nVälkomna " + "å" * 100
        concert = node.publish("events", feature("Konsert", theme="culture/music",
                                                 start="2036-07-04T18:00[Europe/Stockholm]",
                                                 end="2036-07-04T20:00[Europe/Stockholm]",
                                                 description={"sv": text, "en": "Quiet"}))
        node.publish("events", feature("Marknad", None, start="2036-12-05", end="2036-12-06",
                                       status="cancelled"))
        node.publish("offers", feature("Bastu"))
        answer = node.get(EVENTS, f="ics", datetime="../..")
        assert answer.headers["Content-Type"] == "text/calendar; charset=utf-8"
        got = judged(CALENDAR, answer.body)
        assert got["version"] == "2.0" and "Europe/Stockholm" in got["zones"]
        first = got["events"]["Konsert"]
        assert first["uid"] == f"{concert}@torg" and first["status"] == "CONFIRMED"
        assert first["start"] == "2036-07-04T18:00:00+02:00", first
        assert first["end"] == "2036-07-04T20:00:00+02:00"
        assert first["description"] == text, (first, text)
        assert first["geo"] == [63.8258, 20.263]
        market = got["events"]["Marknad"]
        assert (market["start"], market["end"]) == ("2036-12-05", "2036-12-07")  # RFC 5545: exclusive
        assert market["status"] == "CANCELLED" and market["geo"] is None
        one = judged(CALENDAR, node.get(f"{EVENTS}/{concert}", f="ics", lang="en").body)
        assert list(one["events"].values())[0]["description"] == "Quiet"
        filtered = judged(CALENDAR, node.get(API + "/search", f="ics", collections="events",
                                             theme="culture", datetime="../..").body)
        assert list(filtered["events"]) == ["Konsert"]
        for path in ("/collections/offers/items", "/search"):
            assert node.get(API + path, f="ics").status == 400
        links = {link.get("type") for link in node.api("/collections/events/items")["links"]}
        assert "text/calendar; charset=utf-8" in links
        links = {link.get("type") for link in node.api("/collections/offers/items")["links"]}
        assert "text/calendar; charset=utf-8" not in links
        node.stop()


def test_json_ld():
    """A search engine shows what it understands, in schema.org's words."""
    with Federation() as federation:
        node = federation.found("A").start()
        company = node.publish("companies", feature("Bastubolaget"))
        offer = node.publish("offers", feature("Bastu", provider=company, theme="bathing/sauna",
                                               price={"amount": 99.5, "currency": "SEK"},
                                               address={"street": "Storgatan 1", "locality": "Umeå"}))
        node.publish("events", feature("Konsert", theme="culture/music",
                                       start="2036-07-04T18:00[Europe/Stockholm]"))
        answer = node.get(f"{API}/collections/offers/items/{offer}", f="jsonld")
        assert answer.headers["Content-Type"] == "application/ld+json"
        body = answer.json()
        assert body["@context"] == "https://schema.org/"
        item, = body["@graph"]
        base = f"http://127.0.0.1:{node.http_port}{API}/collections"
        assert item["@type"] == "Offer" and item["@id"] == f"{base}/offers/items/{offer}"
        assert item["name"] == [{"@language": "sv", "@value": "Bastu"}]
        assert (item["price"], item["priceCurrency"]) == (99.5, "SEK")
        place = item["availableAtOrFrom"]
        assert place["geo"] == {"@type": "GeoCoordinates", "latitude": 63.8258, "longitude": 20.263}
        assert place["address"]["streetAddress"] == "Storgatan 1"
        assert item["offeredBy"] == {"@id": f"{base}/companies/items/{company}"}
        every = node.get(API + "/search", f="jsonld", datetime="../..").json()["@graph"]
        assert sorted(item["@type"] for item in every) == ["Event", "LocalBusiness", "Offer"]
        event, = (item for item in every if item["@type"] == "Event")
        assert event["startDate"] == "2036-07-04T18:00:00+02:00"
        node.stop()


def test_dcat():
    """The national data portal harvests the catalogue, and follows its addresses."""
    with Federation() as federation:
        node = federation.found("Umeå <&>").start()
        node.publish("offers", feature("Bastu"))
        answer = node.get("/datasets/dcat")
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("application/rdf+xml")
        got = judged(GRAPH, answer.body)
        assert got["datasets"] == 9 and not got["missing"], got
        assert got["publisher"] == "Umeå <&>"
        assert len(got["urls"]) == 18
        for url in got["urls"] + [got["description"]]:
            assert node.get(url.split(str(node.http_port), 1)[1]).status == 200, url
        node.stop()


run(test_calendar, test_json_ld, test_dcat)
