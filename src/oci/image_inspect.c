#include "oci/image_internal.h"
#include "oci/json.h"
#include "util/time.h"

#include <string.h>

static bool has(char *const *v, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i], text) == 0)
            return true;
    return false;
}

/* Tags only; or digests, each once: several tags of a repository have the same. */
static json_t *names(char *const *v, bool tags)
{
    json_t *a = json_array();

    for (size_t i = 0; v[i]; i++)
        if (!has(v, i, v[i]) && !(tags && strchr(v[i], '@')))
            (void)json_array_append_new(a, json_string(ref_familiar_name(v[i])));
    return a;
}

static json_t *timestamp(int64_t ns)
{
    char text[TIME_RFC3339_LEN];

    time_rfc3339(ns, text);
    return json_string(text);
}

static json_t *diff_ids(const struct image *img)
{
    json_t *ids = json_object_get(json_object_get(img->config, "rootfs"), "diff_ids");

    return json_is_array(ids) ? json_incref(ids) : json_array();
}

/* All the keys scripts ask for, also when the image does not have them. */
static json_t *config_of(const struct image *img)
{
    static const char *const lists[] = { "Cmd",    "Entrypoint", "Env",    "ExposedPorts",
                                         "Labels", "OnBuild",    "Volumes" };
    static const char *const texts[] = { "StopSignal", "User", "WorkingDir" };
    json_t *has = json_object_get(img->config, "config");
    json_t *config = json_is_object(has) ? json_copy(has) : json_object();

    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        if (!json_object_get(config, lists[i]))
            (void)json_object_set_new(config, lists[i], json_null());
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (!json_object_get(config, texts[i]))
            (void)json_object_set_new(config, texts[i], json_string(""));
    return config;
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));

    return text ? text : "";
}

json_t *image_inspect(const struct image *img)
{
    json_t *layers = diff_ids(img);
    const char *first = img->references[0];
    json_t *o = json_pack(
        "{s:s, s:o, s:o, s:s, s:o, s:s, s:s, s:I, s:o, s:{s:s, s:{s:s}}}", "Id", img->id,
        "RepoTags", names(img->references, true), "RepoDigests", names(img->repo_digests, false),
        "Comment", text_of(img->config, "comment"), "Created", timestamp(img->created_ns),
        "Architecture", img->architecture, "Os", img->os, "Size", (json_int_t)img->size, "Config",
        config_of(img), "GraphDriver", "Name", "ext4", "Data", "Rootfs", img->rootfs);

    if (!o || !layers) {
        json_decref(o);
        json_decref(layers);
        return NULL;
    }
    if (img->variant[0])
        (void)json_object_set_new(o, "Variant", json_string(img->variant));
    (void)json_object_set_new(o, "Author", json_string(text_of(img->config, "author")));
    (void)json_object_set_new(o, "RootFS",
                              json_pack("{s:s, s:O}", "Type", "layers", "Layers", layers));
    (void)json_object_set_new(o, "Metadata",
                              json_pack("{s:o}", "LastTagTime", timestamp(img->loaded_ns)));
    (void)json_object_set_new(o, "Reference", json_string(first ? first : ""));
    (void)json_object_set_new(o, "Digest", json_string(img->manifest_digest));
    (void)json_object_set_new(o, "PulledAt", timestamp(img->loaded_ns));
    (void)json_object_set_new(o, "LayerCount", json_integer((json_int_t)json_array_size(layers)));
    json_decref(layers);
    return o;
}
