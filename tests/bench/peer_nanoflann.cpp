/* SPDX-License-Identifier: EUPL-1.2 */
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <nanoflann.hpp>
#include <vector>

#include "tests/bench/bench.h"

/*
 * nanoflann's k-d tree over the three coordinates in metres: its distance is
 * the chord, which is what our test wants. It knows circles only, so a box is
 * asked as the circle around it. It cannot change: built again after writes.
 */
namespace
{
/* A few beyond the nearest, so that chords that are nearly equal settle it. */
constexpr size_t spare = 4;
constexpr size_t leaf_size = 20;

struct cloud {
    std::vector<bench_record> records;

    size_t kdtree_get_point_count() const
    {
        return records.size();
    }
    double kdtree_get_pt(size_t i, size_t axis) const
    {
        return axis == 0 ? records[i].x : axis == 1 ? records[i].y : records[i].z;
    }
    template <class BOX> bool kdtree_get_bbox(BOX &) const
    {
        return false;
    }
};

using metric = nanoflann::L2_Simple_Adaptor<double, cloud>;
using kdtree = nanoflann::KDTreeSingleIndexAdaptor<metric, cloud, 3, uint32_t>;

struct nanoflann_tree {
    const bench_world *world;
    cloud points;
    std::unique_ptr<kdtree> tree;
};

/* All within the query's outer chord that match. */
class area_result
{
  public:
    area_result(const bench_query *query, const cloud *points, bench_answer *answer)
        : query_(query), points_(points), answer_(answer),
          reach_m2_(std::nextafter(query->out_m2, std::numeric_limits<double>::infinity()))
    {
    }
    bool addPoint(double chord_m2, uint32_t i)
    {
        const bench_record *record = &points_->records[i];

        if (chord_m2 > query_->in_m2 || query_->kind == BENCH_BOX ? bench_matches(query_, record)
                                                                  : bench_has_theme(query_, record))
            bench_take(query_, record, answer_);
        return true;
    }
    double worstDist() const
    {
        return reach_m2_;
    }
    bool full() const
    {
        return true;
    }
    size_t size() const
    {
        return answer_->count;
    }

  private:
    const bench_query *query_;
    const cloud *points_;
    bench_answer *answer_;
    double reach_m2_;
};

/* The nearest of a theme: the library's own result, asked only for what matches. */
class near_result
{
  public:
    near_result(const bench_query *query, const cloud *points)
        : query_(query), points_(points), nearest_(BENCH_NEAREST + spare)
    {
        nearest_.init(indices, chords_m2);
    }
    bool addPoint(double chord_m2, uint32_t i)
    {
        return !bench_has_theme(query_, &points_->records[i]) || nearest_.addPoint(chord_m2, i);
    }
    double worstDist() const
    {
        return nearest_.worstDist();
    }
    bool full() const
    {
        return nearest_.full();
    }
    size_t size() const
    {
        return nearest_.size();
    }

    uint32_t indices[BENCH_NEAREST + spare];
    double chords_m2[BENCH_NEAREST + spare];

  private:
    const bench_query *query_;
    const cloud *points_;
    nanoflann::KNNResultSet<double, uint32_t, size_t> nearest_;
};

void *nanoflann_open(const bench_world *world, const char *)
{
    auto self = std::make_unique<nanoflann_tree>();

    self->world = world;
    self->points.records.reserve(world->alive);
    std::copy_if(world->records, world->records + world->count,
                 std::back_inserter(self->points.records),
                 [](const bench_record &record) { return record.alive; });
    return self.release();
}

void nanoflann_load(void *tree)
{
    auto self = static_cast<nanoflann_tree *>(tree);

    self->tree = std::make_unique<kdtree>(3, self->points,
                                          nanoflann::KDTreeSingleIndexAdaptorParams(leaf_size));
    self->tree->buildIndex();
}

void run_area(const nanoflann_tree *self, const bench_query *query, bench_answer *answer)
{
    const double centre[3] = {query->x, query->y, query->z};
    area_result result(query, &self->points, answer);

    self->tree->findNeighbors(result, centre, nanoflann::SearchParams());
}

void nanoflann_run(void *tree, const bench_query *query, bench_answer *answer)
{
    auto self = static_cast<nanoflann_tree *>(tree);
    const double centre[3] = {query->x, query->y, query->z};

    if (query->kind != BENCH_NEAR) {
        run_area(self, query, answer);
        return;
    }
    near_result result(query, &self->points);
    self->tree->findNeighbors(result, centre, nanoflann::SearchParams());
    for (size_t i = 0; i < result.size(); i++)
        answer->documents[answer->count++] = self->points.records[result.indices[i]].document;
    double complete_m = result.full() ? bench_reach_m(result.worstDist()) : BENCH_EVERYWHERE_M;
    if (bench_answer_nearest(query, self->world, answer, complete_m))
        return;
    bench_query around = bench_query_around(query, self->world, answer);
    answer->count = 0;
    run_area(self, &around, answer);
    bench_answer_nearest(query, self->world, answer, around.radius_m);
}

void nanoflann_close(void *tree)
{
    delete static_cast<nanoflann_tree *>(tree);
}
} // namespace

extern "C" const bench_peer peer_nanoflann = {
    "nanoflann", false,   nanoflann_open, nanoflann_load,  nanoflann_run,
    nullptr,     nullptr, nullptr,        nanoflann_close,
};
