#include "image/image.h"

#include "db/db.h"
#include "image/archive_input.h"
#include "image/sandbox.h"
#include "oci/cache.h"
#include "oci/commit.h"
#include "oci/load.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/parse.h"

#include <fcntl.h>
#include <string.h>

#define LAYER_BYTES_DEFAULT ((uint64_t)16 << 30)

int image_open_home(const char **ret_home, struct db **ret_db, struct err *e)
{
    const char *home = getenv("A3S_HOME");

    if (!home || !*home)
        return err_set(e, ERR_USAGE, "A3S_HOME is not set");
    *ret_home = home;
    return db_open(home, ret_db, e);
}

int image_read_limits(struct store_limits *ret, struct err *e)
{
    const char *text = getenv("A3S_BOX_MAX_LAYER_BYTES");
    int r;

    ret->layer_bytes_max = LAYER_BYTES_DEFAULT;
    if (!text || !*text)
        return 0;
    r = parse_size(text, 1, 1, INT64_MAX, &ret->layer_bytes_max, e);
    return r < 0 ? err_ctx(e, "A3S_BOX_MAX_LAYER_BYTES") : 0;
}

/* What the two verbs share: where the bytes come from, and what happens to the store after. */
struct job {
    const char *input; /* "-" is stdin */
    int fd;
    const char *home;
    struct db *db;
    struct store_limits limits;
    struct cache_limits cache;
    char **kept; /* ids of what came in; owned */
    size_t kept_n;
};

static void job_done(struct job *job)
{
    strv_free(job->kept);
    close_fd(&job->fd);
    db_free(job->db);
}

/* One JSON line for each image: {"id": "sha256:...", "references": [...]}. */
static void take_loaded(void *ctx, const struct incoming *in)
{
    json_t *references = json_array(), *line;
    struct job *job = ctx;
    char **kept;

    for (size_t i = 0; in->references && in->references[i]; i++)
        (void)json_array_append_new(references, json_string(in->references[i]));
    line = json_pack("{s:s, s:o}", "id", in->id.text, "references", references);
    if (line) {
        (void)json_dumpf(line, stdout, JSON_COMPACT);
        (void)fputc('\n', stdout);
    }
    json_decref(line);
    kept = realloc(job->kept, (job->kept_n + 2) * sizeof(*kept));
    if (!kept)
        return; /* then it may be evicted at once: it would be the last to go */
    job->kept = kept;
    kept[job->kept_n] = strdup(in->id.text);
    job->kept_n += kept[job->kept_n] != NULL;
    kept[job->kept_n] = NULL;
}

/* Options are "--name value" pairs, each handed to `take`; anything else is a mistake of the
 * program that started us. */
static int read_options(int argc, char **argv, struct job *job,
                        int (*take)(void *ctx, const char *name, const char *value,
                                    struct err *e),
                        void *ctx, struct err *e)
{
    int r = 0;

    for (int i = 0; r == 0 && i < argc; i += 2) {
        if (strncmp(argv[i], "--", 2) != 0 || i + 1 >= argc)
            return err_set(e, ERR_USAGE, "unexpected '%s'", argv[i]);
        if (strcmp(argv[i], "--input") == 0)
            job->input = argv[i + 1];
        else
            r = take(ctx, argv[i] + 2, argv[i + 1], e);
    }
    return r;
}

static int open_input(struct job *job, struct err *e)
{
    if (strcmp(job->input, "-") == 0) {
        job->fd = fd_dup(0, e);
        return job->fd < 0 ? job->fd : 0;
    }
    job->fd = open(job->input, O_RDONLY | O_CLOEXEC);
    return job->fd < 0 ? err_os(e, "open %s", job->input) : 0;
}

/* Everything that can be wrong before a byte is read. */
static int begin(struct job *job, struct err *e)
{
    int r;

    r = image_read_limits(&job->limits, e);
    if (r == 0)
        r = cache_limits_read(&job->cache, e);
    if (r < 0)
        return r;
    r = open_input(job, e);
    if (r == 0)
        r = image_open_home(&job->home, &job->db, e);
    return r < 0 ? r : sandbox_enter(job->home, e);
}

/* The images are in the store: what cannot be tidied up now is tidied up by the next one. */
static int finish(struct job *job, struct err *e)
{
    struct err why = { 0 };

    if (cache_trim(job->db, job->home, &job->cache, job->kept, &why) < 0)
        log_warn("the store is not below its limits: %s", why.text);
    return fflush(stdout) != 0 ? err_os(e, "write result") : 0;
}

