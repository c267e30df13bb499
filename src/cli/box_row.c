#include "cli/box_row.h"

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

static const struct show_column columns[] = {
    { "Command", "COMMAND" },   { "CreatedAt", "CREATED AT" },
    { "ID", "CONTAINER ID" },   { "Image", "IMAGE" },
    { "Labels", "LABELS" },     { "LocalVolumes", "LOCAL VOLUMES" },
    { "Mounts", "MOUNTS" },     { "Names", "NAMES" },
    { "Networks", "NETWORKS" }, { "Platform", "PLATFORM" },
    { "Ports", "PORTS" },       { "RunningFor", "CREATED" },
    { "Size", "SIZE" },         { "State", "STATE" },
    { "Status", "STATUS" },     { NULL, NULL },
};

const struct show_table box_table = {
    .fallback = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t"
                "{{.Ports}}\t{{.Names}}",
    .columns = columns,
    .type = &row_type,
};

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
        str_adds(out, box->state == BOX_PAUSED ? " (Paused)" : "");
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
static void labels_text(json_t *labels, struct str *out)
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

static void set_text(json_t *row, const char *key, const struct str *text)
{
    cli_set(row, key, json_string(str_c(text)));
}

static void set_command(json_t *row, const struct box_brief *box, bool no_trunc)
{
    autostr text = STR_INIT(0);

    str_addc(&text, '"');
    human_ellipsis(box->command, no_trunc ? SIZE_MAX - 1 : COMMAND_WIDTH - 1, &text);
    str_addc(&text, '"');
    set_text(row, "Command", &text);
}

static void set_times(json_t *row, const struct box_brief *box, int64_t now_ns)
{
    autostr created = STR_INIT(64), running = STR_INIT(64), status = STR_INIT(64);

    human_time(box->created_ns, &created);
    set_text(row, "CreatedAt", &created);
    human_duration(now_ns - box->created_ns, &running);
    str_adds(&running, " ago");
    set_text(row, "RunningFor", &running);
    box_status(box, now_ns, &status);
    set_text(row, "Status", &status);
}

json_t *box_row(const struct box_brief *box, const struct box_row_how *how)
{
    json_t *row = json_object(), *of_box = *box->labels ? json_loads(box->labels, 0, NULL) : NULL;
    autostr labels = STR_INIT(0), size = STR_INIT(64);

    if (!row) {
        json_decref(of_box);
        return NULL;
    }
    set_command(row, box, how->no_trunc);
    cli_set(row, "ID", json_stringn(box->id, how->no_trunc ? strlen(box->id) : SHORT_ID));
    cli_set(row, "Image", json_string(box->image));
    labels_text(of_box, &labels);
    set_text(row, "Labels", &labels);
    cli_set(row, "LocalVolumes", json_string("0"));
    cli_set(row, "Mounts", json_string(""));
    cli_set(row, "Names", json_string(box->name));
    cli_set(row, "Networks", json_string(box->network));
    cli_set(row, "Platform", json_string(box->platform));
    cli_set(row, "Ports", json_string(""));
    human_size(how->size ? box_disk_used(how->home, box->id) : 0, &size);
    set_text(row, "Size", &size);
    cli_set(row, "State", json_string(box_state_docker_name(box->state)));
    set_times(row, box, how->now_ns);
    if (of_box)
        cli_set(row, LABELS, of_box);
    return row;
}
