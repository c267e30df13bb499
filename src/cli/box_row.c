#include "cli/box_row.h"

#include "box/policy.h"
#include "cli/output.h"
#include "show/human.h"

#include <string.h>
#include <sys/stat.h>

#define COMMAND_WIDTH 20 /* docker's, with the opening quote and the ellipsis */
#define SHORT_ID      12

/* Members whose name begins with \1 are for methods; templates and json do not show them. */
#define LABELS "\1labels"

static int label(const json_t *self, const char *const *args, struct str *ret,
                 struct err *e UNUSED)
{
    const char *value =
        json_string_value(json_object_get(json_object_get(self, LABELS), args[0]));

    str_adds(ret, value ? value : "");
    return 0;
}

static const struct show_method methods[] = { { "Label", 1, label }, { NULL, 0, NULL } };

static const struct show_type row_type = {
    .name = "*formatter.ContainerContext",
    .form = SHOW_STRUCT,
    .escape_html = true,
    .methods = methods,
};

/* field, header, function */
#define FIELDS(X)                                                                                \
    X(Command, "COMMAND", add_command)                                                           \
    X(CreatedAt, "CREATED AT", add_created)                                                      \
    X(ID, "CONTAINER ID", add_id)                                                                \
    X(Image, "IMAGE", add_image)                                                                 \
    X(Labels, "LABELS", add_labels)                                                              \
    X(LocalVolumes, "LOCAL VOLUMES", add_volumes)                                                \
    X(Mounts, "MOUNTS", add_nothing)                                                             \
    X(Names, "NAMES", add_name)                                                                  \
    X(Networks, "NETWORKS", add_network)                                                         \
    X(Platform, "PLATFORM", add_platform)                                                        \
    X(Ports, "PORTS", add_nothing)                                                               \
    X(RunningFor, "CREATED", add_age)                                                            \
    X(Size, "SIZE", add_size)                                                                    \
    X(State, "STATE", add_state)                                                                 \
    X(Status, "STATUS", add_status)

static const struct show_column columns[] = {
#define X(field, header, fn) { #field, header },
    FIELDS(X)
#undef X
        { NULL, NULL },
};

const struct show_table box_table = {
    .fallback = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t"
                "{{.Ports}}\t{{.Names}}",
    .columns = columns,
    .type = &row_type,
};

static void add_health(const struct box_brief *box, struct str *out)
{
    if (box->state == BOX_PAUSED) /* docker: not both */
        str_adds(out, " (Paused)");
    else if (!strcmp(box->health, HEALTH_STARTING))
        str_adds(out, " (health: starting)");
    else if (*box->health)
        str_addf(out, " (%s)", box->health);
}

