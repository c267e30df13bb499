#include "oci/image.h"

#include "db/db.h"
#include "oci/image_internal.h"
#include "oci/json.h"
#include "oci/ref.h"
#include "oci/store.h"
#include "util/fs.h"
#include "util/time.h"

#include <fcntl.h>
#include <string.h>

void image_free(struct image *img)
{
    if (!img)
        return;
    free(img->id);
    free(img->manifest_digest);
    strv_free(img->references);
    strv_free(img->repo_digests);
    free(img->architecture);
    free(img->os);
    free(img->variant);
    free(img->chain_id);
    free(img->rootfs);
    strv_free(img->env);
    strv_free(img->cmd);
    strv_free(img->entrypoint);
    strv_free(img->onbuild);
    strv_free(img->shell);
    free(img->working_dir);
    free(img->user);
    free(img->stop_signal);
    json_decref(img->labels);
    json_decref(img->exposed_ports);
    json_decref(img->volumes);
    json_decref(img->healthcheck);
    json_decref(img->config);
    free(img);
}

char *image_rootfs_path(const char *home, const char *chain_id)
{
    return str_format("%s/rootfs/%s.ext4", home, chain_id);
}

static int copy_str(const json_t *o, const char *key, char **ret, struct err *e)
{
    const char *text = NULL;
    int r;

    r = json_get_str(o, key, &text, e);
    if (r < 0)
        return r;
    *ret = strdup(text ? text : "");
    return *ret ? 0 : err_os(e, "image");
}

static int copy_obj(const json_t *o, const char *key, json_t **ret, struct err *e)
{
    json_t *v = NULL;
    int r;

    r = json_get_obj(o, key, &v, e);
    if (r < 0)
        return r;
    *ret = v ? json_incref(v) : json_object();
    return *ret ? 0 : err_os(e, "image");
}

static bool is_set(const json_t *o, const char *key)
{
    return json_is_array(json_object_get(o, key));
}

/* The "config" object of a configuration blob: what a box takes over. */
static int read_config(struct image *img, const json_t *c, struct err *e)
{
    json_t *health = NULL;
    int r;

    r = json_get_strv(c, "Env", &img->env, e);
    if (r == 0)
        r = json_get_strv(c, "Cmd", &img->cmd, e);
    if (r == 0)
        r = json_get_strv(c, "Entrypoint", &img->entrypoint, e);
    if (r == 0)
        r = json_get_strv(c, "OnBuild", &img->onbuild, e);
    if (r == 0)
        r = json_get_strv(c, "Shell", &img->shell, e);
    if (r == 0)
        r = copy_str(c, "WorkingDir", &img->working_dir, e);
    if (r == 0)
        r = copy_str(c, "User", &img->user, e);
    if (r == 0)
        r = copy_str(c, "StopSignal", &img->stop_signal, e);
    if (r == 0)
        r = copy_obj(c, "Labels", &img->labels, e);
    if (r == 0)
        r = copy_obj(c, "ExposedPorts", &img->exposed_ports, e);
    if (r == 0)
        r = copy_obj(c, "Volumes", &img->volumes, e);
    if (r == 0)
        r = json_get_obj(c, "Healthcheck", &health, e);
    if (r < 0)
        return r;
    img->healthcheck = json_incref(health);
    img->cmd_set = is_set(c, "Cmd");
    img->entrypoint_set = is_set(c, "Entrypoint");
    return 0;
}

int image_read_config(struct image *img, const void *text, size_t len, struct err *e)
{
    json_t *config = NULL;
    int r;

    r = json_parse(text, len, "image configuration", &img->config, e);
    if (r < 0)
        return r;
    r = copy_str(img->config, "architecture", &img->architecture, e);
    if (r == 0)
        r = copy_str(img->config, "os", &img->os, e);
    if (r == 0)
        r = copy_str(img->config, "variant", &img->variant, e);
    if (r == 0)
        r = json_get_obj(img->config, "config", &config, e);
    if (r == 0)
        r = read_config(img, config, e);
    return r < 0 ? err_ctx(e, "image configuration") : 0;
}

static int read_config_blob(const char *home, struct image *img, struct err *e)
{
    autofree char *path = store_blob_path(home, img->id);
    autostr text = STR_INIT(JSON_DOC_MAX);
    int r;

    if (!path)
        return err_os(e, "image");
    r = fs_read_file(AT_FDCWD, path, &text, e);
    return r < 0 ? r : image_read_config(img, str_c(&text), text.len, e);
}

static int push(char ***v, size_t n, char *own_text, struct err *e)
{
    char **grown = own_text ? realloc(*v, (n + 2) * sizeof(*grown)) : NULL;

    if (!grown) {
        free(own_text);
        return err_os(e, "image");
    }
    grown[n] = own_text;
    grown[n + 1] = NULL;
    *v = grown;
    return 0;
}

