// SPDX-License-Identifier: EUPL-1.2
// The peer "Node + PostGIS" of "tools/bench http": the API as it is usually written, Node's own
// http module and the pg client with prepared statements and a pool, one process a processor.
// The tables are those of server_postgis.c; an answer has what torg's has.
import cluster from "node:cluster";
import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";

const [directory, modules, workers] = process.argv.slice(2);
const pg = createRequire(modules + "/")("pg");
const fact = (name) => fs.readFileSync(`${directory}/${name}`, "utf8").trim();
const PAGE = 20;
const CANDIDATES = PAGE + 10; // <-> orders by the sphere: more are taken, and sorted by the spheroid

const statements = {
    near: `WITH candidate AS MATERIALIZED (SELECT number, ST_Distance(place, $1::geography) AS m
             FROM listing WHERE theme = $2 ORDER BY place <-> $1::geography LIMIT ${CANDIDATES})
           SELECT m, feature FROM (SELECT number, m FROM candidate ORDER BY m, number
             LIMIT ${PAGE}) AS chosen JOIN feature USING (number) ORDER BY m, number`,
    nearCount: "SELECT count(*) FROM listing WHERE theme = $1",
    boxCount: `SELECT count(*) FROM listing WHERE theme = $1 AND
               ST_Intersects(place::geometry, ST_MakeEnvelope($2, $3, $4, $5, 4326))`,
    box: `SELECT feature FROM (SELECT number FROM listing WHERE theme = $1 AND
            ST_Intersects(place::geometry, ST_MakeEnvelope($2, $3, $4, $5, 4326)) LIMIT 100)
          AS chosen JOIN feature USING (number)`,
    one: "SELECT feature FROM feature WHERE number = $1",
};

function run(pool, name, values) {
    return pool.query({ name, text: statements[name], values });
}

function collection(matched, features) {
    return `{"type":"FeatureCollection","numberMatched":${matched},` +
        `"timeStamp":"${new Date().toISOString()}","features":[${features.join(",\n")}],` +
        `"numberReturned":${features.length}}\n`;
}

const withDistance = (row) =>
    `${row.feature.slice(0, -2)},"distance":${Math.round(row.m * 1000) / 1000}}}`;

async function answer(pool, url) {
    const get = (name) => url.searchParams.get(name);
    if (url.pathname === "/near") {
        const place = `SRID=4326;POINT(${Number(get("lon"))} ${Number(get("lat"))})`;
        const [count, rows] = await Promise.all([run(pool, "nearCount", [get("theme")]),
            run(pool, "near", [place, get("theme")])]);
        return collection(count.rows[0].count, rows.rows.map(withDistance));
    }
    if (url.pathname === "/box") {
        const values = [get("theme"), ...get("bbox").split(",").map(Number)];
        const [count, rows] = await Promise.all([run(pool, "boxCount", values),
            run(pool, "box", values)]);
        return collection(count.rows[0].count, rows.rows.map((row) => row.feature));
    }
    return (await run(pool, "one", [get("number")])).rows[0].feature;
}

if (cluster.isPrimary) {
    for (let i = 0; i < Number(workers); i++) cluster.fork();
    process.on("SIGTERM", () => process.exit(0));
} else {
    const pool = new pg.Pool({ host: "127.0.0.1", port: Number(fact("postgis.port")),
        user: "postgres", password: fact("postgis.password"), database: "postgres", max: 4 });
    http.createServer(async (request, response) => {
        try {
            const body = await answer(pool, new URL(request.url, "http://localhost"));
            response.writeHead(200, { "Content-Type": "application/geo+json",
                "Content-Length": Buffer.byteLength(body) });
            response.end(body);
        } catch (error) {
            response.writeHead(500);
            response.end(String(error));
        }
    }).listen(Number(fact("node.port")), "127.0.0.1");
}
