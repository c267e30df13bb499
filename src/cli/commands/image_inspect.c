#include "cli/images.h"
#include "cli/output.h"
#include "db/db.h"

struct image_inspect_args {
    const char *format;
};

static const struct opt image_inspect_opts[] = {
    OPT_STR('f', "format", "FORMAT", struct image_inspect_args, format, "json, or a Go template"),
    { .type = OPT_END },
};

struct inspect {
    struct db *db;
    const struct show_template *template;
    json_t *found;
};

static int inspect_one(struct cli *cli, const char *name, const void *arg, struct err *e)
{
    const struct inspect *in = arg;
    autoptr(image) img = NULL;
    json_t *o;
    int r;

    r = image_lookup(in->db, cli->home, name, &img, e);
    if (r < 0)
        return r;
    o = image_inspect(img);
    if (o && in->template)
        r = cli_print_template(
            cli, in->template,
            &(struct show_exec){ .data = o, .type = &image_inspect_type, .missing_error = true },
            e);
    else if (!o || json_array_append(in->found, o) < 0)
        r = err_set(e, ERR_LIMIT, "Out of memory");
    json_decref(o);
    return r;
}

static void print_array(struct cli *cli, const json_t *found)
{
    autofree char *text = found ? json_dumps(found, JSON_INDENT(4)) : NULL;

    fprintf(cli->out, "%s\n", text ? text : "[]");
}

static int image_inspect_run(struct cli *cli, const void *own_args, int argc UNUSED, char **argv,
                             struct err *e)
{
    const struct image_inspect_args *args = own_args;
    autoptr(show_template) t = NULL;
    autoptr(db) db = NULL;
    struct inspect in;
    int r;

    r = cli_template(cli, args->format, &t, e);
    if (r >= 0)
        r = db_open(cli->home, &db, e);
    if (r < 0)
        return r;
    in = (struct inspect){ db, t, json_array() };
    r = cli_each_arg(cli, argv, inspect_one, &in, e);
    if (!t)
        print_array(cli, in.found);
    json_decref(in.found);
    return r;
}

const struct command cmd_image_inspect = {
    .name = "image-inspect",
    .sub_name = "inspect",
    .synopsis = "[OPTIONS] IMAGE [IMAGE...]",
    .summary = "Show everything known about images",
    .group = GROUP_IMAGE,
    .arg = ARG_IMAGE,
    .min_args = 1,
    .max_args = ARGS_ANY,
    .opts = image_inspect_opts,
    .args_size = sizeof(struct image_inspect_args),
    .run = image_inspect_run,
};
