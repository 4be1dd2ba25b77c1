#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""Turn the lists of places in data/ into the tables that gazetteer.c includes.

gazetteer_make.py DATA_DIRECTORY OUTPUT.h

Where two lists name a place of one municipality, the first wins: GeoNames'
places, then Arbetsformedlingen's, then the places of GeoNames' postal codes.
"""
import csv
import os
import sys
import unicodedata
import zlib


# Heby moved to another county in 2007; the postal codes' list has not.
REPLACED_CODES = {"1917": "0331"}


def rows(directory, name):
    with open(os.path.join(directory, name), encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            row["kommunkod"] = REPLACED_CODES.get(row["kommunkod"], row["kommunkod"])
            yield row


def in_sweden(row):
    """Arbetsformedlingen's list has places whose position is 0, 0."""
    return 55 < float(row["lat"]) < 69.1 and 10.5 < float(row["lon"]) < 24.5


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def is_name(text):
    """GeoNames mixes codes (UME) and romanisations (yu mo ao) into its other names."""
    latin = all("LATIN" in unicodedata.name(c, "") for c in text if c.isalpha())
    return latin and len(text) > 3 and text[0].isupper() and not text[1].isupper()


def degrees_e7(text):
    return round(float(text) * 10_000_000)


class Places:
    def __init__(self):
        self.by_key = {}

    def add(self, name, code, row, others=(), population=0):
        key = (name.casefold(), code)
        if key not in self.by_key and in_sweden(row):
            position = (degrees_e7(row["lon"]), degrees_e7(row["lat"]))
            self.by_key[key] = (name, code, position, others, population)

    def ordered(self):
        return sorted(self.by_key.items(), key=lambda item: (item[0][1], item[1][0]))


def collect(directory):
    places = Places()
    for row in rows(directory, "orter-geonames.csv"):
        others = row["alternativa_namn"].split(",") + [row["ascii"]]
        others = sorted({other for other in others if other != row["namn"] and is_name(other)})
        places.add(row["namn"], row["kommunkod"], row, others, int(row["befolkning"] or 0))
    for row in rows(directory, "orter-af.csv"):
        places.add(row["namn"], row["kommunkod"], row)
    postal = list(rows(directory, "postnummer-geonames.csv"))
    for row in postal:
        if row["kommunkod"]:
            places.add(row["ort"], row["kommunkod"], row)
    return places, postal


def main():
    directory, output = sys.argv[1:]
    places, postal = collect(directory)
    index = {}
    largest = {}
    lines = ["/* Made by protocol/gazetteer_make.py from data/; not to be edited. */"]
    lines.append("static const struct gazetteer_place gazetteer_places[] = {")
    for number, (key, (name, code, position, others, population)) in enumerate(places.ordered()):
        index[key] = number
        if key[0] not in largest or population > largest[key[0]][0]:
            largest[key[0]] = (population, number)
        joined = "".join(other + "\n" for other in others)
        lines.append(
            f"{{{quoted(name)}, {quoted(joined)}, {quoted(code)}, "
            f"{{{position[0]}, {position[1]}}}, {population}}},"
        )
    lines.append("};")
    lines.append("static const struct gazetteer_code gazetteer_codes[] = {")
    for code, name in sorted((r["kommunkod"], r["namn"]) for r in rows(directory, "kommuner.csv")):
        place = places.by_key.get((name.casefold(), code))
        others = "".join(other + "\n" for other in place[3]) if place else ""
        lines.append(f"{{{quoted(code)}, {quoted(name)}, {quoted(others)}}},")
    lines.append("};")
    version = zlib.crc32("\n".join(lines).encode())
    lines.append(f"static const uint32_t gazetteer_checksum = 0x{version:08x};")
    lines.append("static const struct gazetteer_postal gazetteer_postals[] = {")
    codes = {}
    for row in postal:
        name = row["ort"].casefold()
        number = index.get((name, row["kommunkod"]), largest.get(name, (0, None))[1])
        if number is not None and row["postnummer"].isdigit():
            codes.setdefault(int(row["postnummer"]), number)
    for code in sorted(codes):
        lines.append(f"{{{code}, {codes[code]}}},")
    lines.append("};")
    with open(output, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
