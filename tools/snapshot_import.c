/* SPDX-License-Identifier: EUPL-1.2 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "index/catalogue.h"
#include "index/settings.h"
#include "protocol/member.h"
#include "protocol/replica.h"
#include "tools/snapshot.h"
#include "tools/snapshot_file.h"

/*
 * Reconcile from a file. Of each origin everything is read twice: first only
 * hashed, until the roots are those that its signed head names; then stored, in
 * parts, each entry if it is the one that was proved. So nothing is stored that
 * its origin did not sign, and an import that was cut off goes on where it was.
 */
#define COMMAND "snapshot import"
#define PART_BYTES_MAX 8388608 /* of one transaction, and one record more */

/* What the file says of one origin. */
struct section {
    struct origin_id id;
    char name[SNAPSHOT_NAME_BYTES];
    struct buffer charters; /* the packed ones, one after another */
    struct charter_signed *parsed;
    size_t charter_count;
    struct buffer head, beat; /* signed; beat may be empty */
    struct head head_parsed;
    struct snapshot_place entries; /* where they begin */
    struct trie_entry *proved;     /* of all collections, in their order */
    size_t proved_count, proved_capacity;
    size_t from[COLLECTIONS_MAX], count[COLLECTIONS_MAX];
};

struct import {
    struct store *store;
    const struct config *config;
    struct theme_tree *themes;
    struct origin_id own; /* zeros: none */
    struct snapshot_file file;
    struct section section;
    struct config_trust trust; /* how its origin is trusted */
    /* A transaction that is going on. */
    bool writing;
    struct kv kv;
    struct catalogue_writer catalogue;
    size_t bytes;
    /* While entries are stored. */
    uint32_t number; /* of the origin */
    size_t next;     /* the next proved one */
    struct listing_key *removed;
    size_t removed_count, removed_capacity;
    uint64_t taken, held, untrusted, over;
};

static void section_done(struct section *section)
{
    buffer_done(&section->charters);
    buffer_done(&section->head);
    buffer_done(&section->beat);
    free(section->parsed);
    free(section->proved);
    *section = (struct section){0};
}

static bool fail(const struct import *import, enum torg_err err, const char *what)
{
    if (err == TORG_E_IO)
        cli_fail(COMMAND, "%s: %s: %s", import->config->directory, what, strerror(errno));
    else if (err == TORG_E_FULL)
        cli_fail(
            COMMAND,
            "%s: the store is full; raise map-size in %s or free disk space, then import again",
            import->config->directory, import->config->file);
    else
        cli_fail(COMMAND, "%s: %s: %s", import->file.path, what, torg_err_text(err));
    return false;
}

static bool refuse(const struct import *import, const char *why)
{
    cli_fail(COMMAND, "%s: %s: %s; nothing of it was taken", import->file.path,
             import->section.name, why);
    return false;
}

/* ---- reading a section ---- */

static bool take_charters(struct import *import)
{
    struct section *section = &import->section;
    const struct frame_list *list = &import->file.frame.charter.charters;

    section->id = import->file.frame.charter.origin;
    section->charter_count += list->count;
    buffer_put_span(&section->charters, list->bytes);
    if (section->charters.err)
        return fail(import, TORG_E_NOMEM, "charters");
    return true;
}

/* Once all are there, for they borrow from the buffer. */
static bool parse_charters(struct import *import)
{
    struct section *section = &import->section;
    struct profile_reader in = profile_reader_of(buffer_span(&section->charters));
    struct span last = {0};

    section->parsed = calloc(section->charter_count, sizeof(*section->parsed));
    if (!section->parsed)
        return fail(import, TORG_E_NOMEM, "charters");
    for (size_t i = 0; i < section->charter_count; i++) {
        last = profile_skip(&in);
        if (charter_signed_parse(last, &section->parsed[i]))
            return refuse(import, "a charter is malformed");
    }
    snapshot_name(&section->id, last, section->name);
    return true;
}

/* Charters, head and beat; then the file stands before the first entries, which frame may be. */
static bool section_begin(struct import *import)
{
    struct snapshot_file *file = &import->file;
    struct section *section = &import->section;
    bool good = true;

    while (good && !file->ended && file->frame.type == FRAME_CHARTER)
        good = take_charters(import) && snapshot_file_next(file);
    if (!good || !parse_charters(import))
        return false;
    buffer_put_span(&section->head, file->frame.head.head); /* snapshot_take has seen to it */
    section->entries = snapshot_file_place(file);
    good = !section->head.err && snapshot_file_next(file);
    if (good && !file->ended && file->frame.type == FRAME_BEAT) {
        buffer_put_span(&section->beat, file->frame.beat.beats.bytes);
        section->entries = snapshot_file_place(file);
        good = !section->beat.err && snapshot_file_next(file);
    }
    if (good && head_parse(frame_head(buffer_span(&section->head)).bytes, &section->head_parsed))
        return refuse(import, "its head is malformed");
    return good;
}

