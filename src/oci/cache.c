#include "oci/cache.h"

#include "db/db.h"
#include "db/schema.h"
#include "oci/image_internal.h"
#include "oci/json.h"
#include "oci/partial.h"
#include "oci/store.h"
#include "util/parse.h"
#include "util/time.h"

#include <string.h>

#define SIZE_DEFAULT   ((uint64_t)10 << 30)
#define TTL_DEFAULT_NS (UINT64_C(720) * 3600 * NS_PER_S) /* 30 days */

static int read_size(const char *name, uint64_t *ret, struct err *e)
{
    const char *text = getenv(name);
    struct err ignored;

    *ret = SIZE_DEFAULT;
    if (!text || !*text || parse_size(text, 1, 0, INT64_MAX, ret, &ignored) == 0)
        return 0;
    return err_set(e, ERR_INVALID, "%s: '%.64s' is not a size (for example 500m, 10g, 1t)", name,
                   text);
}

int cache_limits_read(struct cache_limits *ret, struct err *e)
{
    const char *ttl = getenv("A3S_ROOTFS_CACHE_TTL");
    struct cache_limits limits = { .rootfs_ttl_ns = TTL_DEFAULT_NS };
    struct err ignored;
    int r;

    r = read_size("A3S_IMAGE_CACHE_SIZE", &limits.images_bytes, e);
    if (r == 0)
        r = read_size("A3S_ROOTFS_CACHE_SIZE", &limits.rootfs_bytes, e);
    if (r < 0)
        return r;
    if (ttl && *ttl && parse_duration(ttl, &limits.rootfs_ttl_ns, &ignored) < 0)
        return err_set(e, ERR_INVALID,
                       "A3S_ROOTFS_CACHE_TTL: '%.64s' is not a duration (for example 12h, 30d)",
                       ttl);
    *ret = limits;
    return 0;
}

/* ---- images ---- */

/* Of the distinct digests a query gives. */
static int sum_blobs(struct db *db, const char *home, const char *sql, uint64_t *ret,
                     struct err *e)
{
    autostmt st = { 0 };
    int r;

    *ret = 0;
    r = stmt_open(db, &st, e, sql, "");
    while (r >= 0 && (r = stmt_step(&st, e)) > 0) {
        autofree char *path = store_blob_path(home, stmt_text(&st, 0));

        *ret += path ? store_disk_bytes(path) : 0;
    }
    return r;
}

static bool is_kept(char *const *keep, const char *id)
{
    for (; keep && *keep; keep++)
        if (strcmp(*keep, id) == 0)
            return true;
    return false;
}

static void say_nothing(void *ctx UNUSED, const char *line UNUSED)
{
}

static int trim_images(struct db *db, const char *home, uint64_t max, char *const *keep,
                       struct err *e)
{
    char **ids = NULL;
    uint64_t total;
    int r;

    r = sum_blobs(db, home, "SELECT DISTINCT digest FROM image_blobs", &total, e);
    if (r < 0 || total <= max)
        return r;
    r = image_query_strv(db, &ids, e,
                         "SELECT image_id FROM image_content WHERE image_id NOT IN"
                         " (SELECT image_id FROM boxes) ORDER BY used_ns, image_id",
                         NULL);
    for (size_t i = 0; r == 0 && ids[i] && total > max; i++) {
        uint64_t freed = 0;

        if (is_kept(keep, ids[i]))
            continue;
        r = image_evict(db, home, ids[i], say_nothing, NULL, &freed, e);
        total -= freed < total ? freed : total;
        if (r == -ERR_STATE || r == -ERR_NOT_FOUND) { /* a box was made of it just now */
            err_clear(e);
            r = 0;
        }
    }
    strv_free(ids);
    return r;
}

/* ---- file systems ---- */

struct rootfs_removal {
    const char *home, *chain;
    int64_t before_ns; /* not when used later than this */
    uint64_t freed;
};

/* The file goes within the transaction: a start says first that it uses the image, then looks for
 * the file. */