static int read_references(struct db *db, struct image *img, struct err *e)
{
    autostmt st = { 0 };
    size_t n = 0;
    int r;

    img->references = calloc(1, sizeof(char *));
    img->repo_digests = calloc(1, sizeof(char *));
    if (!img->references || !img->repo_digests)
        return err_os(e, "image");
    r = stmt_open(db, &st, e,
                  "SELECT reference, coalesce(nullif(repo_digest, ''), manifest_digest), added_ns"
                  " FROM images WHERE image_id = ? ORDER BY reference",
                  "s", img->id);
    while (r >= 0 && (r = stmt_step(&st, e)) > 0) {
        struct ref ref;

        r = ref_parse(stmt_text(&st, 0), &ref, e);
        if (r == 0)
            r = push(&img->references, n, strdup(stmt_text(&st, 0)), e);
        if (r == 0)
            r = push(&img->repo_digests, n, str_format("%s@%s", ref.name, stmt_text(&st, 1)), e);
        if (stmt_i64(&st, 2) > img->loaded_ns)
            img->loaded_ns = stmt_i64(&st, 2);
        n++;
    }
    return r;
}

/* By the exact id. */
static int image_load(struct db *db, const char *home, const char *id, struct image **ret,
                      struct err *e)
{
    autoptr(image) img = calloc(1, sizeof(*img));
    autostmt st = { 0 };
    int r;

    if (!img)
        return err_os(e, "image");
    r = stmt_open(db, &st, e,
                  "SELECT manifest_digest, chain_id, size_bytes, created_ns FROM image_content"
                  " WHERE image_id = ?",
                  "s", id);
    if (r >= 0)
        r = stmt_step(&st, e);
    if (r < 0)
        return r;
    if (r == 0)
        return err_set(e, ERR_NOT_FOUND, "No such image: %s", id);
    img->id = strdup(id);
    img->manifest_digest = strdup(stmt_text(&st, 0));
    img->chain_id = strdup(stmt_text(&st, 1));
    img->size = (uint64_t)stmt_i64(&st, 2);
    img->created_ns = stmt_i64(&st, 3);
    img->rootfs = image_rootfs_path(home, stmt_text(&st, 1));
    if (!img->id || !img->manifest_digest || !img->chain_id || !img->rootfs)
        return err_os(e, "image");
    r = read_references(db, img, e);
    if (r == 0)
        r = read_config_blob(home, img, e);
    if (r < 0)
        return err_ctx(e, "image %.19s", id);
    *ret = take_ptr(img);
    return 0;
}

/* The one text column of the only row; NOT_FOUND without a row, INVALID for several. */
static int only_row(struct stmt *st, char **ret, struct err *e)
{
    autofree char *found = NULL;
    int r;

    r = stmt_step(st, e);
    if (r < 0)
        return r;
    if (r == 0)
        return err_set(e, ERR_NOT_FOUND, "no row");
    found = strdup(stmt_text(st, 0));
    if (!found)
        return err_os(e, "image");
    r = stmt_step(st, e);
    if (r < 0)
        return r;
    if (r > 0)
        return err_set(e, ERR_INVALID, "several rows");
    *ret = take_ptr(found);
    return 0;
}

/* By digest: what was pulled under just that name; else any tag of that repository whose manifest
 * it is (an index stands for several, when several of its platforms were pulled). */
static int find_digest(struct db *db, const struct ref *ref, char **ret, struct err *e)
{
    autostmt st = { 0 };
    int r;

    r = stmt_open(db, &st, e, "SELECT image_id FROM images WHERE reference = ?1 || '@' || ?2",
                  "ss", ref->name, ref->digest);
    if (r >= 0)
        r = only_row(&st, ret, e);
    if (r != -(int)ERR_NOT_FOUND)
        return r;
    err_clear(e);
    stmt_done(&st);
    r = stmt_open(db, &st, e,
                  "SELECT DISTINCT image_id FROM images WHERE (manifest_digest = ?1 OR"
                  " repo_digest = ?1 OR image_id = ?1) AND (substr(reference, 1, length(?2) "
                  "+ 1) = ?2 || ':' OR"
                  " substr(reference, 1, length(?2) + 1) = ?2 || '@')",
                  "ss", ref->digest, ref->name);
    return r < 0 ? r : only_row(&st, ret, e);
}

static int find_reference(struct db *db, const struct ref *ref, char **ret, struct err *e)
{
    autostmt st = { 0 };
    char full[REF_TEXT_MAX];
    int r;

    if (ref->digest[0])
        return find_digest(db, ref, ret, e);
    ref_full(ref, full);
    r = stmt_open(db, &st, e, "SELECT image_id FROM images WHERE reference = ?", "s", full);
    return r < 0 ? r : only_row(&st, ret, e);
}

static int find_id(struct db *db, const char *query, char **ret, struct err *e)
{
    const char *hex = strncmp(query, "sha256:", 7) == 0 ? query + 7 : query;
    size_t n = strspn(hex, "0123456789abcdef");
    autofree char *low = NULL, *high = NULL;
    autostmt st = { 0 };
    int r;

    if (n == 0 || n > 64 || hex[n])
        return err_set(e, ERR_NOT_FOUND, "not an id");
    low = str_format("sha256:%s", hex);
    high = str_format("sha256:%sg", hex); /* behind every digit */
    if (!low || !high)
        return err_os(e, "image");
    r = stmt_open(db, &st, e,
                  "SELECT image_id FROM image_content WHERE image_id >= ? AND image_id < ?", "ss",
                  low, high);
    return r < 0 ? r : only_row(&st, ret, e);
}