static bool proved_add(struct section *section, const struct replica_entry *entry)
{
    if (section->proved_count == section->proved_capacity) {
        size_t capacity = section->proved_capacity ? 2 * section->proved_capacity : 4096;
        struct trie_entry *grown =
            reallocarray(section->proved, capacity, sizeof(*section->proved));

        if (!grown)
            return false;
        section->proved = grown;
        section->proved_capacity = capacity;
    }
    section->proved[section->proved_count++] =
        (struct trie_entry){.key = entry->key, .header_hash = entry->header_hash};
    return true;
}

/* Each entry of one record in itself, and in its order. */
static bool prove_record(struct import *import)
{
    struct section *section = &import->section;
    const struct frame_list *list = &import->file.frame.entries.entries;
    uint8_t collection = (uint8_t)import->file.frame.entries.sid;
    struct profile_reader in = frame_list_reader(list);

    if (section->count[collection] == 0)
        section->from[collection] = section->proved_count;
    for (uint32_t i = 0; i < list->count; i++) {
        struct frame_entry bytes = frame_read_entry(&in);
        struct replica_entry entry;

        if (replica_entry_read(bytes.header, bytes.payload, &entry))
            return refuse(import, "a listing differs from its hash");
        if (entry.header.op != CHANGE_UPSERT || entry.header.collection != collection ||
            (section->count[collection] > 0 &&
             memcmp(&section->proved[section->proved_count - 1].key, &entry.key,
                    sizeof(entry.key)) >= 0))
            return refuse(import, "its listings are not in their order");
        if (!proved_add(section, &entry))
            return fail(import, TORG_E_NOMEM, "listings");
        section->count[collection]++;
    }
    return true;
}

static bool section_prove(struct import *import)
{
    struct section *section = &import->section;
    bool good =
        snapshot_file_return(&import->file, &section->entries) && snapshot_file_next(&import->file);

    while (good && !import->file.ended && import->file.frame.type == FRAME_ENTRIES)
        good = prove_record(import) && snapshot_file_next(&import->file);
    for (uint8_t c = 1; c < COLLECTIONS_MAX && good; c++) {
        struct head_state promised = head_state_of(&section->head_parsed, c);
        struct trie_root root;

        if (section->count[c] == 0)
            continue;
        root = trie_build(c, section->proved + section->from[c], section->count[c]);
        if (root.count != promised.count ||
            memcmp(&root.digest, &promised.root, sizeof(root.digest)) != 0)
            good = refuse(import, "its listings are not those that its signed head names");
    }
    return good;
}

static bool section_skip(struct import *import)
{
    bool good = true;

    while (good && !import->file.ended && import->file.frame.type == FRAME_ENTRIES)
        good = snapshot_file_next(&import->file);
    return good;
}

/* ---- writing ---- */

static bool write_begin(struct import *import)
{
    enum torg_err err = store_write_begin(import->store, &import->kv);

    if (err)
        return fail(import, err, "cannot be written to");
    import->writing = true;
    import->catalogue = (struct catalogue_writer){.themes = import->themes};
    import->bytes = 0;
    return true;
}

static bool write_end(struct import *import, bool good)
{
    enum torg_err err = TORG_OK;

    if (!import->writing)
        return good;
    if (good)
        err = catalogue_flush(&import->catalogue, &import->kv);
    if (!good || err)
        store_write_abort(&import->kv);
    else
        err = store_write_commit(&import->kv);
    catalogue_writer_done(&import->catalogue);
    import->writing = false;
    return err ? fail(import, err, "cannot be stored") : good;
}

/* TORG_E_KNOWN and what is in allowed are no failures. */
static bool apply(struct import *import, struct replica_write *write, enum torg_err allowed)
{
    struct replica_observer observer = catalogue_observer(&import->catalogue);
    enum torg_err err;

    write->origin = import->section.id;
    write->now_ms = cli_now_ms();
    err = replica_apply(&import->kv, write, &observer);
    if (!err || err == TORG_E_KNOWN || err == allowed)
        return true;
    return fail(import, err, import->section.name);
}

/* ---- entries ---- */

