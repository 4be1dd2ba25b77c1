#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""Programs that others wrote read the API: GDAL, and the npm client @ogcapi-js/features."""
import json
import os
import random
import re
import subprocess

import npm
from harness import Federation, feature, run, torg

API = "/torg/v1"
COUNT = 5000
BOX = (16, 63, 17, 64)
COLLECTIONS = ["companies", "offers", "events", "jobs", "courses", "needs", "service-points",
               "places", "networks"]
ENVIRONMENT = {**os.environ, "GDAL_HTTP_TIMEOUT": "120", "CPL_DEBUG": "OFF"}


def gdal(*arguments):
    done = subprocess.run(list(arguments), capture_output=True, text=True, timeout=600,
                          env=ENVIRONMENT)
    assert done.returncode == 0 and "ERROR" not in done.stderr, \
        f"{' '.join(arguments)}\n{done.stdout[-1500:]}{done.stderr[-1500:]}"
    return done.stdout


def source(node, collection=""):
    return f"OAPIF:http://127.0.0.1:{node.http_port}{API}" + \
        (f"/collections/{collection}" if collection else "")


def counted(output):
    return int(re.search(r"Feature Count: (\d+)", output).group(1))


def offers():
    """Some in each corner of northern Sweden, always the same."""
    chance = random.Random(20)
    for i in range(COUNT):
        item = feature(f"Rum {i}", round(chance.uniform(14, 22), 5), round(chance.uniform(62, 67), 5),
                       ["food/cafe", "bathing/sauna"][i % 2],
                       municipality=["2480", "2284", "2506"][i % 3])
        yield item


def filled(federation):
    node = federation.found("A").start()
    path = federation.directory / "offers.geojson"
    items = list(offers())
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    torg("import", "--config", str(node.conf), "--collection", "offers", str(path))
    for name in COLLECTIONS:
        if name not in ("offers", "events"):
            node.publish(name, feature(f"En av {name}"))
    node.publish("events", feature("Konsert", theme="culture/music",
                                   start="2036-01-01T18:00[Europe/Stockholm]",
                                   end="2036-01-01T20:00[Europe/Stockholm]"))
    return node, items


def inside(items, municipality=None):
    """How many lie in BOX, by looking at each."""
    def lies(item):
        lon, lat = item["geometry"]["coordinates"]
        return BOX[0] <= lon <= BOX[2] and BOX[1] <= lat <= BOX[3] and \
            municipality in (None, item["properties"]["municipality"])
    return sum(map(lies, items))


def check_gdal(federation, node, items):
    """Every GIS reads through GDAL: what it cannot see, a planner does not see."""
    layers = gdal("ogrinfo", "-ro", source(node))
    assert all(re.search(rf"\b{name}\b", layers) for name in COLLECTIONS), layers
    for name in COLLECTIONS:
        assert counted(gdal("ogrinfo", "-ro", "-so", source(node), name)) == \
            (COUNT if name == "offers" else 1), name
    # All, page by page.
    target = federation.directory / "all.geojson"
    gdal("ogr2ogr", "-f", "GeoJSON", str(target), source(node), "offers", "-oo", "PAGE_SIZE=700")
    read = json.loads(target.read_text())["features"]
    assert len(read) == COUNT
    assert {tuple(item["geometry"]["coordinates"]) for item in read} == \
        {tuple(item["geometry"]["coordinates"]) for item in items}
    spat = ["-spat", *map(str, BOX)]
    where = ["-where", "municipality = '2480'"]
    assert counted(gdal("ogrinfo", "-ro", "-so", *spat, source(node), "offers")) == inside(items)
    assert counted(gdal("ogrinfo", "-ro", "-so", *where, source(node), "offers")) == \
        sum(item["properties"]["municipality"] == "2480" for item in items)
    assert counted(gdal("ogrinfo", "-ro", "-so", *where, *spat, source(node), "offers")) == \
        inside(items, "2480")
    # GDAL filters again what it gets: the server must have done so before.
    done = subprocess.run(["ogrinfo", "-ro", "-al", "-so", *where, *spat, source(node), "offers"],
                          capture_output=True, text=True, timeout=600,
                          env={**ENVIRONMENT, "CPL_DEBUG": "HTTP"})
    asked = [line for line in done.stderr.splitlines() if "/items?" in line]
    assert any("bbox=16" in line and "2480" in line for line in asked), asked


