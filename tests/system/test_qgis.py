#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""QGIS reads the API as the GIS staff of a municipality would (tools/check --long; needs python3-qgis)."""
import json
import os
import subprocess

from harness import Federation, feature, run, torg

API = "/torg/v1"
COUNT = 1200
PYTHON = "/usr/bin/python3"  # Debian's, which has QGIS

SCRIPT = """
import json, sys
from qgis.core import (QgsApplication, QgsCoordinateReferenceSystem, QgsFeatureRequest,
                       QgsRectangle, QgsVectorLayer)
application = QgsApplication([], False)
application.initQgis()
result = {}
base = sys.argv[1]


def layer(extra=''):
    made = QgsVectorLayer(f"url='{base}' typename='offers' pagingEnabled='true' "
                          f"maxNumFeatures='5000' pageSize='500' {extra}", 'offers', 'OAPIF')
    assert made.isValid(), made.error().summary()
    return made


offers = layer()
result['all'] = sum(1 for _ in offers.getFeatures())
result['fields'] = [field.name() for field in offers.fields()]
box = QgsFeatureRequest().setFilterRect(QgsRectangle(16, 63, 17, 64))
result['box'] = sum(1 for _ in offers.getFeatures(box))
only = QgsFeatureRequest().setFilterExpression("municipality = '2480'")
result['only'] = sum(1 for _ in offers.getFeatures(only))
first = next(offers.getFeatures())
result['point'] = [first.geometry().asPoint().x(), first.geometry().asPoint().y()]
print('RESULT ' + json.dumps(result))
application.exitQgis()
"""


def test_qgis():
    """A map that shows no features says nothing: numberMatched and the axes must be right."""
    with Federation() as federation:
        node = federation.found("A").start()
        items = [feature(f"Rum {i}", 14 + i % 80 / 10, 62 + i % 50 / 10,
                         municipality=["2480", "2506"][i % 2]) for i in range(COUNT)]
        path = federation.directory / "offers.geojson"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
        torg("import", "--config", str(node.conf), "--collection", "offers", str(path))
        done = subprocess.run([PYTHON, "-c", SCRIPT, f"http://127.0.0.1:{node.http_port}{API}"],
                              capture_output=True, text=True, timeout=600,
                              env={**os.environ, "QT_QPA_PLATFORM": "offscreen",
                                   "HOME": str(federation.directory)})
        lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
        assert lines, f"exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-3000:]}"
        result = json.loads(lines[0][7:])
        assert result["all"] == COUNT, result
        assert "municipality" in result["fields"], result
        inside = sum(16 <= item["geometry"]["coordinates"][0] <= 17 and
                     63 <= item["geometry"]["coordinates"][1] <= 64 for item in items)
        assert result["box"] == inside, (result, inside)
        assert result["only"] == COUNT / 2, result
        assert 13 < result["point"][0] < 23 and 61 < result["point"][1] < 68, result
        node.stop()


run(test_qgis)
