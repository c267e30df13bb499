#include "oci/fsck.h"

#include "db/db.h"
#include "oci/content.h"
#include "oci/fsck_internal.h"
#include "oci/image_internal.h"
#include "oci/install.h"
#include "oci/store.h"
#include "util/fd.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#define LINE_MAX_BYTES (ERR_TEXT_MAX + 512)

void fsck_found(struct fsck *f, const char *fmt, ...)
{
    autostr line = STR_INIT(LINE_MAX_BYTES);
    va_list ap;

    va_start(ap, fmt);
    (void)str_vaddf(&line, fmt, ap);
    va_end(ap);
    f->found(f->ctx, str_c(&line));
    f->findings++;
}

/* ---- records ---- */

/* Rows that belong to an image that is not there. */
static int orphans(struct fsck *f, const char *table, const char *key, struct err *e)
{
    autofree char *where = str_format("FROM %s WHERE image_id NOT IN"
                                      " (SELECT image_id FROM image_content)",
                                      table);
    autofree char *select = where ? str_format("SELECT DISTINCT %s %s", key, where) : NULL;
    autofree char *remove = where ? str_format("DELETE %s", where) : NULL;
    char **keys = NULL;
    int r;

    if (!select || !remove)
        return err_os(e, "fsck");
    r = image_query_strv(f->db, &keys, e, select, NULL);
    for (size_t i = 0; r == 0 && keys[i]; i++)
        fsck_found(f, "unreferenced record %s in %s: its image is not in the store", keys[i],
                   table);
    if (r == 0 && f->repair && keys[0])
        r = db_exec(f->db, e, remove, "");
    for (size_t i = 0; r > 0 && keys[i]; i++)
        f->findings--;
    strv_free(keys);
    return r < 0 ? r : 0;
}

static int boxes(struct fsck *f, struct err *e)
{
    char **ids = NULL;
    int r;

    r = image_query_strv(f->db, &ids, e,
                         "SELECT substr(id, 1, 12) || ': its image ' || image_id FROM boxes WHERE"
                         " image_id NOT IN (SELECT image_id FROM image_content)",
                         NULL);
    for (size_t i = 0; r == 0 && ids[i]; i++)
        fsck_found(f, "missing image of box %s is not in the store", ids[i]);
    strv_free(ids);
    return r;
}

/* ---- blobs ---- */

static int hash_file(const char *path, struct digest *ret, struct err *e)
{
    autofd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct source_hash hash = { 0 };
    struct source_fd in = { 0 };
    const void *data;
    ssize_t n = 0;
    int r;

    if (fd < 0)
        return err_os(e, "open");
    r = source_fd_init(&in, fd, UINT64_MAX, e);
    if (r == 0)
        r = source_hash_init(&hash, &in.source, e);
    while (r == 0 && (n = hash.source.read(&hash.source, &data, e)) > 0)
        ;
    r = n < 0 ? (int)n : r;
    if (r == 0)
        r = source_hash_finish(&hash, ret, e);
    source_hash_done(&hash);
    source_fd_done(&in);
    return r;
}

static int blobs(struct fsck *f, struct err *e)
{
    char **digests = NULL;
    int r;

    r = image_query_strv(f->db, &digests, e, "SELECT DISTINCT digest FROM image_blobs", NULL);
    for (size_t i = 0; r == 0 && digests[i]; i++) {
        autofree char *path = store_blob_path(f->home, digests[i]);
        const char *name = digests[i] + strlen("sha256:");
        struct err why = { 0 };
        struct digest got;

        if (!path)
            r = err_os(e, "fsck");
        else if (access(path, F_OK) < 0)
            fsck_found(f, "missing " FSCK_BLOBS "/%s: a record needs it", name);
        else if (hash_file(path, &got, &why) < 0)
            fsck_found(f, "unreadable " FSCK_BLOBS "/%s: %s", name, why.text);
        else if (strcmp(got.text, digests[i]) != 0)
            fsck_found(f, "corrupt " FSCK_BLOBS "/%s: its content has the digest %s", name,
                       got.text);
    }
    strv_free(digests);
    return r;
}

/* ---- images ---- */

/* Is there a record of this blob for the image? */
static int has_blob(struct fsck *f, const char *id, const char *digest, struct err *e)
{
    autostmt st = { 0 };
    int r;

    r = stmt_open(f->db, &st, e, "SELECT 1 FROM image_blobs WHERE image_id = ? AND digest = ?",
                  "ss", id, digest);
    return r < 0 ? r : stmt_step(&st, e);
}

