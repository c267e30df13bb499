#include "oci/save_internal.h"

#include <string.h>

#define OCI "application/vnd.oci.image."

static const char *hex(const char *digest)
{
    return digest + strlen("sha256:");
}

/* "repo:tag" in two. */
static size_t split(const char *reference)
{
    return (size_t)(strrchr(reference, ':') - reference);
}

/* What the manifest says it is; those without it are OCI's. */
static json_t *media_type(const struct content *c)
{
    json_t *o = json_loadb(c->text.p, c->text.len, 0, NULL);
    json_t *type = json_object_get(o, "mediaType");

    type = json_is_string(type) ? json_incref(type) : json_string(OCI "manifest.v1+json");
    json_decref(o);
    return type;
}

static json_t *platform(const struct image *img)
{
    json_t *o = json_pack("{s:s, s:s}", "architecture", img->architecture, "os", img->os);

    if (o && img->variant[0])
        (void)json_object_set_new(o, "variant", json_string(img->variant));
    return o;
}

/* containerd's annotation has the whole name, the standard one only the tag: as docker has it. */
static int add_entry(json_t *manifests, const struct content *c, const char *name)
{
    json_t *o = json_pack("{s:o, s:s, s:I, s:o}", "mediaType", media_type(c), "digest",
                          c->image->manifest_digest, "size", (json_int_t)c->text.len, "platform",
                          platform(c->image));

    if (o && name)
        (void)json_object_set_new(o, "annotations",
                                  json_pack("{s:s, s:s}", "io.containerd.image.name", name,
                                            "org.opencontainers.image.ref.name",
                                            name + split(name) + 1));
    return json_array_append_new(manifests, o);
}

json_t *save_index(const struct save *s)
{
    json_t *manifests = json_array();
    int r = manifests ? 0 : -1;

    for (size_t i = 0; r == 0 && i < s->n; i++) {
        if (!s->v[i].names_n)
            r = add_entry(manifests, &s->v[i].content, NULL);
        for (size_t k = 0; r == 0 && k < s->v[i].names_n; k++)
            r = add_entry(manifests, &s->v[i].content, s->v[i].names[k]);
    }
    if (r < 0) {
        json_decref(manifests);
        return NULL;
    }
    return json_pack("{s:i, s:s, s:o}", "schemaVersion", 2, "mediaType", OCI "index.v1+json",
                     "manifests", manifests);
}

static json_t *path_of(const char *digest)
{
    return json_sprintf("blobs/sha256/%s", hex(digest));
}

static json_t *docker_image(const struct save_image *img)
{
    json_t *tags = json_array(), *layers = json_array(), *sources = json_object();
    const struct manifest *m = &img->content.manifest;

    for (size_t i = 0; i < img->names_n; i++)
        (void)json_array_append_new(tags, json_string(ref_familiar_name(img->names[i])));
    for (size_t i = 0; i < m->layers_n; i++) {
        (void)json_array_append_new(layers, path_of(m->layers[i].digest));
        (void)json_object_set_new(
            sources, img->content.meta.diff_ids[i],
            json_pack("{s:s, s:I, s:s}", "mediaType", m->layers[i].media_type, "size",
                      (json_int_t)m->layers[i].size, "digest", m->layers[i].digest));
    }
    return json_pack("{s:o, s:o, s:o, s:o}", "Config", path_of(m->config.digest), "RepoTags",
                     img->names_n ? tags : (json_decref(tags), json_null()), "Layers", layers,
                     "LayerSources", sources);
}

json_t *save_manifest(const struct save *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->n; i++)
        if (json_array_append_new(list, docker_image(&s->v[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

/* {"busybox": {"latest": id of the top layer}}: nobody has read it since docker 1.10, but it is
 * expected to be there. */
json_t *save_repositories(const struct save *s)
{
    json_t *all = json_object();

    for (size_t i = 0; i < s->n; i++) {
        const struct manifest *m = &s->v[i].content.manifest;

        for (size_t k = 0; m->layers_n && k < s->v[i].names_n; k++) {
            const char *name = ref_familiar_name(s->v[i].names[k]);
            autofree char *repository = strndup(name, split(name));
            json_t *tags = repository ? json_object_get(all, repository) : NULL;

            if (!tags && repository) {
                (void)json_object_set_new(all, repository, json_object());
                tags = json_object_get(all, repository);
            }
            if (json_object_set_new(tags, name + split(name) + 1,
                                    json_string(hex(m->layers[m->layers_n - 1].digest))) < 0) {
                json_decref(all);
                return NULL;
            }
        }
    }
    return all;
}