static int remove_rootfs(struct db *db, void *user, struct err *e)
{
    struct rootfs_removal *rm = user;
    autofree char *path = image_rootfs_path(rm->home, rm->chain);
    autostmt st = { 0 };
    uint64_t bytes;
    int r;

    if (!path)
        return err_os(e, "root file system");
    r = stmt_open(db, &st, e,
                  "SELECT 1 FROM image_content c WHERE chain_id = ?1 AND (used_ns > ?2 OR"
                  " EXISTS (SELECT 1 FROM boxes b WHERE b.image_id = c.image_id AND b.state IN"
                  " " DB_LIVE_STATES "))",
                  "sl", rm->chain, rm->before_ns);
    if (r >= 0)
        r = stmt_step(&st, e);
    if (r != 0)
        return r;
    bytes = store_disk_bytes(path);
    if (unlink(path) == 0)
        rm->freed += bytes;
    return 0;
}

struct rootfs_trim {
    struct db *db;
    const char *home;
    char **chains; /* the longest unused first; owned */
    uint64_t freed;
};

/* Until `total` is not more than `max`. */
static int trim_chains(struct rootfs_trim *t, int64_t before_ns, uint64_t total, uint64_t max,
                       struct err *e)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && t->chains[i] && total > max; i++) {
        struct rootfs_removal rm = { .home = t->home,
                                     .chain = t->chains[i],
                                     .before_ns = before_ns };

        r = db_transaction(t->db, remove_rootfs, &rm, e);
        total -= rm.freed < total ? rm.freed : total;
        t->freed += rm.freed;
    }
    return r < 0 ? r : 0;
}

static uint64_t sum_chains(const char *home, char *const *chains)
{
    uint64_t total = 0;

    for (size_t i = 0; chains[i]; i++) {
        autofree char *path = image_rootfs_path(home, chains[i]);

        total += path ? store_disk_bytes(path) : 0;
    }
    return total;
}

int cache_trim_rootfs(struct db *db, const char *home, const struct cache_limits *limits,
                      uint64_t *ret_freed, struct err *e)
{
    int64_t now = time_real_ns(), grace = now - ROOTFS_GRACE_S * (int64_t)NS_PER_S, old;
    struct rootfs_trim t = { .db = db, .home = home };
    uint64_t total;
    int r;

    r = image_query_strv(db, &t.chains, e,
                         "SELECT chain_id FROM image_content GROUP BY chain_id"
                         " ORDER BY max(used_ns), chain_id",
                         NULL);
    if (r < 0)
        return r;
    old = limits->rootfs_ttl_ns < (uint64_t)now ? now - (int64_t)limits->rootfs_ttl_ns : 0;
    total = sum_chains(home, t.chains);
    r = trim_chains(&t, old < grace ? old : grace, UINT64_MAX, 0, e); /* those that are too old */
    if (r == 0)
        r = trim_chains(&t, grace, total - t.freed, limits->rootfs_bytes, e);
    strv_free(t.chains);
    *ret_freed = t.freed;
    return r;
}

int cache_trim(struct db *db, const char *home, const struct cache_limits *limits,
               char *const *keep, struct err *e)
{
    autofd int lock = store_lock(home, e);
    uint64_t freed;
    int r;

    if (lock < 0)
        return lock;
    r = trim_images(db, home, limits->images_bytes, keep, e);
    return r < 0 ? r : cache_trim_rootfs(db, home, limits, &freed, e);
}

int cache_sweep(struct db *db, const char *home, uint64_t *ret_freed, struct err *e)
{
    autofd int lock = store_lock(home, e);
    uint64_t freed = 0, partial = 0;
    int r;

    if (lock < 0)
        return lock;
    r = store_sweep(home, &freed, e);
    if (r == 0)
        r = partial_sweep(home, PARTIAL_SWEEP_ALL, &partial, e);
    if (r == 0)
        r = content_sweep(db, home, &freed, e);
    *ret_freed = freed + partial;
    return r;
}
