/* The files of a box that does not run: one end of proto/archive.h. */
#include "image/archive.h"

#include "image/archive_input.h"
#include "image/image.h"
#include "image/sandbox.h"
#include "rootfs/overlay_changes.h"
#include "util/fd.h"
#include "util/log.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define PIPE_BYTES (1 << 20) /* fewer switches between us and who reads */

struct session {
    struct overlay *o;
    bool writable;
    int in, out;     /* borrowed */
    struct str text; /* a message being made */
};

/* ---- answers ----------------------------------------------------------- */

static int send_tlv(struct session *s, enum msg_type type, const struct tlv_row *rows,
                    const void *from, struct err *e)
{
    int r;

    str_clear(&s->text);
    r = tlv_encode(rows, from, &s->text, e);
    return r < 0 ? r : msg_send(s->out, type, s->text.p, s->text.len, e);
}

static int send_failure(struct session *s, const struct err *why, struct err *e)
{
    struct error_info info = { .kind = why->kind, .text = (char *)(uintptr_t)why->text };

    return send_tlv(s, MSG_ARCHIVE_FAILED, error_info_rows, &info, e);
}

/* Errors of the connection end the session; all others are the answer of a request. */
struct output {
    struct session *s;
    bool broken;
};

static int send_data(void *ctx, const void *data, size_t len, struct err *e)
{
    struct output *out = ctx;
    const char *at = data;
    int r = 0;

    while (r == 0 && len) {
        size_t n = len < ARCHIVE_DATA_MAX ? len : ARCHIVE_DATA_MAX;

        r = msg_send(out->s->out, MSG_ARCHIVE_OUT, at, n, e);
        at += n;
        len -= n;
    }
    out->broken = r < 0;
    return r;
}

static int send_change(void *ctx, char kind, const char *path, struct err *e)
{
    struct output *out = ctx;
    struct str *text = &out->s->text;
    int r;

    str_clear(text);
    if (!str_addc(text, kind) || !str_adds(text, path))
        return err_os(e, "changes");
    r = msg_send(out->s->out, MSG_ARCHIVE_CHANGE, text->p, text->len, e);
    out->broken = r < 0;
    return r;
}

/* ---- STAT and GET ------------------------------------------------------ */

/* The path of a request: what it names, which has to be there. */
static int find(struct session *s, const char *path, bool follow, struct overlay_place *ret,
                struct err *e)
{
    size_t len = strlen(path);
    bool dir = len && (path[len - 1] == '/' || (len > 1 && strcmp(path + len - 2, "/.") == 0));
    struct overlay_stat st;
    int r = overlay_walk(s->o, path, follow || dir, ret, e);

    if (r == -ERR_NOT_FOUND || (r == 0 && !overlay_exists(ret->self)))
        return err_set(e, ERR_NOT_FOUND, "%s: no such file or directory", path);
    if (r < 0 && e->os == ENOTDIR)
        return err_set(e, ERR_INVALID, "lstat %s: not a directory", path);
    if (r == 0 && dir)
        r = overlay_stat(s->o, ret->self, &st, e);
    if (r == 0 && dir && !S_ISDIR(st.mode))
        return err_set(e, ERR_INVALID, "lstat %s: not a directory", path);
    return r;
}

/* Where a symlink leads, as far as that exists; the rest as it is written. */
static int link_target(struct session *s, const struct overlay_place *place, char **ret,
                       struct err *e)
{
    autostr text = STR_INIT(2 * OVERLAY_PATH_MAX);
    autofree struct overlay_place *end = calloc(1, sizeof(*end));
    struct err why = { 0 };
    int r;

    if (!end)
        return err_os(e, "symbolic link");
    r = overlay_walk(s->o, place->path, true, end, &why);
    if (r == 0) {
        *ret = strdup(end->path);
        return *ret ? 0 : err_os(e, "symbolic link");
    }
    r = overlay_target(s->o, place->self, &text, e);
    if (r < 0)
        return r;
    *ret = str_c(&text)[0] == '/' ? strdup(str_c(&text))
                                  : str_format("%.*s%s", (int)(place->name - place->path),
                                               place->path, str_c(&text));
    return *ret ? 0 : err_os(e, "symbolic link");
}

