#include "db/db.h"
#include "db/schema.h"
#include "oci/event.h"
#include "oci/image_internal.h"
#include "oci/json.h"
#include "oci/store.h"
#include "util/time.h"

#include <string.h>

static int put_reference(struct db *db, const char *reference, const char *id, struct err *e)
{
    int64_t now = time_real_ns();
    int r;

    r = db_exec(db, e,
                "INSERT INTO images (reference, image_id, manifest_digest, added_ns, used_ns)"
                " SELECT ?1, image_id, manifest_digest, ?3, ?3 FROM image_content"
                " WHERE image_id = ?2"
                " ON CONFLICT (reference) DO UPDATE SET image_id = excluded.image_id,"
                " manifest_digest = excluded.manifest_digest, added_ns = excluded.added_ns,"
                " repo_digest = ''",
                "ssl", reference, id, now);
    if (r < 0)
        return r;
    return r > 0 ? 0 : err_set(e, ERR_NOT_FOUND, "No such image: %s", id);
}

struct naming {
    const char *reference, *id;
};

static int tag_run(struct db *db, void *user, struct err *e)
{
    const struct naming *n = user;
    int r;

    r = put_reference(db, n->reference, n->id, e);
    return r < 0 ? r : image_event(db, "tag", n->id, n->reference, e);
}

int image_tag(struct db *db, const char *home UNUSED, const char *from, const char *to,
              struct err *e)
{
    autofree char *id = NULL;
    struct ref ref, ignored;
    char full[REF_TEXT_MAX];
    int r;

    r = ref_parse(to, &ref, e);
    if (r < 0)
        return r;
    if (ref.digest[0])
        return err_set(e, ERR_INVALID, "Cannot tag '%s': a tag cannot have a digest", to);
    r = image_resolve(db, from, &ignored, &id, e);
    if (r < 0)
        return r;
    ref_full(&ref, full);
    return db_transaction(db, tag_run, &(struct naming){ full, id }, e);
}

int image_pulled(struct db *db, const char *full, char **ret_id, char **ret_digest, struct err *e)
{
    autofree char *id = NULL, *digest = NULL;
    autostmt st = { 0 };
    int r;

    r = stmt_open(db, &st, e,
                  "SELECT image_id, repo_digest FROM images"
                  " WHERE reference = ? AND repo_digest <> ''",
                  "s", full);
    if (r >= 0)
        r = stmt_step(&st, e);
    if (r < 0)
        return r;
    if (r == 0)
        return err_set(e, ERR_NOT_FOUND, "No such image: %s", full);
    id = strdup(stmt_text(&st, 0));
    digest = strdup(stmt_text(&st, 1));
    if (!id || !digest)
        return err_os(e, "image");
    *ret_id = take_ptr(id);
    *ret_digest = take_ptr(digest);
    return 0;
}

struct pulled {
    const char *full, *id, *repo_digest;
};

static int pulled_run(struct db *db, void *user, struct err *e)
{
    const struct pulled *p = user;
    int r;

    r = put_reference(db, p->full, p->id, e);
    if (r == 0)
        r = db_exec(db, e,
                    "UPDATE images SET repo_digest = ? WHERE reference = ? AND image_id = ?",
                    "sss", p->repo_digest, p->full, p->id);
    return r < 0 ? r : image_event(db, "pull", p->id, p->full, e);
}

int image_put_pulled(struct db *db, const char *full, const char *manifest_digest,
                     const char *repo_digest, char **ret_id, struct err *e)
{
    autofree char *id = NULL;
    autostmt st = { 0 };
    int r;

    r = stmt_open(db, &st, e, "SELECT image_id FROM image_content WHERE manifest_digest = ?", "s",
                  manifest_digest);
    if (r >= 0)
        r = stmt_step(&st, e);
    if (r < 0)
        return r;
    if (r == 0)
        return err_set(e, ERR_NOT_FOUND, "No such image: %s", manifest_digest);
    id = strdup(stmt_text(&st, 0));
    stmt_done(&st);
    if (!id)
        return err_os(e, "image");
    r = db_transaction(db, pulled_run, &(struct pulled){ full, id, repo_digest }, e);
    if (r < 0)
        return r;
    *ret_id = take_ptr(id);
    return 0;
}

struct removal {
    const char *query;
    bool force;
    bool unused;    /* only when no box uses it */
    struct ref ref; /* name is "" when asked for by id */
    char *id;
    char **references; /* that go */
    char **digests;    /* what each of all was pulled by; "": it was not */
    bool whole;        /* the content goes as well */
    char **blobs;      /* whose files can go */
    char *chain_id;    /* whose file can go, or NULL */
    uint64_t freed;    /* bytes on the disk */
};

