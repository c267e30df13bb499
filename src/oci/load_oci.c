#include "oci/load_internal.h"

#include <string.h>

#define INDEX_DEPTH_MAX 4 /* indexes in indexes; real ones have two */

static int read_index(struct load *l, const struct member *m, struct index *ret, struct err *e)
{
    autostr text = STR_INIT(JSON_DOC_MAX);
    int r;

    r = spool_text(&l->spool, m, &text, e);
    return r < 0 ? r : index_parse(str_c(&text), text.len, ret, e);
}

/* Some writers leave the media type out; an index has "manifests". */
static int kind_of(struct load *l, const struct descriptor *d, const struct member *m,
                   enum media_kind *ret, struct err *e)
{
    autostr text = STR_INIT(JSON_DOC_MAX);
    autojson *o = NULL;
    int r;

    *ret = media_kind(d->media_type);
    if (*ret != MEDIA_UNKNOWN || d->media_type[0])
        return 0;
    r = spool_text(&l->spool, m, &text, e);
    if (r == 0)
        r = json_parse(str_c(&text), text.len, "manifest", &o, e);
    if (r == 0)
        *ret = json_object_get(o, "manifests") ? MEDIA_INDEX : MEDIA_MANIFEST;
    return r;
}

static int add_image(struct load *l, const struct member *m, const char *name, struct err *e)
{
    struct incoming *in;
    int r;

    r = load_add(l, &in, e);
    if (r == 0)
        r = spool_text(&l->spool, m, &in->manifest, e);
    if (r == 0)
        r = load_manifest(l, in, e);
    if (r == 0 && name)
        r = load_add_reference(in, name, e);
    return r;
}

/* Attestations and other things that are no images say "unknown". */
static bool is_image(const struct index_entry *entry)
{
    return !entry->has_platform || (strcmp(entry->platform.os, "unknown") != 0 &&
                                    strcmp(entry->platform.architecture, "unknown") != 0);
}

/* Of several entries for the same name, the one for the wanted platform. */
static bool wanted(const struct load *l, const struct index *index, size_t i)
{
    const struct index_entry *mine = &index->entries[i];
    size_t images = 0;

    if (!is_image(mine))
        return false;
    if (platform_fits(&l->options->want, &mine->platform))
        return true;
    for (size_t k = 0; k < index->n; k++) {
        const char *name = index->entries[k].name;

        if (is_image(&index->entries[k]) &&
            (!mine->name || !name || strcmp(mine->name, name) == 0))
            images++;
    }
    return images == 1 && !l->options->platform_given;
}

static int walk_index(struct load *l, const struct member *m, const char *name, int depth,
                      struct err *e);

static int walk_entry(struct load *l, const struct index_entry *entry, const char *name,
                      int depth, struct err *e)
{
    const struct descriptor *d = &entry->descriptor;
    const struct member *m = spool_blob(&l->spool, d->digest);
    enum media_kind kind;
    int r;

    /* A layout may hold one platform of an index only. */
    if (!m && depth > 0)
        return 0;
    if (!m)
        return err_set(e, ERR_CORRUPT, "the manifest %s is missing", d->digest);
    if (m->size > JSON_DOC_MAX)
        return err_set(e, ERR_LIMIT, "the manifest %s is larger than %zu bytes", d->digest,
                       JSON_DOC_MAX);
    r = kind_of(l, d, m, &kind, e);
    if (r < 0)
        return r;
    switch (kind) {
    case MEDIA_INDEX:
        return walk_index(l, m, name, depth + 1, e);
    case MEDIA_MANIFEST:
        r = add_image(l, m, name, e);
        return r < 0 ? err_ctx(e, "image %.19s", d->digest) : 0;
    case MEDIA_LAYER:
    case MEDIA_UNKNOWN:
        break;
    }
    return err_set(e, ERR_UNSUPPORTED, "unknown media type '%.100s' in an index", d->media_type);
}

static int walk_index(struct load *l, const struct member *m, const char *name, int depth,
                      struct err *e)
{
    struct index index = { 0 };
    size_t before = l->n;
    int r;

    if (depth > INDEX_DEPTH_MAX)
        return err_set(e, ERR_LIMIT, "indexes are nested more than %d deep", INDEX_DEPTH_MAX);
    r = read_index(l, m, &index, e);
    for (size_t i = 0; r == 0 && i < index.n; i++) {
        const char *own = index.entries[i].name;

        /* Below the top, all entries are the same image for different platforms. */
        if (depth > 0 && l->n > before)
            break;
        if (wanted(l, &index, i))
            r = walk_entry(l, &index.entries[i], own ? own : name, depth, e);
    }
    index_done(&index);
    return r;
}

int load_oci(struct load *l, const struct member *index, struct err *e)
{
    return walk_index(l, index, NULL, 0, e);
}