int image_resolve(struct db *db, const char *query, struct ref *ret_ref, char **ret_id,
                  struct err *e)
{
    struct err why = { 0 };
    bool several = false;
    struct ref ref;
    int r;

    ret_ref->name[0] = '\0';
    r = ref_parse(query, &ref, &why);
    if (r == 0) {
        r = find_reference(db, &ref, ret_id, &why);
        several = r == -(int)ERR_INVALID;
        if (r == 0)
            *ret_ref = ref;
    }
    if (r == -(int)ERR_NOT_FOUND || r == -ERR_INVALID) {
        err_clear(&why);
        r = find_id(db, query, ret_id, &why);
        if (r == -(int)ERR_NOT_FOUND && several)
            r = -(int)ERR_INVALID;
    }
    if (r == -(int)ERR_NOT_FOUND)
        return err_set(e, ERR_NOT_FOUND, "No such image: %s", query);
    if (r == -(int)ERR_INVALID)
        return err_set(e, ERR_INVALID, "Ambiguous image \"%s\": it fits several images", query);
    if (r < 0)
        *e = why;
    return r;
}

int image_lookup(struct db *db, const char *home, const char *query, struct image **ret,
                 struct err *e)
{
    autofree char *id = NULL;
    struct ref ref;
    int r;

    r = image_resolve(db, query, &ref, &id, e);
    return r < 0 ? r : image_load(db, home, id, ret, e);
}

int image_named(struct db *db, const char *query, struct err *e)
{
    autofree char *id = NULL;
    autostmt st = { 0 };
    struct err ignored;
    struct ref ref;
    int r;

    if (ref_parse(query, &ref, &ignored) == 0 && !ref.has_tag && !ref.digest[0]) {
        r = stmt_open(db, &st, e,
                      "SELECT 1 FROM images WHERE substr(reference, 1, length(?1) + 1) ="
                      " ?1 || ':'",
                      "s", ref.name);
        if (r >= 0)
            r = stmt_step(&st, e);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    return image_resolve(db, query, &ref, &id, e);
}

void image_list_done(struct image_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        image_free(list->v[i]);
    free(list->v);
    *list = (struct image_list){ 0 };
}

static int list_ids(struct db *db, char ***ret, struct err *e)
{
    autostmt st = { 0 };
    char **ids = NULL;
    size_t n = 0;
    int r;

    r = stmt_open(db, &st, e,
                  "SELECT image_id FROM image_content ORDER BY created_ns DESC, image_id", "");
    while (r >= 0 && (r = stmt_step(&st, e)) > 0)
        r = push(&ids, n++, strdup(stmt_text(&st, 0)), e);
    if (r < 0)
        strv_free(ids);
    else
        *ret = ids; /* NULL when there are none */
    return r;
}

/* Ids first: while a query is open it shows what was there when it began, and the files of an
 * image that is being removed may be gone already. */
int image_list(struct db *db, const char *home, struct image_list *ret, struct err *e)
{
    struct image_list list = { 0 };
    char **ids = NULL;
    size_t n = 0;
    int r;

    r = list_ids(db, &ids, e);
    while (r == 0 && ids && ids[n])
        n++;
    list.v = calloc(n + 1, sizeof(struct image *));
    if (r == 0 && !list.v)
        r = err_os(e, "image list");
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct err gone = { 0 };

        r = image_load(db, home, ids[i], &list.v[list.n], e);
        list.n += r == 0;
        if (r == -(int)ERR_NOT_FOUND && image_exists(db, ids[i], &gone) == -(int)ERR_NOT_FOUND) {
            err_clear(e);
            r = 0;
        }
    }
    strv_free(ids);
    if (r < 0) {
        image_list_done(&list);
        return r;
    }
    *ret = list;
    return 0;
}

int image_exists(struct db *db, const char *id, struct err *e)
{
    autostmt st = { 0 };
    int r;

    r = stmt_open(db, &st, e, "SELECT 1 FROM image_content WHERE image_id = ?", "s", id);
    if (r >= 0)
        r = stmt_step(&st, e);
    if (r < 0)
        return r;
    return r ? 0 : err_set(e, ERR_NOT_FOUND, "No such image: %s", id);
}

#define TOUCH_EVERY_NS (30 * (int64_t)NS_PER_S) /* run makes and starts: one write is enough */

int image_used(struct db *db, const char *id, struct err *e)
{
    int64_t now = time_real_ns();
    int r = db_exec(db, e,
                    "UPDATE image_content SET used_ns = ?1 WHERE image_id = ?2 AND"
                    " used_ns NOT BETWEEN ?3 AND ?1",
                    "lsl", now, id, now - TOUCH_EVERY_NS);

    return r < 0 ? r : 0;
}

int image_touch(struct db *db, const struct image *img, struct err *e)
{
    return image_used(db, img->id, e);
}