static int send_stat(struct session *s, struct overlay_place *place, bool *ret_broken,
                     struct err *e)
{
    struct archive_stat out = { .name = (char *)(uintptr_t)(*place->name ? place->name : "/") };
    struct overlay_stat st;
    int r = overlay_stat(s->o, place->self, &st, e);

    if (r == 0 && S_ISLNK(st.mode))
        r = link_target(s, place, &out.target, e);
    if (r < 0)
        return r;
    out.size = st.size;
    out.mode = st.mode;
    out.uid = st.uid;
    out.gid = st.gid;
    if (__builtin_mul_overflow(st.mtime_s, INT64_C(1000000000), &out.mtime_ns))
        out.mtime_ns = st.mtime_s < 0 ? INT64_MIN : INT64_MAX;
    else
        out.mtime_ns += st.mtime_ns;
    r = send_tlv(s, MSG_ARCHIVE_STAT, archive_stat_rows, &out, e);
    *ret_broken = r < 0;
    free(out.target);
    return r;
}

typedef int tar_fn(struct session *s, struct overlay_tar *t, const void *ctx, struct err *e);

static int send_tar(struct output *out, tar_fn *fill, const void *ctx, struct err *e)
{
    autoptr(overlay_tar) t = NULL;
    int r = overlay_tar_open(out->s->o, send_data, out, &t, e);

    if (r == 0)
        r = fill(out->s, t, ctx, e);
    return r < 0 ? r : overlay_tar_finish(t, e);
}

struct named {
    struct overlay_ref ref;
    const char *name;
};

static int fill_tree(struct session *s UNUSED, struct overlay_tar *t, const void *ctx,
                     struct err *e)
{
    const struct named *m = ctx;

    return overlay_tar_tree(t, m->ref, m->name, e);
}

static int fill_all(struct session *s, struct overlay_tar *t, const void *ctx UNUSED,
                    struct err *e)
{
    return overlay_tar_children(t, overlay_root(s->o), "", e);
}

static int fill_layer(struct session *s, struct overlay_tar *t, const void *ctx UNUSED,
                      struct err *e)
{
    return overlay_layer(s->o, t, e);
}

static int serve_path(struct output *out, const struct archive_request *q, struct err *e)
{
    autofree struct overlay_place *place = calloc(1, sizeof(*place));
    struct named m;
    int r = place ? find(out->s, q->path ? q->path : "/", false, place, e) : err_os(e, "path");

    if (r == 0)
        r = send_stat(out->s, place, &out->broken, e);
    if (r < 0 || q->op == ARCHIVE_STAT)
        return r;
    m.ref = place->self;
    m.name = q->name && *q->name ? q->name : *place->name ? place->name : "/";
    return send_tar(out, fill_tree, &m, e);
}

/* ---- PUT --------------------------------------------------------------- */

static int put(struct session *s, const struct archive_request *q, struct source *source,
               struct err *e)
{
    autofree struct overlay_place *place = calloc(1, sizeof(*place));
    struct overlay_stat st;
    int r;

    if (!s->writable)
        return err_set(e, ERR_STATE, "the files were opened for reading only");
    r = place ? find(s, q->path ? q->path : "/", true, place, e) : err_os(e, "path");
    if (r == 0)
        r = overlay_stat(s->o, place->self, &st, e);
    if (r < 0)
        return r;
    if (!S_ISDIR(st.mode))
        return err_set(e, ERR_INVALID, "extraction point is not a directory");
    return overlay_put(s->o, place->path, source, q->keep_owner, e);
}

static int serve_put(struct output *out, const struct archive_request *q, struct err *e)
{
    struct archive_input in;
    struct err why = { 0 };
    int r;

    archive_input_init(&in, out->s->in);
    r = put(out->s, q, &in.source, e);
    if (archive_input_drain(&in, &why) < 0 && r == 0) {
        *e = why;
        r = -(int)e->kind;
    }
    out->broken = in.broken;
    archive_input_done(&in);
    return r;
}

/* ---- sessions ---------------------------------------------------------- */