static int image_blobs(struct fsck *f, const struct content *c, struct err *e)
{
    const char *id = c->image->id;
    int r = 1;

    for (size_t i = 0; r >= 0 && i < c->manifest.layers_n + 2; i++) {
        const char *digest = i == 0   ? id
                             : i == 1 ? c->image->manifest_digest
                                      : c->manifest.layers[i - 2].digest;

        r = has_blob(f, id, digest, e);
        if (r == 0)
            fsck_found(f, "corrupt record of image %s: it does not know its blob %s", id, digest);
    }
    return r < 0 ? r : 0;
}

static int image_chain(struct fsck *f, const struct content *c, struct err *e)
{
    struct digest *ids = calloc(c->meta.n + 1, sizeof(*ids));
    char chain[65] = "";
    int r;

    for (size_t i = 0; ids && i < c->meta.n; i++)
        memcpy(ids[i].text, c->meta.diff_ids[i], sizeof(ids[i].text));
    r = ids ? chain_id(ids, c->meta.n, chain, e) : err_os(e, "fsck");
    free(ids);
    if (r == 0 && strcmp(chain, c->image->chain_id) != 0)
        fsck_found(f, "corrupt record of image %s: its chain is %s, not %s", c->image->id, chain,
                   c->image->chain_id);
    return r;
}

/* The super block lies 1 KiB into the file: block count, block size, magic, uuid. */
static void check_rootfs(struct fsck *f, const char *path, const char *chain)
{
    autofd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    uint8_t sb[1024] = { 0 }, uuid[16];
    uint64_t size;
    struct stat st;

    if (fd < 0 && errno == ENOENT)
        return; /* made again when it is needed */
    incoming_uuid(chain, uuid);
    if (fd < 0 || fstat(fd, &st) < 0 || pread(fd, sb, sizeof(sb), 1024) != (ssize_t)sizeof(sb)) {
        fsck_found(f, "corrupt rootfs/%s.ext4: it cannot be read, or is too short", chain);
        return;
    }
    size = (uint64_t)(sb[4] | sb[5] << 8 | sb[6] << 16 | (uint32_t)sb[7] << 24) << (10 + sb[24]);
    if (sb[56] != 0x53 || sb[57] != 0xef)
        fsck_found(f, "corrupt rootfs/%s.ext4: it is no ext4", chain);
    else if (memcmp(sb + 104, uuid, sizeof(uuid)) != 0)
        fsck_found(f, "corrupt rootfs/%s.ext4: it is the one of another chain", chain);
    else if ((uint64_t)st.st_size < size)
        fsck_found(f, "corrupt rootfs/%s.ext4: it has %ju bytes, not %ju", chain,
                   (uintmax_t)st.st_size, (uintmax_t)size);
}

static int image(struct fsck *f, const char *id, struct err *e)
{
    struct err why = { 0 };
    struct content c;
    int r = 0;

    if (content_open(&c, f->db, f->home, id, &why) < 0) {
        fsck_found(f, "corrupt %s", why.text);
    } else {
        r = image_blobs(f, &c, e);
        if (r == 0)
            r = image_chain(f, &c, e);
        check_rootfs(f, c.image->rootfs, c.image->chain_id);
    }
    content_done(&c);
    return r;
}

static int images(struct fsck *f, struct err *e)
{
    char **ids = NULL;
    int r;

    r = image_query_strv(f->db, &ids, e, "SELECT image_id FROM image_content", NULL);
    for (size_t i = 0; r == 0 && ids[i]; i++)
        r = image(f, ids[i], e);
    strv_free(ids);
    return r;
}

int store_fsck(struct db *db, const char *home, bool repair, fsck_fn *found, void *ctx,
               size_t *ret_findings, struct err *e)
{
    struct fsck f = { .db = db, .home = home, .repair = repair, .found = found, .ctx = ctx };
    autofd int lock = store_lock(home, e);
    int r;

    if (lock < 0)
        return lock;
    r = orphans(&f, "images", "reference", e);
    if (r == 0)
        r = orphans(&f, "image_blobs", "digest", e);
    if (r == 0)
        r = orphans(&f, "image_layers", "diff_id", e);
    if (r == 0)
        r = boxes(&f, e);
    if (r == 0)
        r = blobs(&f, e);
    if (r == 0)
        r = images(&f, e);
    if (r == 0)
        r = fsck_files(&f, e);
    *ret_findings = f.findings;
    return r;
}
