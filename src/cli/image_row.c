#include "cli/images.h"
#include "cli/log_view.h"
#include "cli/output.h"
#include "oci/ref.h"
#include "show/human.h"
#include "util/time.h"

#include <fnmatch.h>
#include <string.h>

#define SHORT_ID 12
#define NONE     "<none>"

static const struct show_column columns[] = {
    { "ID", "IMAGE ID" },
    { "Repository", "REPOSITORY" },
    { "Tag", "TAG" },
    { "Digest", "DIGEST" },
    { "CreatedSince", "CREATED" },
    { "CreatedAt", "CREATED AT" },
    { "Size", "SIZE" },
    { "Containers", "CONTAINERS" },
    { "VirtualSize", "SIZE" },
    { "SharedSize", "SHARED SIZE" },
    { "UniqueSize", "UNIQUE SIZE" },
    { "Reference", "REFERENCE" },
    { "Pulled", "PULLED" },
    { NULL, NULL },
};

static const struct show_type slice = { .name = "[]string", .form = SHOW_SLICE };
static const struct show_type map = { .name = "map[string]string", .form = SHOW_MAP };

static const struct show_field config_fields[] = {
    { "Cmd", &slice },  { "Entrypoint", &slice }, { "Env", &slice },   { "ExposedPorts", &map },
    { "Labels", &map }, { "OnBuild", &slice },    { "Volumes", &map }, { NULL, NULL },
};
static const struct show_type config_type = { .name = "*container.Config",
                                              .form = SHOW_PTR,
                                              .fields = config_fields };
static const struct show_field image_fields[] = {
    { "Config", &config_type },
    { "RepoDigests", &slice },
    { "RepoTags", &slice },
    { NULL, NULL },
};
const struct show_type image_inspect_type = { .name = "*types.ImageInspect",
                                              .form = SHOW_PTR,
                                              .fields = image_fields };

const struct show_table image_table = {
    .fallback = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
    .columns = columns,
};

static void set_since(json_t *row, const char *key, int64_t ns, const struct image_row_how *how)
{
    autostr text = STR_INIT(64);

    if (ns) {
        human_duration(how->now_ns - ns, &text);
        str_adds(&text, " ago");
    } else {
        str_adds(&text, "N/A");
    }
    cli_set(row, key, json_string(str_c(&text)));
}

static void set_sizes(json_t *row, const struct image *img)
{
    autostr size = STR_INIT(64);

    human_size_short(img->size, &size);
    cli_set(row, "Size", json_string(str_c(&size)));
    cli_set(row, "VirtualSize", json_string(str_c(&size)));
    cli_set(row, "SharedSize", json_string("N/A"));
    cli_set(row, "UniqueSize", json_string("N/A"));
    cli_set(row, "Containers", json_string("N/A"));
}

static json_t *new_row(const struct image *img, const struct image_row_how *how)
{
    json_t *row = json_object();
    autostr created = STR_INIT(64);
    const char *hex = img->id + strlen("sha256:");

    if (!row)
        return NULL;
    cli_set(row, "ID", how->no_trunc ? json_string(img->id) : json_stringn(hex, SHORT_ID));
    if (img->created_ns)
        human_time(img->created_ns, &created);
    cli_set(row, "CreatedAt", json_string(img->created_ns ? str_c(&created) : "N/A"));
    set_since(row, "CreatedSince", img->created_ns, how);
    set_since(row, "Pulled", img->loaded_ns, how);
    set_sizes(row, img);
    return row;
}

/* A full reference to the familiar repository and the tag. */
static void set_name(json_t *row, const char *reference)
{
    struct err ignored;
    struct ref ref;

    if (ref_parse(reference, &ref, &ignored) < 0)
        return; /* it was one when it came in */
    cli_set(row, "Repository", json_string(ref_familiar_name(ref.name)));
    cli_set(row, "Tag", json_string(ref.tag[0] ? ref.tag : NONE));
    cli_set(row, "Reference", json_string(ref_familiar_name(reference)));
}

static void set_digest(json_t *row, const char *repo_digest)
{
    const char *at = strchr(repo_digest, '@');

    cli_set(row, "Digest", json_string(at ? at + 1 : NONE));
}

/* A repository, with or without a tag; wildcards as in docker. */
static bool name_matches(const char *reference, const char *only)
{
    struct err ignored;
    struct ref ref;

    return fnmatch(only, ref_familiar_name(reference), FNM_PATHNAME) == 0 ||
           strcmp(only, reference) == 0 ||
           (ref_parse(reference, &ref, &ignored) == 0 &&
            (fnmatch(only, ref_familiar_name(ref.name), FNM_PATHNAME) == 0 ||
             strcmp(only, ref.name) == 0));
}

static bool match_name(const char *value, const void *arg)
{
    return name_matches(arg, value);
}

static bool row_wanted(const struct image_row_how *how, const char *reference)
{
    return (!how->only || name_matches(reference, how->only)) &&
           show_filters_any(how->filters, "reference", match_name, reference);
}

static int add_row(json_t *rows, json_t *own_row, struct err *e)
{
    return json_array_append_new(rows, own_row) < 0 ? err_set(e, ERR_LIMIT, "Out of memory") : 0;
}