/* A walk through what is held, beside the proved ones from next up to end. */
struct walk {
    struct import *import;
    size_t next, end;
    const struct listing_key *last; /* what is held beyond it is the next record's; NULL: nothing */
    bool failed;
};

static bool removed_add(struct import *import, const struct listing_key *key)
{
    if (import->removed_count == import->removed_capacity) {
        size_t capacity = import->removed_capacity ? 2 * import->removed_capacity : 256;
        struct listing_key *grown =
            reallocarray(import->removed, capacity, sizeof(*import->removed));

        if (!grown)
            return false;
        import->removed = grown;
        import->removed_capacity = capacity;
    }
    import->removed[import->removed_count++] = *key;
    return true;
}

static bool walk_visit(void *context, const struct listing_key *key, struct span header,
                       struct span payload)
{
    struct walk *walk = context;
    const struct trie_entry *proved = walk->import->section.proved;

    (void)header;
    (void)payload;
    if (walk->last && memcmp(key, walk->last, sizeof(*key)) > 0)
        return false;
    while (walk->next < walk->end && memcmp(&proved[walk->next].key, key, sizeof(*key)) < 0)
        walk->next++;
    if (walk->next < walk->end && memcmp(&proved[walk->next].key, key, sizeof(*key)) == 0)
        return true;
    walk->failed = !removed_add(walk->import, key);
    return !walk->failed;
}

/* What is held between the entries of a part, and after them if they are the last. */
static bool find_removed(struct import *import, uint8_t collection, size_t begin, size_t end)
{
    static const struct listing_key lowest;
    const struct section *section = &import->section;
    size_t first = section->from[collection];
    bool is_last = end == first + section->count[collection];
    struct walk walk = {.import = import,
                        .next = begin > first ? begin - 1 : begin,
                        .end = end,
                        .last = is_last ? NULL : &section->proved[end - 1].key};
    const struct listing_key *from = begin > first ? &section->proved[begin - 1].key : &lowest;
    enum torg_err err;

    import->removed_count = 0;
    err = replica_listings(&import->kv, import->number, collection, from, walk_visit, &walk);
    if (err || walk.failed)
        return fail(import, err ? err : TORG_E_NOMEM, "what is held");
    return true;
}

static bool store_part(struct import *import, uint8_t collection,
                       const struct replica_entry *entries, size_t count)
{
    struct replica_write write = {
        .kind = REPLICA_WRITE_PART,
        .head = frame_head(buffer_span(&import->section.head)),
        .mask = COLLECTION_MASK_ALL,
        .collection = collection,
        .entries = entries,
        .entry_count = count,
    };

    if (!find_removed(import, collection, import->next, import->next + count))
        return false;
    import->next += count;
    write.removed = import->removed;
    write.removed_count = import->removed_count;
    return apply(import, &write, TORG_E_KNOWN);
}

/* One record: only what was proved. */
static bool store_record(struct import *import)
{
    const struct section *section = &import->section;
    const struct frame_list *list = &import->file.frame.entries.entries;
    struct replica_entry *entries = calloc(list->count, sizeof(*entries));
    struct profile_reader in = frame_list_reader(list);
    bool good = entries != NULL;

    if (!good)
        return fail(import, TORG_E_NOMEM, "listings");
    for (uint32_t i = 0; i < list->count && good; i++) {
        struct frame_entry bytes = frame_read_entry(&in);
        size_t at = import->next + i;

        good = at < section->proved_count &&
               !replica_entry_read(bytes.header, bytes.payload, &entries[i]) &&
               memcmp(&entries[i].key, &section->proved[at].key, sizeof(entries[i].key)) == 0 &&
               memcmp(&entries[i].header_hash, &section->proved[at].header_hash,
                      sizeof(entries[i].header_hash)) == 0;
        if (!good)
            cli_fail(COMMAND, "%s: was changed while it was read", import->file.path);
    }
    if (good && !import->writing)
        good = write_begin(import);
    if (good)
        good = store_part(import, (uint8_t)import->file.frame.entries.sid, entries, list->count);
    import->bytes += import->file.record.size;
    free(entries);
    if (good && import->bytes >= PART_BYTES_MAX)
        good = write_end(import, true);
    return good;
}

static bool store_entries(struct import *import)
{
    bool good = snapshot_file_return(&import->file, &import->section.entries) &&
                snapshot_file_next(&import->file);

    import->next = 0;
    while (good && !import->file.ended && import->file.frame.type == FRAME_ENTRIES)
        good = store_record(import) && snapshot_file_next(&import->file);
    return good;
}

