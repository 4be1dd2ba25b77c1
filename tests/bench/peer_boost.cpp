/* SPDX-License-Identifier: EUPL-1.2 */
#include <boost/geometry.hpp>
#include <boost/geometry/index/rtree.hpp>
#include <boost/iterator/function_output_iterator.hpp>

#include <memory>
#include <vector>

#include "tests/bench/bench.h"

/*
 * Boost.Geometry's R-tree, in the plane of scaled degrees. Its values carry
 * what the tests need, so that nothing is looked up elsewhere. Nearest in the
 * plane is only nearly so on the ellipsoid: the circle around it decides.
 */
namespace
{
namespace bg = boost::geometry;
namespace bgi = boost::geometry::index;

using point = bg::model::point<double, 2, bg::cs::cartesian>;
using box = bg::model::box<point>;

struct value {
    point place;
    bench_record record;
};

struct value_place {
    using result_type = const point &;
    result_type operator()(const value &v) const
    {
        return v.place;
    }
};

struct value_equal {
    bool operator()(const value &a, const value &b) const
    {
        return a.record.document == b.record.document;
    }
};

using rtree = bgi::rtree<value, bgi::rstar<16>, value_place, value_equal>;

struct boost_tree {
    const bench_world *world;
    std::vector<value> values; /* what load takes */
    rtree tree;
    /* One for each theme besides, as who often asks for one would keep it; empty otherwise. */
    std::vector<rtree> by_theme;
};

point place_of(int32_t lon_e7, int32_t lat_e7)
{
    return point(lon_e7 * BENCH_LON_SCALE, lat_e7);
}

value value_of(const bench_record &record)
{
    return value{place_of(record.lon_e7, record.lat_e7), record};
}

void *boost_open(const bench_world *world, const char *)
{
    auto self = std::make_unique<boost_tree>();

    self->world = world;
    self->values.reserve(world->alive);
    for (size_t i = 0; i < world->count; i++) {
        if (world->records[i].alive)
            self->values.push_back(value_of(world->records[i]));
    }
    return self.release();
}

void boost_load_packed(void *tree)
{
    auto self = static_cast<boost_tree *>(tree);

    self->tree = rtree(self->values);
    self->values = std::vector<value>();
}

void boost_load_by_theme(void *tree)
{
    auto self = static_cast<boost_tree *>(tree);
    std::vector<std::vector<value>> values(BENCH_THEMES);

    for (const value &v : self->values)
        values[v.record.theme].push_back(v);
    for (const std::vector<value> &of_theme : values)
        self->by_theme.emplace_back(of_theme);
    boost_load_packed(tree);
}

void boost_load_rstar(void *tree)
{
    auto self = static_cast<boost_tree *>(tree);

    for (const value &v : self->values)
        self->tree.insert(v);
    self->values = std::vector<value>();
}

const rtree &tree_for(const boost_tree *self, const bench_query *query)
{
    bool alone = query->theme != BENCH_THEME_ANY && !self->by_theme.empty();

    return alone ? self->by_theme[query->theme] : self->tree;
}

void run_area(const boost_tree *self, const bench_query *query, bench_answer *answer)
{
    box around(place_of(query->west_e7, query->south_e7),
               place_of(query->east_e7, query->north_e7));
    auto take = [&](const value &v) { bench_take(query, &v.record, answer); };
    auto matches = [&](const value &v) { return bench_matches(query, &v.record); };

    tree_for(self, query)
        .query(bgi::intersects(around) && bgi::satisfies(matches),
               boost::make_function_output_iterator(take));
}

void boost_run(void *tree, const bench_query *query, bench_answer *answer)
{
    auto self = static_cast<boost_tree *>(tree);
    auto take = [&](const value &v) { answer->documents[answer->count++] = v.record.document; };
    auto has_theme = [&](const value &v) { return bench_has_theme(query, &v.record); };

    if (query->kind != BENCH_NEAR) {
        run_area(self, query, answer);
        return;
    }
    tree_for(self, query)
        .query(bgi::nearest(point(query->lon_deg * 1e7 * BENCH_LON_SCALE, query->lat_deg * 1e7),
                            BENCH_NEAREST) &&
                   bgi::satisfies(has_theme),
               boost::make_function_output_iterator(take));
    bench_query around = bench_query_around(query, self->world, answer);
    answer->count = 0;
    run_area(self, &around, answer);
    bench_answer_nearest(query, self->world, answer, around.radius_m);
}

void remove_from(rtree &tree, const bench_record &record)
{
    if (tree.remove(value_of(record)) != 1)
        bench_die("Boost: a value is not there");
}

void boost_write(void *tree, const bench_change *changes, size_t count)
{
    auto self = static_cast<boost_tree *>(tree);
    bool by_theme = !self->by_theme.empty();

    for (size_t i = 0; i < count; i++) {
        const bench_change &change = changes[i];

        if (change.had)
            remove_from(self->tree, change.before);
        if (change.had && by_theme)
            remove_from(self->by_theme[change.before.theme], change.before);
        if (change.has)
            self->tree.insert(value_of(change.after));
        if (change.has && by_theme)
            self->by_theme[change.after.theme].insert(value_of(change.after));
    }
}

void boost_close(void *tree)
{
    delete static_cast<boost_tree *>(tree);
}
} // namespace

extern "C" const bench_peer peer_boost_packed = {
    "Boost packed", false,   boost_open, boost_load_packed, boost_run,
    boost_write,    nullptr, nullptr,    boost_close,
};

extern "C" const bench_peer peer_boost_by_theme = {
    "Boost by theme", false,   boost_open, boost_load_by_theme, boost_run,
    boost_write,      nullptr, nullptr,    boost_close,
};

extern "C" const bench_peer peer_boost_rstar = {
    "Boost R*",  false,   boost_open, boost_load_rstar, boost_run,
    boost_write, nullptr, nullptr,    boost_close,
};