static int dangling_row(const struct image *img, const struct image_row_how *how, json_t *rows,
                        struct err *e)
{
    json_t *row = new_row(img, how);

    if (row) {
        cli_set(row, "Repository", json_string(NONE));
        cli_set(row, "Tag", json_string(NONE));
        cli_set(row, "Reference", json_string(NONE));
        cli_set(row, "Digest", json_string(NONE));
    }
    return add_row(rows, row, e);
}

int image_rows(const struct image *img, const struct image_row_how *how, json_t *rows,
               struct err *e)
{
    int r = 0;

    if (!img->references[0])
        return how->only ? 0 : dangling_row(img, how, rows, e);
    for (size_t i = 0; r == 0 && img->references[i]; i++) {
        json_t *row;

        if (!row_wanted(how, img->references[i]))
            continue;
        row = new_row(img, how);
        if (row) {
            set_name(row, img->references[i]);
            set_digest(row, img->repo_digests[i]);
        }
        r = add_row(rows, row, e);
    }
    return r;
}

const char *const image_filter_keys[] = { "before", "dangling", "label", "reference",
                                          "since",  "until",    NULL };

static bool match_dangling(const char *value, const void *arg)
{
    const struct image *img = arg;
    bool want = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;

    return want == !img->references[0];
}

static bool match_label(const char *value, const void *arg)
{
    const struct image *img = arg;
    size_t len = strcspn(value, "=");
    autofree char *key = strndup(value, len);
    const char *has = key ? json_string_value(json_object_get(img->labels, key)) : NULL;

    return has && (!value[len] || strcmp(has, value + len + 1) == 0);
}

static bool match_no_label(const char *value, const void *arg)
{
    return !match_label(value, arg);
}

static bool match_reference(const char *value, const void *arg)
{
    const struct image *img = arg;

    for (size_t i = 0; img->references[i]; i++)
        if (name_matches(img->references[i], value))
            return true;
    return false;
}

static bool match_before(const char *value UNUSED, const void *arg)
{
    const int64_t *pair = arg;

    return pair[0] < pair[1];
}

/* The value of the filter in text[i] when it has that key, else NULL. */
static const char *value_of(const struct show_filters *filters, size_t i, const char *key)
{
    size_t len = strlen(key);
    const char *text = filters->text[i];

    return strncmp(text, key, len) == 0 && text[len] == '=' ? text + len + 1 : NULL;
}

static int moment(const struct show_filters *filters, const char *key, struct db *db,
                  const char *home, int64_t *ret, struct err *e)
{
    for (size_t i = 0; i < filters->n; i++) {
        const char *name = value_of(filters, i, key);
        autoptr(image) img = NULL;
        int r;

        if (!name)
            continue;
        r = image_lookup(db, home, name, &img, e);
        if (r < 0)
            return r;
        *ret = img->created_ns;
    }
    return 0;
}

static int check_dangling(const struct show_filters *filters, struct err *e)
{
    static const char *const known[] = { "true", "1", "false", "0" };

    for (size_t i = 0; i < filters->n; i++) {
        const char *value = value_of(filters, i, "dangling");
        bool ok = !value;

        for (size_t k = 0; !ok && k < ARRAY_LEN(known); k++)
            ok = strcmp(value, known[k]) == 0;
        if (!ok)
            return err_set(e, ERR_INVALID, "invalid filter 'dangling=[%.40s]'", value);
    }
    return 0;
}

static int until(const struct show_filters *filters, int64_t *ret, struct err *e)
{
    for (size_t i = 0; i < filters->n; i++) {
        const char *value = value_of(filters, i, "until");
        int r = value ? log_moment(value, time_real_ns(), ret, e) : 0;

        if (r < 0)
            return err_ctx(e, "invalid filter 'until'");
    }
    return 0;
}

int image_filter_init(struct image_filter *f, const struct show_filters *filters, struct db *db,
                      const char *home, struct err *e)
{
    int r;

    *f = (struct image_filter){ .filters = filters };
    r = check_dangling(filters, e);
    if (r == 0)
        r = until(filters, &f->until_ns, e);
    if (r == 0)
        r = moment(filters, "before", db, home, &f->before_ns, e);
    return r < 0 ? r : moment(filters, "since", db, home, &f->since_ns, e);
}

bool image_filter_match(const struct image_filter *f, const struct image *img)
{
    const int64_t before[2] = { img->created_ns, f->before_ns };
    const int64_t since[2] = { f->since_ns, img->created_ns };
    const int64_t until_pair[2] = { img->created_ns, f->until_ns };

    return show_filters_any(f->filters, "dangling", match_dangling, img) &&
           show_filters_all(f->filters, "label", match_label, img) &&
           show_filters_any(f->filters, "reference", match_reference, img) &&
           show_filters_any(f->filters, "before", match_before, before) &&
           show_filters_all(f->filters, "label!", match_no_label, img) &&
           show_filters_any(f->filters, "until", match_before, until_pair) &&
           show_filters_any(f->filters, "since", match_before, since);
}