/* Collections that are empty by the head, of which something is held. */
static bool empty_collections(struct import *import)
{
    struct section *section = &import->section;
    struct replica_origin origin;
    enum torg_err err = replica_origin_get(&import->kv, &section->id, &origin);
    bool good = !err || fail(import, err, section->name);

    for (uint8_t c = 1; c < COLLECTIONS_MAX && good; c++) {
        if (head_state_of(&section->head_parsed, c).count || !origin.held[c].count)
            continue;
        section->from[c] = import->next = section->proved_count;
        good = store_part(import, c, NULL, 0);
    }
    return good;
}

/* When nothing differs any more the head is taken; else it is noted, and the peers bring the rest.
 */
static bool take_head(struct import *import)
{
    struct section *section = &import->section;
    struct replica_write write = {.kind = REPLICA_WRITE_COMMIT,
                                  .head = frame_head(buffer_span(&section->head))};
    struct replica_write beat = {.kind = REPLICA_WRITE_BEAT};
    struct replica_origin origin;
    enum torg_err err = replica_origin_get(&import->kv, &section->id, &origin);

    if (err)
        return fail(import, err, section->name);
    write.collection = COLLECTION_COMPANIES;
    for (uint8_t c = 1; c < COLLECTIONS_MAX; c++) {
        struct head_state promised = head_state_of(&section->head_parsed, c);

        if (origin.held[c].count == promised.count &&
            (promised.count == 0 ||
             memcmp(&origin.held[c].digest, &promised.root, sizeof(promised.root)) == 0))
            write.mask |= UINT32_C(1) << c;
    }
    if (!apply(import, &write, TORG_E_KNOWN))
        return false;
    if (!section->beat.size)
        return true;
    beat.beat = frame_head(buffer_span(&section->beat));
    return apply(import, &beat, TORG_E_STALE);
}

/* ---- one origin ---- */

/* By its own line in the configuration. */
static bool is_pinned(struct import *import)
{
    for (size_t i = 0; i < import->config->trust_count; i++) {
        if (memcmp(&import->config->trust[i].origin, &import->section.id,
                   sizeof(import->section.id)) == 0) {
            import->trust = import->config->trust[i];
            return true;
        }
    }
    return false;
}

/* By the catalogue, as it is held here. */
static bool is_member(struct import *import)
{
    const struct config *config = import->config;
    struct replica_origin catalogue;
    struct member member;
    enum torg_err err;
    struct kv kv;

    if (!config->has_catalogue || store_read_begin(import->store, &kv))
        return false;
    err = replica_origin_get(&kv, &config->catalogue, &catalogue);
    if (!err)
        err = member_get(&kv, catalogue.number, &import->section.id, &member);
    store_read_end(&kv);
    if (err || member.status != MEMBER_ACTIVE)
        return false;
    import->trust.collections = config->collections;
    import->trust.listings = member.quota ? member.quota : config->sync.listings_per_origin;
    return true;
}

static bool is_catalogue(struct import *import)
{
    const struct config *config = import->config;

    if (!config->has_catalogue ||
        memcmp(&config->catalogue, &import->section.id, sizeof(config->catalogue)) != 0)
        return false;
    import->trust.collections = config->collections | UINT32_C(1) << COLLECTION_MEMBERS;
    import->trust.listings = config->sync.listings_per_origin;
    return true;
}

/* Is it trusted here? Then import->trust says how. */
static bool is_trusted(struct import *import)
{
    return is_pinned(import) || is_catalogue(import) || is_member(import);
}

/* More listings than are taken of it, and than are held already: torgd would not take it either. */
static bool is_over_quota(const struct import *import, const struct replica_origin *held)
{
    const struct config_trust *trust = &import->trust;
    uint64_t listings = 0, before = 0;

    for (uint8_t c = 1; c < COLLECTIONS_MAX; c++) {
        if (!(trust->collections >> c & 1))
            continue;
        listings += head_state_of(&import->section.head_parsed, c).count;
        before += held->held[c].count;
    }
    if (!trust->listings || listings <= trust->listings || listings <= before)
        return false;
    printf("%s: %" PRIu64 " listings, more than the %" PRIu32
           " that the configuration takes of it, "
           "passed over\n",
           import->section.name, listings, trust->listings);
    return true;
}

static bool take_charters_in(struct import *import)
{
    struct section *section = &import->section;
    struct replica_write write = {.kind = REPLICA_WRITE_CHARTERS,
                                  .charters = section->parsed,
                                  .charter_count = section->charter_count};

    return write_begin(import) && write_end(import, apply(import, &write, TORG_E_STALE));
}

