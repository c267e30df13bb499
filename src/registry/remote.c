#include "registry/remote.h"

static int not_yet(struct err *e)
{
    return err_set(e, ERR_UNSUPPORTED, "Talking to registries is not written yet");
}

int remote_open(const struct ref *ref UNUSED, enum remote_use use UNUSED,
                const struct remote_options *options UNUSED, struct remote **ret UNUSED,
                struct err *e)
{
    return not_yet(e);
}

void remote_free(struct remote *r UNUSED)
{
}

void remote_manifest_done(struct remote_manifest *m)
{
    str_done(&m->bytes);
}

int remote_manifest_head(struct remote *r UNUSED, const char *which UNUSED,
                         struct remote_manifest *ret UNUSED, struct err *e)
{
    return not_yet(e);
}

int remote_manifest_get(struct remote *r UNUSED, const char *which UNUSED,
                        struct remote_manifest *ret UNUSED, struct err *e)
{
    return not_yet(e);
}

int remote_referrers(struct remote *r UNUSED, const char *digest UNUSED, struct str *ret UNUSED,
                     struct err *e)
{
    return not_yet(e);
}

int remote_blob_get(struct remote *r UNUSED, const char *digest UNUSED, size_t max UNUSED,
                    struct str *ret UNUSED, struct err *e)
{
    return not_yet(e);
}

int remote_fetch(struct remote *r UNUSED, struct remote_fetch *f UNUSED, struct err *e)
{
    return not_yet(e);
}

int remote_blob_exists(struct remote *r UNUSED, const char *digest UNUSED, struct err *e)
{
    return not_yet(e);
}

int remote_blob_upload(struct remote *r UNUSED, const struct remote_upload *up UNUSED,
                       struct err *e)
{
    return not_yet(e);
}

int remote_manifest_put(struct remote *r UNUSED, const char *which UNUSED,
                        const char *media_type UNUSED, const void *bytes UNUSED,
                        size_t len UNUSED, struct digest *ret UNUSED, struct err *e)
{
    return not_yet(e);
}