static int serve(struct output *out, const struct archive_request *q, struct err *e)
{
    switch (q->op) {
    case ARCHIVE_STAT:
    case ARCHIVE_GET:
        return serve_path(out, q, e);
    case ARCHIVE_PUT:
        return serve_put(out, q, e);
    case ARCHIVE_CHANGES:
        return overlay_changes(out->s->o, send_change, out, e);
    case ARCHIVE_LAYER:
        return send_tar(out, fill_layer, NULL, e);
    case ARCHIVE_EXPORT:
        return send_tar(out, fill_all, NULL, e);
    default:
        return err_set(e, ERR_UNSUPPORTED, "unknown request %ju", (uintmax_t)q->op);
    }
}

static int take_request(struct session *s, const struct msg *m, struct err *e)
{
    struct archive_request q = { 0 };
    struct output out = { .s = s };
    struct err why = { 0 };
    int r;

    if (m->type != MSG_ARCHIVE_REQUEST)
        return err_set(e, ERR_CORRUPT, "unexpected message %#x", m->type);
    r = tlv_decode(archive_request_rows, cur_of(m->data, m->len), &q, sizeof(q), e);
    if (r < 0)
        return r;
    r = serve(&out, &q, &why);
    tlv_done(archive_request_rows, &q);
    if (out.broken) {
        *e = why;
        return -(int)e->kind;
    }
    if (r < 0)
        return send_failure(s, &why, e);
    return msg_send(s->out, MSG_ARCHIVE_DONE, NULL, 0, e);
}

int archive_serve(struct overlay *o, bool writable, int in, int out, struct err *e)
{
    struct session s = {
        .o = o, .writable = writable, .in = in, .out = out, .text = STR_INIT(MSG_MAX)
    };
    autostr buf = STR_INIT(MSG_MAX);
    struct msg m;
    int r;

    (void)fcntl(out, F_SETPIPE_SZ, PIPE_BYTES); /* faster when it is a pipe and may be larger */
    while ((r = msg_recv(in, &buf, &m, e)) > 0) {
        r = take_request(&s, &m, e);
        if (r < 0)
            break;
    }
    str_done(&s.text);
    return r;
}

int archive_refuse(const struct err *why, int in, int out, struct err *e)
{
    struct session s = { .in = in, .out = out, .text = STR_INIT(MSG_MAX) };
    autostr buf = STR_INIT(MSG_MAX);
    struct msg m;
    int r = msg_recv(in, &buf, &m, e);

    if (r > 0)
        r = send_failure(&s, why, e);
    str_done(&s.text);
    return r < 0 ? r : 0;
}

/* ---- the verb ---------------------------------------------------------- */

struct options {
    const char *disk, *rootfs;
    bool write;
};

static int read_options(struct options *o, int argc, char **argv, struct err *e)
{
    for (int i = 0; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (strcmp(argv[i], "--write") == 0) {
            o->write = true;
            continue;
        }
        if (value && strcmp(argv[i], "--disk") == 0)
            o->disk = value;
        else if (value && strcmp(argv[i], "--rootfs") == 0)
            o->rootfs = value;
        else
            return err_set(e, ERR_USAGE, "unexpected '%s'", argv[i]);
        i++;
    }
    return o->disk && o->rootfs ? 0 : err_set(e, ERR_USAGE, "archive needs --disk and --rootfs");
}

int verb_archive(int argc, char **argv, struct err *e)
{
    const char *home = getenv("A3S_HOME");
    autofree char *disk = NULL, *rootfs = NULL;
    autoptr(overlay) o = NULL;
    struct options options = { 0 };
    struct err why = { 0 };
    int r = read_options(&options, argc, argv, e);

    if (r == 0 && (!home || !*home))
        r = err_set(e, ERR_USAGE, "A3S_HOME is not set");
    if (r < 0)
        return r;
    disk = str_format("%s/%s", home, options.disk);
    rootfs = str_format("%s/%s", home, options.rootfs);
    if (!disk || !rootfs)
        return err_os(e, "archive");
    r = sandbox_enter(home, e);
    if (r < 0)
        return r;
    r = overlay_open(disk, rootfs, options.write, &o, &why);
    if (r < 0)
        return archive_refuse(&why, STDIN_FILENO, STDOUT_FILENO, e);
    return archive_serve(o, options.write, STDIN_FILENO, STDOUT_FILENO, e);
}
