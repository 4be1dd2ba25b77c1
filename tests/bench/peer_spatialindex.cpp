/* SPDX-License-Identifier: EUPL-1.2 */
#include <limits>
#include <memory>
#include <spatialindex/SpatialIndex.h>
#include <vector>

#include "tests/bench/bench.h"

/*
 * libspatialindex: an R*-tree in its storage in memory, bulk loaded by
 * sort-tile-recursive, with the library's usual capacity and fill. Themes and
 * positions are looked up in the world's array by identifier.
 */
namespace
{
namespace si = SpatialIndex;

constexpr double fill_factor = 0.7;
constexpr uint32_t capacity = 100;

struct spatialindex_tree {
    const bench_world *world;
    std::unique_ptr<si::IStorageManager> storage;
    std::unique_ptr<si::ISpatialIndex> tree;
};

si::Region region_of(int32_t west_e7, int32_t south_e7, int32_t east_e7, int32_t north_e7)
{
    const double low[2] = {west_e7 * BENCH_LON_SCALE, double(south_e7)};
    const double high[2] = {east_e7 * BENCH_LON_SCALE, double(north_e7)};

    return si::Region(low, high, 2);
}

si::Region region_of(const bench_record &record)
{
    return region_of(record.lon_e7, record.lat_e7, record.lon_e7, record.lat_e7);
}

class living : public si::IDataStream
{
  public:
    explicit living(const bench_world *world) : world_(world)
    {
        skip();
    }
    si::IData *getNext() override
    {
        const bench_record &record = world_->records[at_++];
        si::Region region = region_of(record);

        skip();
        return new si::RTree::Data(0, nullptr, region, record.document);
    }
    bool hasNext() override
    {
        return at_ < world_->count;
    }
    uint32_t size() override
    {
        return uint32_t(world_->alive);
    }
    void rewind() override
    {
        at_ = 0;
        skip();
    }

  private:
    void skip()
    {
        while (at_ < world_->count && !world_->records[at_].alive)
            at_++;
    }

    const bench_world *world_;
    size_t at_ = 0;
};

/* What the tree gives is tested and taken. */
class taker : public si::IVisitor
{
  public:
    taker(const bench_world *world, const bench_query *query, bench_answer *answer)
        : world_(world), query_(query), answer_(answer)
    {
    }
    void visitNode(const si::INode &) override
    {
    }
    void visitData(const si::IData &data) override
    {
        const bench_record *record = &world_->records[data.getIdentifier()];

        if (query_->kind == BENCH_NEAR ? bench_has_theme(query_, record)
                                       : bench_matches(query_, record))
            bench_take(query_, record, answer_);
    }
    void visitData(std::vector<const si::IData *> &) override
    {
    }

  private:
    const bench_world *world_;
    const bench_query *query_;
    bench_answer *answer_;
};

/* Distance in the plane; what has another theme comes after everything. */
class themed_distance : public si::INearestNeighborComparator
{
  public:
    themed_distance(const bench_world *world, const bench_query *query)
        : world_(world), query_(query)
    {
    }
    double getMinimumDistance(const si::IShape &query, const si::IShape &entry) override
    {
        return query.getMinimumDistance(entry);
    }
    double getMinimumDistance(const si::IShape &query, const si::IData &data) override
    {
        const bench_record *record = &world_->records[data.getIdentifier()];

        if (!bench_has_theme(query_, record))
            return std::numeric_limits<double>::max();
        return query.getMinimumDistance(region_of(*record));
    }

  private:
    const bench_world *world_;
    const bench_query *query_;
};

void *spatialindex_open(const bench_world *world, const char *)
{
    auto self = std::make_unique<spatialindex_tree>();

    self->world = world;
    self->storage.reset(si::StorageManager::createNewMemoryStorageManager());
    return self.release();
}

void spatialindex_load(void *tree)
{
    auto self = static_cast<spatialindex_tree *>(tree);
    living stream(self->world);
    si::id_type identifier;

    self->tree.reset(si::RTree::createAndBulkLoadNewRTree(
        si::RTree::BLM_STR, stream, *self->storage, fill_factor, capacity, capacity, 2,
        si::RTree::RV_RSTAR, identifier));
}

void run_area(const spatialindex_tree *self, const bench_query *query, bench_answer *answer)
{
    taker visitor(self->world, query, answer);

    self->tree->intersectsWithQuery(
        region_of(query->west_e7, query->south_e7, query->east_e7, query->north_e7), visitor);
}

void spatialindex_run(void *tree, const bench_query *query, bench_answer *answer)
{
    auto self = static_cast<spatialindex_tree *>(tree);
    const double place[2] = {query->lon_deg * 1e7 * BENCH_LON_SCALE, query->lat_deg * 1e7};

    if (query->kind != BENCH_NEAR) {
        run_area(self, query, answer);
        return;
    }
    taker visitor(self->world, query, answer);
    themed_distance distance(self->world, query);
    self->tree->nearestNeighborQuery(BENCH_NEAREST, si::Point(place, 2), visitor, distance);
    bench_query around = bench_query_around(query, self->world, answer);
    answer->count = 0;
    run_area(self, &around, answer);
    bench_answer_nearest(query, self->world, answer, around.radius_m);
}

void spatialindex_write(void *tree, const bench_change *changes, size_t count)
{
    auto self = static_cast<spatialindex_tree *>(tree);

    for (size_t i = 0; i < count; i++) {
        const bench_record &before = changes[i].before, &after = changes[i].after;

        if (changes[i].had && !self->tree->deleteData(region_of(before), before.document))
            bench_die("libspatialindex: an entry is not there");
        if (changes[i].has)
            self->tree->insertData(0, nullptr, region_of(after), after.document);
    }
}

void spatialindex_close(void *tree)
{
    auto self = static_cast<spatialindex_tree *>(tree);

    self->tree.reset(); /* It writes its header to the storage. */
    delete self;
}
} // namespace

extern "C" const bench_peer peer_spatialindex = {
    "libspatialindex",  false,   spatialindex_open, spatialindex_load,  spatialindex_run,
    spatialindex_write, nullptr, nullptr,           spatialindex_close,
};
