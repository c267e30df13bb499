#include "image/image.h"

#include "db/db.h"
#include "image/sandbox.h"
#include "oci/cache.h"
#include "oci/install.h"
#include "util/fs.h"
#include "util/log.h"

#include <fcntl.h>
#include <string.h>

struct assemble {
    const char *home, *stage, *reference, *digest;
    struct store_limits limits;
    struct cache_limits cache;
    struct growing growing;
    struct spool spool;
    struct incoming in;
};

static int read_options(struct assemble *a, int argc, char **argv, struct err *e)
{
    int r;

    for (int i = 0; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (value && strcmp(argv[i], "--stage") == 0)
            a->stage = value;
        else if (value && strcmp(argv[i], "--reference") == 0)
            a->reference = value;
        else if (value && strcmp(argv[i], "--digest") == 0)
            a->digest = value;
        else
            return err_set(e, ERR_USAGE, "unexpected '%s'", argv[i]);
    }
    if (!a->stage || !a->reference || !a->digest || !digest_valid(a->digest))
        return err_set(e, ERR_USAGE, "assemble needs --stage, --reference and --digest");
    r = image_read_limits(&a->limits, e);
    return r < 0 ? r : cache_limits_read(&a->cache, e);
}

/* Every layer has a member, equal layers the same one. Members do not move any more when the
 * pointers to them are taken. */
static int take_layers(struct assemble *a, const struct manifest *m, struct err *e)
{
    struct incoming *in = &a->in;
    char file[GROWING_NAME_LEN];
    int r;

    in->layers = calloc(m->layers_n + 1, sizeof(*in->layers));
    if (!in->layers)
        return err_os(e, "layers");
    in->layers_n = m->layers_n;
    for (size_t i = 0; i < m->layers_n; i++) {
        growing_name(manifest_first(m, i), file);
        r = spool_add(&a->spool, m->layers[i].digest, m->layers[i].size, file, e);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < m->layers_n; i++) {
        memcpy(in->layers[i].digest, m->layers[i].digest, sizeof(in->layers[i].digest));
        in->layers[i].file = (uint32_t)manifest_first(m, i);
        in->layers[i].member = &a->spool.v[i];
    }
    return growing_init(&a->growing, ASSEMBLE_SOCKET, m->layers_n, e);
}

static int take_reference(struct assemble *a, struct err *e)
{
    a->in.references = calloc(2, sizeof(char *));
    if (a->in.references)
        a->in.references[0] = strdup(a->reference);
    if (!a->in.references || !a->in.references[0])
        return err_os(e, "reference");
    a->in.repo_digest = a->digest;
    return 0;
}

static int take_documents(struct assemble *a, struct err *e)
{
    struct manifest m = { 0 };
    struct digest got;
    int r;

    r = fs_read_file(a->spool.dirfd, "manifest", &a->in.manifest, e);
    if (r == 0)
        r = fs_read_file(a->spool.dirfd, "config", &a->in.config, e);
    if (r == 0)
        r = manifest_parse(str_c(&a->in.manifest), a->in.manifest.len, &m, e);
    if (r == 0)
        r = digest_of(str_c(&a->in.config), a->in.config.len, &got, e);
    if (r == 0 && strcmp(got.text, m.config.digest) != 0)
        r = err_set(e, ERR_CORRUPT, "the configuration has the digest %s, not %s", got.text,
                    m.config.digest);
    if (r == 0)
        r = take_layers(a, &m, e);
    if (r == 0)
        r = incoming_read_config(&a->in, e);
    if (r == 0)
        r = take_reference(a, e);
    manifest_done(&m);
    return r;
}

/* The image is in the store: what cannot be tidied up now is tidied up by the next one. */
static void trim(struct assemble *a, struct db *db)
{
    char *const keep[] = { a->in.id.text, NULL };
    struct err why = { 0 };

    if (cache_trim(db, a->home, &a->cache, keep, &why) < 0)
        log_warn("the store is not below its limits: %s", why.text);
}

static int assemble(struct assemble *a, struct err *e)
{
    autofd int dir = fs_open_dir(AT_FDCWD, a->stage, e);
    autoptr(db) db = NULL;
    int r;

    if (dir < 0)
        return dir;
    a->spool.dirfd = dir;
    a->in = (struct incoming){ .spool = &a->spool,
                               .growing = &a->growing,
                               .stage = a->stage,
                               .event = "pull",
                               .manifest = STR_INIT(JSON_DOC_MAX),
                               .config = STR_INIT(JSON_DOC_MAX) };
    r = image_open_home(&a->home, &db, e);
    if (r == 0)
        r = sandbox_enter(a->home, e);
    if (r == 0)
        r = take_documents(a, e);
    if (r == 0)
        r = incoming_install(&a->in, 1, db, a->home, &a->limits, e);
    if (r == 0)
        trim(a, db);
    return r;
}

int verb_assemble(int argc, char **argv, struct err *e)
{
    struct assemble a = { .growing = { .socket = ASSEMBLE_SOCKET, .file = GROWTH_NO_FILE } };
    struct err why = { 0 };
    int r;

    r = read_options(&a, argc, argv, e);
    if (r < 0)
        return r;
    r = assemble(&a, &why);
    /* Whoever started us reports it, or tries again. */
    if (growing_result(&a.growing, &why, a.in.id.text, e) < 0 && r == 0)
        r = -1; /* nobody is there any more; the image is */
    incoming_done(&a.in);
    spool_done(&a.spool);
    return r < 0;
}