static void removal_done(struct removal *rm)
{
    free(rm->id);
    free(rm->chain_id);
    strv_free(rm->references);
    strv_free(rm->digests);
    strv_free(rm->blobs);
}

int image_query_strv(struct db *db, char ***ret, struct err *e, const char *sql, const char *arg)
{
    char **v = calloc(1, sizeof(*v));
    autostmt st = { 0 };
    size_t n = 0;
    int r;

    if (!v)
        return err_os(e, "image");
    r = stmt_open(db, &st, e, sql, arg ? "s" : "", arg);
    while (r >= 0 && (r = stmt_step(&st, e)) > 0) {
        char **grown = realloc(v, (n + 2) * sizeof(*v));

        v = grown ? grown : v;
        if (grown)
            v[n] = strdup(stmt_text(&st, 0));
        if (!grown || !v[n]) {
            r = err_os(e, "image");
            break;
        }
        v[++n] = NULL;
    }
    if (r < 0) {
        strv_free(v);
        return r;
    }
    *ret = v;
    return 0;
}

static size_t count(char **v)
{
    size_t n = 0;

    while (v[n])
        n++;
    return n;
}

/* Sets rm->whole: no box needs the content any more. */
static int check_users(struct db *db, struct removal *rm, struct err *e)
{
    autostmt st = { 0 };
    const char *box;
    bool live;
    int r;

    rm->whole = true;
    r = stmt_open(db, &st, e,
                  "SELECT substr(id, 1, 12),"
                  " state IN " DB_LIVE_STATES " AS live"
                  " FROM boxes WHERE image_id = ? ORDER BY live DESC LIMIT 1",
                  "s", rm->id);
    if (r >= 0)
        r = stmt_step(&st, e);
    if (r <= 0)
        return r;
    box = stmt_text(&st, 0);
    live = stmt_i64(&st, 1) != 0;
    if (live)
        return err_set(
            e, ERR_STATE,
            "conflict: unable to delete %s (cannot be forced) - image is being used by "
            "running box %s",
            rm->query, box);
    if (!rm->ref.name[0] && (!rm->force || rm->unused))
        return err_set(e, ERR_STATE,
                       "conflict: unable to delete %.12s (must be forced) - image is being used "
                       "by stopped box %s",
                       rm->id + strlen("sha256:"), box);
    if (!rm->force)
        return err_set(e, ERR_STATE,
                       "conflict: unable to remove repository reference \"%s\" (must force) - "
                       "box %s is using its referenced image %.12s",
                       rm->query, box, rm->id + strlen("sha256:"));
    rm->whole = false;
    return 0;
}

static int choose(struct db *db, struct removal *rm, struct err *e)
{
    char full[REF_TEXT_MAX];
    int r;

    r = image_resolve(db, rm->query, &rm->ref, &rm->id, e);
    if (r == 0)
        r = image_query_strv(db, &rm->references, e,
                             "SELECT reference FROM images WHERE image_id = ? ORDER BY reference",
                             rm->id);
    if (r == 0)
        r = image_query_strv(
            db, &rm->digests, e,
            "SELECT repo_digest FROM images WHERE image_id = ? ORDER BY reference", rm->id);
    if (r < 0)
        return r;
    if (rm->ref.name[0] && !rm->ref.digest[0] && count(rm->references) > 1) {
        ref_full(&rm->ref, full);
        for (size_t i = 0; rm->references[i]; i++)
            rm->references[i][0] = strcmp(rm->references[i], full) == 0 ? full[0] : '\0';
        return 0; /* just this name; the others are marked as staying */
    }
    if (!rm->ref.name[0] && count(rm->references) > 1 && !rm->force)
        return err_set(e, ERR_STATE,
                       "conflict: unable to delete %.12s (must be forced) - image is referenced "
                       "in multiple repositories",
                       rm->id + strlen("sha256:"));
    return check_users(db, rm, e);
}

static int forget_content(struct db *db, struct removal *rm, struct err *e)
{
    autostmt st = { 0 };
    int r;

    r = image_query_strv(db, &rm->blobs, e,
                         "SELECT digest FROM image_blobs WHERE image_id = ?1 AND digest NOT IN"
                         " (SELECT digest FROM image_blobs WHERE image_id <> ?1)",
                         rm->id);
    if (r == 0)
        r = stmt_open(db, &st, e,
                      "SELECT chain_id FROM image_content WHERE image_id = ?1 AND chain_id NOT IN"
                      " (SELECT chain_id FROM image_content WHERE image_id <> ?1)",
                      "s", rm->id);
    if (r >= 0)
        r = stmt_step(&st, e);
    if (r > 0) {
        rm->chain_id = strdup(stmt_text(&st, 0));
        r = rm->chain_id ? 0 : err_os(e, "image");
    }
    if (r == 0)
        r = db_exec(db, e, "DELETE FROM image_blobs WHERE image_id = ?", "s", rm->id);
    if (r >= 0)
        r = db_exec(db, e, "DELETE FROM image_layers WHERE image_id = ?", "s", rm->id);
    if (r >= 0)
        r = db_exec(db, e, "DELETE FROM image_content WHERE image_id = ?", "s", rm->id);
    return r < 0 ? r : 0;
}