void box_status(const struct box_brief *box, int64_t now_ns, struct str *out)
{
    switch (box->state) {
    case BOX_CREATED:
    case BOX_STARTING:
        str_adds(out, "Created");
        break;
    case BOX_RUNNING:
    case BOX_STOPPING:
    case BOX_PAUSED:
        str_adds(out, "Up ");
        human_duration(now_ns - box->started_ns, out);
        add_health(box, out);
        break;
    case BOX_RESTARTING:
        str_addf(out, "Restarting (%d) ", box->exit_code);
        human_duration(now_ns - box->finished_ns, out);
        str_adds(out, " ago");
        break;
    case BOX_STOPPED:
        str_addf(out, "Exited (%d) ", box->exit_code);
        human_duration(now_ns - box->finished_ns, out);
        str_adds(out, " ago");
        break;
    case BOX_DEAD:
        str_adds(out, "Dead");
        if (box->error[0])
            str_addf(out, " (%.64s)", box->error);
        break;
    case BOX_REMOVING:
        str_adds(out, "Removal In Progress");
        break;
    case BOX_STATE_N:
        break;
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "k=v,k2=v2", sorted. */
static void add_sorted(json_t *labels, struct str *out)
{
    size_t n = 0, max = json_object_size(labels);
    autofree const char **keys = max ? calloc(max, sizeof(*keys)) : NULL;
    const char *key;
    json_t *value;

    if (!keys)
        return; /* none, or no memory for them */
    json_object_foreach(labels, key, value)
    {
        keys[n++] = key;
    }
    qsort(keys, n, sizeof(*keys), by_name);
    for (size_t i = 0; i < n; i++)
        str_addf(out, "%s%s=%s", i ? "," : "", keys[i],
                 json_string_value(json_object_get(labels, keys[i])));
}

/* Bytes of the writable layer that are really on disk. */
uint64_t box_disk_used(const char *home, const char *id)
{
    autofree char *path = str_format("%s/boxes/%s/" BOX_DISK, home, id);
    struct stat st;

    if (!path || stat(path, &st) < 0)
        return 0; /* not made yet */
    return (uint64_t)st.st_blocks * 512;
}

static json_t *parse_labels(const struct box_brief *box)
{
    return *box->labels ? json_loads(box->labels, 0, NULL) : NULL;
}

/* ---- fields ---- */

static void add_command(const struct box_brief *box, const struct box_row_how *how,
                        struct str *out)
{
    str_addc(out, '"');
    human_ellipsis(box->command, how->no_trunc ? SIZE_MAX - 1 : COMMAND_WIDTH - 1, out);
    str_addc(out, '"');
}

static void add_created(const struct box_brief *box, const struct box_row_how *how UNUSED,
                        struct str *out)
{
    human_time(box->created_ns, out);
}

static void add_id(const struct box_brief *box, const struct box_row_how *how, struct str *out)
{
    str_add(out, box->id, how->no_trunc ? strlen(box->id) : SHORT_ID);
}

static void add_image(const struct box_brief *box, const struct box_row_how *how UNUSED,
                      struct str *out)
{
    str_adds(out, box->image);
}

static void add_labels(const struct box_brief *box, const struct box_row_how *how UNUSED,
                       struct str *out)
{
    json_t *labels = parse_labels(box);

    add_sorted(labels, out);
    json_decref(labels);
}

static void add_volumes(const struct box_brief *box UNUSED, const struct box_row_how *how UNUSED,
                        struct str *out)
{
    str_adds(out, "0");
}

static void add_nothing(const struct box_brief *box UNUSED, const struct box_row_how *how UNUSED,
                        struct str *out UNUSED)
{
}

static void add_name(const struct box_brief *box, const struct box_row_how *how UNUSED,
                     struct str *out)
{
    str_adds(out, box->name);
}

static void add_network(const struct box_brief *box, const struct box_row_how *how UNUSED,
                        struct str *out)
{
    str_adds(out, box->network);
}

static void add_platform(const struct box_brief *box, const struct box_row_how *how UNUSED,
                         struct str *out)
{
    str_adds(out, box->platform);
}

static void add_age(const struct box_brief *box, const struct box_row_how *how, struct str *out)
{
    human_duration(how->now_ns - box->created_ns, out);
    str_adds(out, " ago");
}

static void add_size(const struct box_brief *box, const struct box_row_how *how, struct str *out)
{
    uint64_t used = how->size ? box_disk_used(how->home, box->id) : 0;

    human_size(used, out);
    if (!how->size || !box->image_bytes)
        return;
    str_adds(out, " (virtual ");
    human_size(used + box->image_bytes, out);
    str_addc(out, ')');
}

static void add_state(const struct box_brief *box, const struct box_row_how *how UNUSED,
                      struct str *out)
{
    str_adds(out, box_state_docker_name(box->state));
}

static void add_status(const struct box_brief *box, const struct box_row_how *how,
                       struct str *out)
{
    box_status(box, how->now_ns, out);
}

/* ---- rows ---- */

static void (*const adders[])(const struct box_brief *box, const struct box_row_how *how,
                              struct str *out) = {
#define X(field, header, fn) fn,
    FIELDS(X)
#undef X
};

#define LABEL_BIT BIT(31)
_Static_assert(ARRAY_LEN(adders) < 31, "a bit for each field, and one for Label");

uint32_t box_row_fields(const struct show_list *list)
{
    uint32_t fields = show_list_use(list, "Label") ? LABEL_BIT : 0;

    for (size_t i = 0; i < ARRAY_LEN(adders); i++)
        if (show_list_use(list, columns[i].field))
            fields |= BIT(i);
    return fields;
}

/* Arguments may be any bytes, JSON may not. */
static json_t *text_json(const struct str *text)
{
    json_t *j = json_string(str_c(text));
    autostr clean = STR_INIT(0);

    if (j)
        return j;
    for (const char *p = str_c(text); *p; p++)
        str_add(&clean, (unsigned char)*p < 0x80 ? p : "?", 1);
    return json_string(str_c(&clean));
}

json_t *box_row(const struct box_brief *box, const struct box_row_how *how)
{
    autostr text = STR_INIT(0);
    json_t *row = json_object();

    for (size_t i = 0; row && i < ARRAY_LEN(adders); i++) {
        if (how->fields && !(how->fields & BIT(i)))
            continue;
        str_clear(&text);
        adders[i](box, how, &text);
        cli_set(row, columns[i].field, text_json(&text));
    }
    if (row && *box->labels && (!how->fields || how->fields & LABEL_BIT))
        cli_set(row, LABELS, parse_labels(box));
    return row;
}