/* What is to be done with it: *ret_wanted false after a note. */
static bool judge(struct import *import, bool *ret_wanted)
{
    struct section *section = &import->section;
    struct signed_span head = frame_head(buffer_span(&section->head));
    struct replica_origin origin;
    struct head parsed;
    struct kv kv;
    enum torg_err err = store_read_begin(import->store, &kv);

    *ret_wanted = false;
    if (err)
        return fail(import, err, "cannot be read");
    err = replica_origin_get(&kv, &section->id, &origin);
    if (!err)
        err = replica_head_check(&kv, &origin, &head, NULL, &parsed);
    store_read_end(&kv);
    import->number = origin.number;
    if (err == TORG_E_STALE ||
        (err == TORG_E_KNOWN &&
         replica_complete_mask(&origin, COLLECTION_MASK_ALL) == COLLECTION_MASK_ALL)) {
        import->held++;
        printf("%s: head %" PRIu64 " is held already%s\n", section->name, section->head_parsed.hno,
               err == TORG_E_STALE ? ", or a newer one" : "");
        return true;
    }
    if (err && err != TORG_E_KNOWN) {
        cli_fail(COMMAND, "%s: %s: its head cannot be taken: %s", import->file.path, section->name,
                 torg_err_text(err));
        return false;
    }
    *ret_wanted = !is_over_quota(import, &origin);
    import->over += !*ret_wanted;
    return true;
}

static bool import_origin(struct import *import)
{
    struct section *section = &import->section;
    bool good = section_begin(import), wanted = false;

    if (!good)
        return false;
    if (memcmp(&section->id, &import->own, sizeof(section->id)) == 0) {
        import->held++;
        printf("%s: this node's own; it comes from the peers if it must\n", section->name);
        return section_skip(import);
    }
    if (!is_trusted(import)) {
        import->untrusted++;
        printf("%s: not trusted here, passed over\n", section->name);
        return section_skip(import);
    }
    if (!take_charters_in(import) || !judge(import, &wanted))
        return false;
    if (!wanted)
        return section_skip(import);
    if (!section_prove(import))
        return false;
    good = store_entries(import);
    if (good && !import->writing)
        good = write_begin(import);
    good = good && empty_collections(import) && take_head(import);
    good = write_end(import, good);
    if (good) {
        import->taken++;
        printf("%s: head %" PRIu64 ", %zu listings, all verified\n", section->name,
               section->head_parsed.hno, section->proved_count);
    }
    return good;
}

static bool import_all(struct import *import)
{
    struct snapshot_file *file = &import->file;
    bool good = snapshot_file_check(file);

    if (good) {
        cli_progress_begin(&file->progress, "importing, bytes", file->size_bytes);
        good = snapshot_file_next(file);
    }
    while (good && !file->ended) {
        good = import_origin(import);
        section_done(&import->section);
    }
    cli_progress_end(&file->progress);
    if (good && file->snapshot.records == 0)
        printf("%s: holds no origin\n", file->path);
    if (good && import->untrusted && !import->taken && !import->held && !import->over) {
        cli_fail(COMMAND,
                 "%s: holds only origins that this node does not trust, of another federation; "
                 "\"torg peer add\" adds one by its card",
                 file->path);
        return false;
    }
    return good;
}

static bool catalogue_ready(struct import *import)
{
    struct kv kv;
    enum torg_err err = theme_tree_builtin(&import->themes);

    if (!err)
        err = store_write_begin(import->store, &kv);
    if (err)
        return fail(import, err, "cannot be written to");
    err = settings_own_get(&kv, &import->own);
    if (err && err != TORG_E_NOT_FOUND) {
        store_write_abort(&kv);
        return fail(import, err, "cannot be read");
    }
    err = catalogue_check(&kv, import->themes);
    if (!err) {
        store_write_abort(&kv);
        return true;
    }
    if (err == TORG_E_STALE)
        err = catalogue_rebuild(&kv, import->themes, NULL, NULL);
    if (err)
        store_write_abort(&kv);
    else
        err = store_write_commit(&kv);
    return err ? fail(import, err, "the index") : true;
}

int snapshot_import(struct store *store, const struct config *config, const char *path)
{
    struct import import = {.store = store, .config = config};
    bool good =
        snapshot_file_open(&import.file, path) && catalogue_ready(&import) && import_all(&import);

    snapshot_file_close(&import.file);
    section_done(&import.section);
    theme_tree_free(import.themes);
    free(import.removed);
    return good ? CLI_OK : CLI_FAILED;
}