static int forget_name(struct db *db, const struct removal *rm, const char *reference,
                       struct err *e)
{
    int r = db_exec(db, e, "DELETE FROM images WHERE reference = ?", "s", reference);

    return r < 0 ? r : image_event(db, "untag", rm->id, reference, e);
}

static int remove_records(struct db *db, void *user, struct err *e)
{
    struct removal *rm = user;
    int r;

    r = choose(db, rm, e);
    for (size_t i = 0; r >= 0 && rm->references[i]; i++)
        if (rm->references[i][0])
            r = forget_name(db, rm, rm->references[i], e);
    if (r >= 0 && rm->whole)
        r = forget_content(db, rm, e);
    if (r >= 0 && rm->whole)
        r = image_event(db, "delete", rm->id, NULL, e);
    return r < 0 ? r : 0;
}

/* Records are gone: what cannot be unlinked now is garbage, not damage. */
static void remove_file(struct removal *rm, char *own_path)
{
    uint64_t bytes = own_path ? store_disk_bytes(own_path) : 0;

    if (own_path && unlink(own_path) == 0)
        rm->freed += bytes;
    free(own_path);
}

static void remove_files(const char *home, struct removal *rm)
{
    if (rm->chain_id)
        remove_file(rm, image_rootfs_path(home, rm->chain_id));
    for (size_t i = 0; rm->blobs && rm->blobs[i]; i++)
        remove_file(rm, store_blob_path(home, rm->blobs[i]));
}

static void report_line(image_removed_fn *removed, void *ctx, const char *what, const char *text)
{
    char line[REF_TEXT_MAX + 32];

    (void)snprintf(line, sizeof(line), "%s: %s", what, text);
    removed(ctx, line);
}

/* "name@sha256:..." of what the i-th reference was pulled by, for the last of this name that
 * goes; false: there is no such. */
static bool digest_goes(const struct removal *rm, size_t i, char ret[REF_TEXT_MAX])
{
    struct ref ref, other;
    struct err e;

    if (!rm->digests[i][0] || ref_parse(rm->references[i], &ref, &e) < 0 || ref.digest[0])
        return false;
    for (size_t j = i + 1; rm->references[j]; j++)
        if (!strcmp(rm->digests[i], rm->digests[j]) &&
            ref_parse(rm->references[j], &other, &e) == 0 && !strcmp(ref.name, other.name))
            return false;
    ref.tag[0] = '\0';
    (void)snprintf(ref.digest, sizeof(ref.digest), "%s", rm->digests[i]);
    ref_familiar(&ref, ret);
    return true;
}

static void report(const struct removal *rm, image_removed_fn *removed, void *ctx)
{
    char pulled_by[REF_TEXT_MAX];

    for (size_t i = 0; rm->references[i]; i++) {
        if (!rm->references[i][0])
            continue;
        report_line(removed, ctx, "Untagged", ref_familiar_name(rm->references[i]));
        if (rm->whole && digest_goes(rm, i, pulled_by))
            report_line(removed, ctx, "Untagged", pulled_by);
    }
    if (rm->whole)
        report_line(removed, ctx, "Deleted", rm->id);
}

static int remove_image(struct db *db, const char *home, struct removal *rm,
                        image_removed_fn *removed, void *ctx, struct err *e)
{
    int r = db_transaction(db, remove_records, rm, e);

    if (r >= 0) {
        remove_files(home, rm);
        report(rm, removed, ctx);
    }
    removal_done(rm);
    return r < 0 ? r : 0;
}

int image_remove(struct db *db, const char *home, const char *query, bool force,
                 image_removed_fn *removed, void *ctx, struct err *e)
{
    struct removal rm = { .query = query, .force = force };
    autofd int lock = store_lock(home, e);

    return lock < 0 ? lock : remove_image(db, home, &rm, removed, ctx, e);
}

int image_evict(struct db *db, const char *home, const char *id, image_removed_fn *removed,
                void *ctx, uint64_t *freed, struct err *e)
{
    struct removal rm = { .query = id, .force = true, .unused = true };
    int r = remove_image(db, home, &rm, removed, ctx, e);

    *freed += rm.freed;
    return r;
}
