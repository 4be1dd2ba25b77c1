#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""What is open: a running node's openAt beside dateutil's rules and the system's time zones.

TORG_HOURS says how many moments are asked (120 unless given), TORG_SEED where they begin.
"""
import datetime
import http.client
import json
import os
import random
import urllib.parse
import zoneinfo

from dateutil import rrule

from harness import PATIENCE_S, Federation, feature, run, torg

MOMENTS = int(os.environ.get("TORG_HOURS", "120"))
SEED = int(os.environ.get("TORG_SEED", "1"))
LISTINGS = 250
UTC = datetime.timezone.utc
DAY = datetime.timedelta(days=1)
WEEKDAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
ZONES = ["Europe/Stockholm", "Europe/Stockholm", "Europe/Helsinki", "Europe/Oslo", "Europe/Copenhagen",
         "UTC"]
BEGIN = datetime.date(2026, 1, 1)
DAYS = 3 * 365
# Whole days, and the hours in which clocks are changed.
CLOCKS = ["00:00", "01:30", "02:00", "02:30", "03:00", "03:59", "06:00", "09:00", "12:15", "17:00",
          "22:00", "24:00"]


def clock_minutes(clock):
    return int(clock[:2]) * 60 + int(clock[3:])


def random_rule(chance):
    """A rule, and whether it may stand without a first day."""
    numbers = lambda top, count: ",".join(str(n * chance.choice([1, 1, -1])) for n in
                                          chance.sample(range(1, top + 1), count))
    days = ",".join(chance.sample(WEEKDAYS, chance.randint(1, 4)))
    kinds = [
        ("FREQ=DAILY", True), ("FREQ=DAILY;BYMONTH=6,7,8", True), (f"FREQ=DAILY;BYDAY={days}", True),
        (f"FREQ=WEEKLY;BYDAY={days}", True), (f"FREQ=MONTHLY;BYDAY={days}", True), ("FREQ=WEEKLY", False),
        ("FREQ=MONTHLY", False), ("FREQ=YEARLY", False), ("FREQ=YEARLY;BYMONTH=5,11", False),
        (f"FREQ=MONTHLY;BYDAY={chance.choice([1, 2, 3, 4, 5, -1, -2])}{chance.choice(WEEKDAYS)}", True),
        (f"FREQ=YEARLY;BYDAY={chance.choice([1, 9, 27, -1, -13])}{chance.choice(WEEKDAYS)}", True),
        (f"FREQ=YEARLY;BYMONTH=3,10;BYDAY={chance.choice([1, -1])}SU", True),
        (f"FREQ=MONTHLY;BYMONTHDAY={numbers(31, 3)}", True),
        (f"FREQ=MONTHLY;BYMONTHDAY={numbers(31, 9)};BYDAY={days}", True),
        (f"FREQ=YEARLY;BYYEARDAY={numbers(366, 8)}", True),
        (f"FREQ=YEARLY;BYWEEKNO={numbers(53, 6)};BYDAY={days}", True),
        (f"FREQ=MONTHLY;BYDAY={days};BYSETPOS={numbers(4, 2)}", True),
        (f"FREQ=YEARLY;BYDAY={days};BYSETPOS={numbers(200, 6)}", True),
    ]
    rule, free = chance.choice(kinds)
    if chance.random() < 0.3:
        rule += f";INTERVAL={chance.choice([2, 3, 4])}"
        free = False
    if chance.random() < 0.2:
        rule += f";WKST={chance.choice(WEEKDAYS)}"
    ending = chance.random()
    if ending < 0.15:
        rule += f";COUNT={chance.choice([1, 5, 30])}"
        free = False
    elif ending < 0.3:
        until = BEGIN + DAY * chance.randrange(DAYS)
        rule += f";UNTIL={until:%Y%m%d}" + chance.choice(["", "T120000", "T120000Z"])
    return rule, free


def random_entry(chance):
    entry = {"opens": chance.choice(CLOCKS), "closes": chance.choice(CLOCKS), "zone": chance.choice(ZONES)}
    free = True
    if chance.random() < 0.5:
        entry["days"] = ",".join(chance.sample(WEEKDAYS, chance.randint(1, 7)))
    else:
        entry["days"], free = random_rule(chance)
    if chance.random() < 0.3 or (not free and chance.random() < 0.9):
        first = BEGIN + DAY * chance.randrange(300)
        entry["from"] = first.isoformat()
        if chance.random() < 0.3:
            entry["through"] = (first + DAY * chance.randrange(500)).isoformat()
    if chance.random() < 0.05:
        entry["zone"] = "Asia/Tokyo"
    entry_free[json.dumps(entry, sort_keys=True)] = free
    return entry


entry_free = {}


def instant(zone, day, minutes):
    """The first of two, or as if the clock had not been set forward: fold=0 is both."""
    wall = datetime.datetime.combine(day, datetime.time()) + datetime.timedelta(minutes=minutes)
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def days_of(entry):
    """The days on which an entry opens, all of them, the slow way."""
    first = datetime.date.fromisoformat(entry.get("from", "2025-12-25"))
    through = datetime.date.fromisoformat(entry.get("through", "2029-12-31"))
    if not entry["days"].startswith("FREQ="):
        names = entry["days"].split(",")
        day = first
        while day <= min(through, BEGIN + DAY * (DAYS + 3)):
            if WEEKDAYS[day.weekday()] in names:
                yield day
            day += DAY
        return
    if "from" not in entry and not entry_free[json.dumps(entry, sort_keys=True)]:
        return
    # dateutil wants UNTIL and the first day to be of one kind, so UNTIL is looked at here.
    parts = [part for part in entry["days"].split(";") if not part.startswith("UNTIL=")]
    until = next((part[6:] for part in entry["days"].split(";") if part.startswith("UNTIL=")), None)
    zone = zoneinfo.ZoneInfo(entry["zone"])
    if "from" not in entry:
        first = datetime.date(2025, 1, 1)
    for at in rrule.rrulestr(";".join(parts), dtstart=datetime.datetime.combine(first, datetime.time())):
        day = at.date()
        if day > min(through, BEGIN + DAY * (DAYS + 3)):
            return
        opens = datetime.datetime.combine(day, datetime.time()) + datetime.timedelta(
            minutes=clock_minutes(entry["opens"]))
        if until and len(until) == 8 and opens.date() > datetime.datetime.strptime(until, "%Y%m%d").date():
            return
        if until and len(until) == 15 and opens > datetime.datetime.strptime(until, "%Y%m%dT%H%M%S"):
            return
        if until and len(until) == 16 and instant(zone, day, clock_minutes(entry["opens"])) > \
                datetime.datetime.strptime(until, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC):
            return
        yield day


def spans_of(entry):
    if entry["zone"] == "Asia/Tokyo":
        return
    zone = zoneinfo.ZoneInfo(entry["zone"])
    opens, closes = clock_minutes(entry["opens"]), clock_minutes(entry["closes"])
    if closes <= opens:
        closes += 24 * 60
    for day in days_of(entry):
        yield instant(zone, day, opens), instant(zone, day, closes)


def make_listings(chance):
    listings = []
    for i in range(LISTINGS):
        entries = [random_entry(chance) for _ in range(chance.choice([0, 1, 1, 2, 3]))]
        listing = feature(f"Butik {i}", lon=round(20 + chance.random(), 5),
                          lat=round(63 + chance.random(), 5), theme=chance.choice(["food/cafe", "culture"]))
        listing["properties"]["identifiers"] = {"source": {"system": "test", "id": str(i)}}
        if entries:
            listing["properties"]["openingHours"] = entries
        listings.append((listing, [span for entry in entries for span in spans_of(entry)]))
    return listings


def make_moments(chance, listings):
    """At the ends of spans and a second before, where clocks are changed, and anywhere."""
    ends = [end for _, spans in listings for span in spans for end in span
            if BEGIN + 3 * DAY < end.date() < BEGIN + (DAYS - 3) * DAY]
    changes = [datetime.datetime(2026, 3, 29, 1, tzinfo=UTC), datetime.datetime(2026, 10, 25, 1, tzinfo=UTC),
               datetime.datetime(2027, 3, 28, 1, tzinfo=UTC)]
    for i in range(MOMENTS):
        if i % 3 == 0:
            yield chance.choice(ends) - datetime.timedelta(seconds=chance.randint(0, 1))
        elif i % 3 == 1:
            yield chance.choice(changes) + datetime.timedelta(minutes=30 * chance.randint(-8, 8))
        else:
            yield datetime.datetime(2026, 1, 10, tzinfo=UTC) + datetime.timedelta(
                minutes=chance.randrange((DAYS - 20) * 1440))


class Client:
    def __init__(self, node):
        self.connection = http.client.HTTPConnection(node.host, node.http_port, timeout=PATIENCE_S)

    def get(self, path, **parameters):
        self.connection.request("GET", "/torg/v1" + path + "?" + urllib.parse.urlencode(parameters))
        response = self.connection.getresponse()
        body = json.loads(response.read())
        assert response.status == 200, (parameters, body)
        return body


def name_of(listing):
    return listing["properties"]["name"]["sv"]


def names(answer):
    return {name_of(f) for f in answer["features"]}


def test_open_as_the_calendar_has_it():
    """Every listing at every moment; then with a place, a theme, facets and pages."""
    chance = random.Random(SEED)
    listings = make_listings(chance)
    with Federation() as federation:
        node = federation.found("A").start()
        file = federation.directory / "shops.geojson"
        file.write_text(json.dumps({"type": "FeatureCollection", "features": [l for l, _ in listings]}))
        torg("import", "--config", str(node.conf), "--collection", "companies", str(file))
        client = Client(node)
        seen = 0
        for moment in make_moments(chance, listings):
            wanted = {name_of(l) for l, spans in listings
                      if any(begin <= moment < end for begin, end in spans)}
            at = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
            answer = client.get("/collections/companies/items", openAt=at, limit=LISTINGS)
            got = names(answer)
            wrong = [l["properties"].get("openingHours") for l, _ in listings
                     if name_of(l) in got ^ wanted]
            assert not wrong, f"{at}, seed {SEED}: {len(wrong)} listings, such as {wrong[:2]}"
            assert got == wanted
            assert answer["numberMatched"] == len(wanted)
            seen += len(wanted)
        assert seen > 10 * MOMENTS
        combine(client, node, listings)
        node.stop()


def combine(client, node, listings):
    at = datetime.datetime(2026, 7, 8, 10, tzinfo=UTC)
    is_open = [l for l, spans in listings if any(begin <= at < end for begin, end in spans)]
    for offset in ("2026-07-08T10:00:00Z", "2026-07-08T12:00:00+02:00"):
        answer = client.get("/search", openAt=offset, limit=0, facets="theme,collection")
        themes = {row["value"]: row["count"] for row in answer["facets"]["theme"]}
        assert themes["culture"] == sum(l["properties"]["themes"] == ["culture"] for l in is_open)
        assert themes["food/cafe"] + themes["culture"] == len(is_open) == answer["numberMatched"]
    cafes = {name_of(l) for l in is_open if l["properties"]["themes"] == ["food/cafe"]}
    near = client.get("/search", openAt="2026-07-08T10:00:00Z", near="20.5,63.5", theme="food/cafe",
                      limit=LISTINGS)
    assert names(near) == cafes
    distances = [f["properties"]["distance"] for f in near["features"]]
    assert distances == sorted(distances)
    west = client.get("/collections/companies/items", openAt="2026-07-08T10:00:00Z", bbox="19,60,20.5,70",
                      limit=LISTINGS)
    assert names(west) == {name_of(l) for l in is_open
                           if l["geometry"]["coordinates"][0] <= 20.5}
    pages, path = set(), "/torg/v1/search?openAt=2026-07-08T10:00:00Z&limit=7"
    while path:
        answer = node.request("GET", path).json()
        assert not pages & names(answer)
        pages |= names(answer)
        path = next((link["href"][link["href"].index("/torg"):] for link in answer["links"]
                     if link["rel"] == "next"), None)
    assert pages == {name_of(l) for l in is_open}
    for wrong in ("now", "2026-07-08", "2026-07-08T10:00:00", "2026-07-08T10:00:00Z/..", "1995-01-01T00:00:00Z"):
        assert node.get("/torg/v1/search", openAt=wrong).status == 400, wrong
    described = node.get("/torg/v1/collections/companies/items", openAt="2026-07-08T10:00:00Z", f="csv")
    assert int(described.headers["OGC-NumberMatched"]) == len(is_open)


run(test_open_as_the_calendar_has_it)
