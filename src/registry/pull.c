#include "registry/pull.h"

#include "db/db.h"
#include "oci/event.h"
#include "oci/image.h"
#include "oci/store.h"
#include "registry/registry.h"
#include "util/log.h"

#include <string.h>

struct pull {
    struct pull_options options;
    const char *text; /* the reference as it was given */
    struct ref ref;
    char full[REF_TEXT_MAX]; /* what is recorded */
    struct db *db;           /* owned */
    struct remote *remote;   /* owned */
};

static int set_option(struct pull_options *o, const char *name, const char *value, struct err *e)
{
    if (strcmp(name, "platform") == 0)
        return platform_parse(value, &o->want, e);
    if (strcmp(name, "verify-key") == 0)
        o->verify_key = value;
    else if (strcmp(name, "verify-issuer") == 0)
        o->verify_issuer = value;
    else if (strcmp(name, "verify-identity") == 0)
        o->verify_identity = value;
    else
        return err_set(e, ERR_USAGE, "unknown option --%s", name);
    return 0;
}

/* "--name value" pairs and the reference. */
static int read_options(struct pull *p, int argc, char **argv, struct err *e)
{
    int at = 0, r;

    p->options.want = platform_host();
    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        r = set_option(&p->options, argv[at] + 2, argv[at + 1], e);
        if (r < 0)
            return r;
    }
    if (at + 1 != argc)
        return err_set(e, ERR_USAGE, "pull needs one reference");
    p->text = argv[at];
    r = ref_parse(p->text, &p->ref, e);
    if (r < 0)
        return r;
    if (p->ref.digest[0])
        p->ref.tag[0] = '\0'; /* the digest decides, and a tag might say something else */
    ref_full(&p->ref, p->full);
    return 0;
}

/* 1 when `id` is there, whole, and for the platform that is wanted. */
static int is_usable(struct pull *p, const char *id, char **ret_manifest, struct err *e)
{
    autoptr(image) img = NULL;
    struct platform have = { 0 };
    int r;

    r = image_lookup(p->db, p->options.home, id, &img, e);
    if (r == -(int)ERR_NOT_FOUND) {
        err_clear(e);
        return 0;
    }
    if (r < 0)
        return r;
    (void)snprintf(have.os, sizeof(have.os), "%s", img->os);
    (void)snprintf(have.architecture, sizeof(have.architecture), "%s", img->architecture);
    (void)snprintf(have.variant, sizeof(have.variant), "%s", img->variant);
    if (access(img->rootfs, R_OK) < 0 || !platform_rank(&p->options.want, &have))
        return 0;
    *ret_manifest = strdup(img->manifest_digest);
    return *ret_manifest ? 1 : err_os(e, "image");
}

/* 1 when the registry still has what was pulled under this name. One HEAD request. */
static int is_up_to_date(struct pull *p, struct err *e)
{
    autofree char *id = NULL, *digest = NULL, *manifest = NULL;
    struct remote_manifest head = { 0 };
    bool same;
    int r;

    r = image_pulled(p->db, p->full, &id, &digest, e);
    if (r == -(int)ERR_NOT_FOUND) {
        err_clear(e);
        return 0;
    }
    if (r == 0)
        r = is_usable(p, id, &manifest, e);
    if (r <= 0)
        return r;
    r = remote_manifest_head(p->remote, p->ref.digest[0] ? p->ref.digest : p->ref.tag, &head, e);
    if (r < 0)
        return r;
    same = strcmp(head.digest.text, digest) == 0;
    remote_manifest_done(&head);
    if (!same)
        return 0;
    r = pull_check_trust(p->remote, &p->ref, digest, manifest, &p->options, e);
    if (r < 0)
        return r;
    r = image_event(p->db, "pull", id, p->full, e);
    if (r < 0)
        return r;
    event_done(p->full, digest, id, false);
    return 1;
}

/* 1 when the store has the image under another name: then it only gets this one, too. */
static int has_another_name(struct pull *p, const struct pull_image *image, struct err *e)
{
    autofree char *manifest = NULL, *id = NULL;
    int r;

    r = is_usable(p, image->parsed.config.digest, &manifest, e);
    if (r <= 0 || strcmp(manifest, image->manifest.digest.text) != 0)
        return r < 0 ? r : 0;
    r = image_put_pulled(p->db, p->full, manifest, image->digest.text, &id, e);
    if (r == -(int)ERR_NOT_FOUND) {
        err_clear(e);
        return 0; /* removed just now */
    }
    if (r < 0)
        return r;
    event_done(p->full, image->digest.text, id, true);
    return 1;
}

/* What is wrong with an image says nothing without its name; a registry's errors have one. */
static int name_it(const struct pull *p, struct err *e)
{
    if (strncmp(e->text, "Registry error:", 15) == 0)
        return -(int)e->kind;
    return err_ctx(e, "%s", ref_familiar_name(p->full));
}

static int pull_new(struct pull *p, struct err *e)
{
    struct pull_image image = { 0 };
    struct pull_layers layers = {
        .home = p->options.home, .remote = p->remote, .image = &image, .reference = p->full
    };
    struct digest id;
    int r;

    r = pull_choose(p->remote, &p->ref, &p->options, &image, e);
    if (r < 0)
        r = name_it(p, e);
    if (r == 0)
        r = pull_check_trust(p->remote, &p->ref, image.digest.text, image.manifest.digest.text,
                             &p->options, e);
    if (r == 0)
        r = has_another_name(p, &image, e);
    if (r == 0) {
        r = pull_layers(&layers, p->db, &id, e);
        if (r < 0)
            r = name_it(p, e);
        else
            event_done(p->full, image.digest.text, id.text, true);
    }
    pull_image_done(&image);
    return r < 0 ? r : 0;
}

static void on_waiting(void *ctx UNUSED)
{
    event_shared();
}

static int pull(struct pull *p, struct err *e)
{
    const struct remote_options options = { .home = p->options.home };
    int lock, r;

    r = pull_check_before(&p->ref, &p->options, e);
    if (r < 0)
        return r;
    event_pulling(&p->ref);
    /* Two pulls of one image: the second waits, and finds it there. */
    lock = partial_ref_lock(p->options.home, p->full, on_waiting, NULL, e);
    if (lock < 0)
        return lock;
    /* Also for an image that is there: who pulled it may have been killed just behind the end. */
    r = store_sweep(p->options.home, NULL, e);
    if (r == 0)
        r = partial_sweep(p->options.home, PARTIAL_SWEEP_OLD, NULL, e);
    if (r == 0)
        r = remote_open(&p->ref, REMOTE_PULL, &options, &p->remote, e);
    if (r == 0)
        r = is_up_to_date(p, e);
    if (r == 0)
        r = pull_new(p, e);
    partial_ref_unlock(p->options.home, p->full, lock);
    return r < 0 ? r : 0;
}

int verb_pull(int argc, char **argv, struct err *e)
{
    struct pull p = { 0 };
    int r;

    r = read_options(&p, argc, argv, e);
    if (r == 0)
        r = registry_open_home(&p.options.home, &p.db, e);
    if (r == 0)
        r = pull(&p, e);
    remote_free(p.remote);
    db_free(p.db);
    return r;
}