static int load_option(void *ctx, const char *name, const char *value, struct err *e)
{
    struct load_options *o = ctx;

    if (strcmp(name, "platform") == 0) {
        o->platform_given = true;
        return platform_parse(value, &o->want, e);
    }
    if (strcmp(name, "tag") != 0)
        return err_set(e, ERR_USAGE, "unknown option --%s", name);
    o->tag = value;
    return 0;
}

int verb_load(int argc, char **argv, struct err *e)
{
    struct load_options options = { .want = platform_host() };
    struct job job = { .input = "-", .fd = -1 };
    int r;

    r = read_options(argc, argv, &job, load_option, &options, e);
    if (r == 0)
        r = begin(&job, e);
    options.home = job.home;
    options.limits = job.limits;
    if (r == 0)
        r = load_archive(job.db, job.fd, &options, take_loaded, &job, e);
    if (r == 0)
        r = finish(&job, e);
    job_done(&job);
    return r;
}

struct import {
    struct import_options options;
    const char **changes; /* owned */
    size_t changes_n;
};

static int import_option(void *ctx, const char *name, const char *value, struct err *e)
{
    struct import *im = ctx;

    if (strcmp(name, "reference") == 0)
        im->options.reference = value;
    else if (strcmp(name, "message") == 0)
        im->options.message = value;
    else if (strcmp(name, "platform") == 0)
        return platform_parse(value, &im->options.platform, e);
    else if (strcmp(name, "change") == 0)
        im->changes[im->changes_n++] = value;
    else
        return err_set(e, ERR_USAGE, "unknown option --%s", name);
    return 0;
}

int verb_import(int argc, char **argv, struct err *e)
{
    struct import im = { .options.platform = platform_host(),
                         .changes = calloc((size_t)argc + 1, sizeof(char *)) };
    struct job job = { .input = "-", .fd = -1 };
    int r;

    im.options.changes = im.changes;
    r = im.changes ? read_options(argc, argv, &job, import_option, &im, e) : err_os(e, "import");
    if (r == 0)
        r = begin(&job, e);
    im.options.home = job.home;
    im.options.limits = job.limits;
    if (r == 0)
        r = import_archive(job.db, job.fd, &im.options, take_loaded, &job, e);
    if (r == 0)
        r = finish(&job, e);
    job_done(&job);
    free(im.changes);
    return r;
}

struct commit {
    struct commit_options options;
    const char **changes; /* owned */
    size_t changes_n;
};

static int commit_option(void *ctx, const char *name, const char *value, struct err *e)
{
    struct commit *c = ctx;

    if (strcmp(name, "image") == 0)
        c->options.image_id = value;
    else if (strcmp(name, "reference") == 0)
        c->options.reference = value;
    else if (strcmp(name, "author") == 0)
        c->options.author = value;
    else if (strcmp(name, "message") == 0)
        c->options.message = value;
    else if (strcmp(name, "change") == 0)
        c->changes[c->changes_n++] = value;
    else
        return err_set(e, ERR_USAGE, "unknown option --%s", name);
    return 0;
}

static int commit(struct commit *c, struct job *job, struct err *e)
{
    autostr config = STR_INIT(JSON_DOC_MAX);
    struct archive_input in;
    int r;

    archive_input_init(&in, job->fd);
    r = archive_input_config(&in, &config, e);
    c->options.config = &config;
    if (r == 0)
        r = commit_image(job->db, &in.source, &c->options, take_loaded, job, e);
    archive_input_done(&in);
    return r;
}

int verb_commit(int argc, char **argv, struct err *e)
{
    struct commit c = { .changes = calloc((size_t)argc + 1, sizeof(char *)) };
    struct job job = { .input = "-", .fd = -1 };
    int r;

    c.options.changes = c.changes;
    r = c.changes ? read_options(argc, argv, &job, commit_option, &c, e) : err_os(e, "commit");
    if (r == 0 && !c.options.image_id)
        r = err_set(e, ERR_USAGE, "commit needs --image");
    if (r == 0)
        r = begin(&job, e);
    c.options.home = job.home;
    c.options.limits = job.limits;
    if (r == 0)
        r = commit(&c, &job, e);
    if (r == 0)
        r = finish(&job, e);
    job_done(&job);
    free(c.changes);
    return r;
}
