#include "cli/box_inspect.h"
#include "cli/box_row.h"
#include "cli/boxes.h"
#include "cli/images.h"
#include "cli/output.h"

#include <string.h>

struct inspect_args {
    bool size;
    const char *format, *type;
};

static const struct opt inspect_opts[] = {
    OPT_STR('f', "format", "FORMAT", struct inspect_args, format, "json, or a Go template"),
    OPT_FLAG('s', "size", struct inspect_args, size, "Add SizeRw and SizeRootFs of boxes"),
    OPT_STR(0, "type", "TYPE", struct inspect_args, type, "container (or box), or image"),
    { .type = OPT_END },
};

struct inspect {
    struct db *db;
    const struct inspect_args *args;
    const struct show_template *template;
    json_t *found;
};

/* The writable layer, and that plus the image. */
static void add_sizes(struct cli *cli, const struct inspect *in, const struct box *box, json_t *o)
{
    uint64_t rw = box_disk_used(cli->home, box->id);
    autoptr(image) image = NULL;
    struct err gone;

    if (image_lookup(in->db, cli->home, box->spec.image_id, &image, &gone) < 0)
        image = NULL; /* it was removed by force: the layer is all there is */
    cli_set(o, "SizeRw", json_integer((json_int_t)rw));
    cli_set(o, "SizeRootFs", json_integer((json_int_t)(rw + (image ? image->size : 0))));
}

/* What the name stands for; NOT_FOUND in docker's words. */
static int find(struct cli *cli, const struct inspect *in, const char *name, json_t **ret,
                const struct show_type **ret_type, struct err *e)
{
    const char *type = in->args->type ? in->args->type : "";
    autoptr(box) box = NULL;
    autoptr(image) image = NULL;
    bool boxes = strcmp(type, "image") != 0, images = !*type || !boxes;
    int r = -ERR_NOT_FOUND;

    if (boxes)
        r = box_find(in->db, cli->home, name, &box, e);
    if (r >= 0) {
        *ret = box_inspect(box, cli->home);
        *ret_type = &box_inspect_type;
        if (in->args->size && *ret)
            add_sizes(cli, in, box, *ret);
    } else if (images && (!boxes || e->kind == ERR_NOT_FOUND)) {
        r = image_lookup(in->db, cli->home, name, &image, e);
        if (r >= 0)
            *ret = image_inspect(image);
        *ret_type = &image_inspect_type;
    }
    if (r < 0 && e->kind == ERR_NOT_FOUND)
        return err_set(e, ERR_NOT_FOUND, "No such %s: %.200s",
                       images && boxes ? "object"
                       : boxes         ? "container"
                                       : "image",
                       name);
    if (r >= 0 && !*ret)
        return err_set(e, ERR_LIMIT, "Out of memory");
    return r;
}

static int inspect_one(struct cli *cli, const char *name, const void *arg, struct err *e)
{
    const struct inspect *in = arg;
    const struct show_type *type = NULL;
    json_t *o = NULL;
    int r;

    r = find(cli, in, name, &o, &type, e);
    if (r >= 0 && in->template)
        r = cli_print_template(
            cli, in->template,
            &(struct show_exec){ .data = o, .type = type, .missing_error = true }, e);
    else if (r >= 0)
        r = json_array_append(in->found, o) < 0 ? err_set(e, ERR_LIMIT, "Out of memory") : 0;
    json_decref(o);
    return r;
}

/* docker prints what it found, [] when that is nothing, before it complains. */
static int print_array(struct cli *cli, const json_t *found, struct err *e)
{
    autofree char *text = json_dumps(found, JSON_INDENT(4));

    if (!text)
        return err_set(e, ERR_LIMIT, "Out of memory");
    fprintf(cli->out, "%s\n", text);
    return 0;
}

static int inspect_run(struct cli *cli, const void *args, int argc UNUSED, char **argv,
                       struct err *e)
{
    autoptr(show_template) t = NULL;
    autoptr(db) db = NULL;
    struct inspect in = { .args = args };
    const char *type = in.args->type;
    struct err printing;
    int r;

    if (type && strcmp(type, "container") != 0 && strcmp(type, "box") != 0 &&
        strcmp(type, "image") != 0)
        return err_set(e, ERR_INVALID, "unknown type: \"%.100s\"", type);
    r = cli_template(cli, in.args->format, &t, e);
    if (r >= 0)
        r = db_open(cli->home, &db, e);
    if (r < 0)
        return r;
    in.db = db;
    in.template = t;
    in.found = json_array();
    r = cli_each_arg(cli, argv, inspect_one, &in, e);
    if (!t && print_array(cli, in.found, &printing) < 0) {
        *e = printing;
        r = -(int)e->kind;
    }
    json_decref(in.found);
    return r;
}

const struct command cmd_inspect = {
    .name = "inspect",
    .synopsis = "[OPTIONS] NAME|ID [NAME|ID...]",
    .summary = "Show everything known about boxes and images",
    .group = GROUP_LOOK,
    .arg = ARG_OBJECT,
    .min_args = 1,
    .max_args = ARGS_ANY,
    .opts = inspect_opts,
    .args_size = sizeof(struct inspect_args),
    .run = inspect_run,
};