def test_gdal_in_sweref():
    """Municipal maps are in SWEREF 99 TM: the wrong order of axes is 700 km away."""
    with Federation() as federation:
        node = federation.found("A").start()
        node.publish("offers", feature("Bastu", 20.2630, 63.8258))
        node.publish("offers", feature("Annat", 17.9, 66.05))
        target = federation.directory / "sweref.geojson"
        gdal("ogr2ogr", "-f", "GeoJSON", "-lco", "RFC7946=NO", "-t_srs", "EPSG:3006", str(target),
             source(node), "offers", "-where", "name LIKE '%Bastu%'")
        x, y = json.loads(target.read_text())["features"][0]["geometry"]["coordinates"]
        assert abs(x - 758803.4353) < 0.01 and abs(y - 7088280.7982) < 0.01, (x, y)
        # What the server itself says in that system is the same.
        answer = node.get(API + "/collections/offers/items", q="bastu", crs="EPSG:3006").json()
        north, east = answer["features"][0]["geometry"]["coordinates"]
        assert abs(east - x) < 0.001 and abs(north - y) < 0.001
        node.stop()


SCRIPT = """
const { FeatureService } = require('@ogcapi-js/features');
const service = new FeatureService({ baseUrl: process.argv[2] });
async function main() {
    const result = { counts: {} };
    for (const collection of (await service.getCollections()).collections) {
        await service.getCollection(collection.id);
        const page = await service.getFeatures(collection.id, { limit: 1 });
        result.counts[collection.id] = page.numberMatched;
    }
    const ids = new Set();
    let page = await service.getFeatures('offers', { limit: 900 });
    result.pages = 0;
    while (page) {
        for (const feature of page.features) ids.add(feature.id);
        result.pages++;
        const next = page.links.find((link) => link.rel === 'next');
        page = next && await (await fetch(next.href)).json();
    }
    result.all = ids.size;
    const box = { bbox: [16, 63, 17, 64], limit: 1 };
    result.box = (await service.getFeatures('offers', box)).numberMatched;
    const filter = "municipality = '2480' AND name LIKE 'Rum 1%'";
    result.filtered = (await service.getFeatures('offers', { limit: 10000, filter })).features.length;
    const sweref = 'http://www.opengis.net/def/crs/EPSG/0/3006';
    const first = [...ids][0];
    result.one = (await service.getFeature('offers', first)).id === first;
    result.north = (await service.getFeature('offers', first, { crs: sweref })).geometry.coordinates[0];
    result.queryables = Object.keys((await service.getQueryables('offers')).properties);
    console.log(JSON.stringify(result));
}
main().catch((error) => { console.error(error); process.exit(1); });
"""


def check_ogcapi_js(federation, node, items):
    """The client that web maps use."""
    script = federation.directory / "client.cjs"
    script.write_text(SCRIPT)
    (federation.directory / "node_modules").symlink_to(npm.tree() / "node_modules")
    done = subprocess.run(["node", str(script), f"http://127.0.0.1:{node.http_port}{API}"],
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout)
    assert set(result["counts"]) == set(COLLECTIONS), result
    assert result["counts"]["offers"] == COUNT and result["counts"]["places"] == 1
    assert result["all"] == COUNT and result["pages"] == -(-COUNT // 900), result
    assert result["box"] == inside(items)
    assert result["filtered"] == sum(i % 3 == 0 and str(i).startswith("1") for i in range(COUNT))
    assert result["one"] and 6.8e6 < result["north"] < 7.5e6, result
    assert "municipality" in result["queryables"]


def test_clients_read_everything():
    """Collections, 5,000 features page by page, and filters, which the server must carry out."""
    with Federation() as federation:
        node, items = filled(federation)
        check_gdal(federation, node, items)
        check_ogcapi_js(federation, node, items)
        node.stop()


run(test_clients_read_everything, test_gdal_in_sweref)
