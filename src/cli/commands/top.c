#include "box/lifecycle.h"
#include "cli/boxes.h"
#include "cli/output.h"
#include "cli/proc_table.h"
#include "show/table.h"

#include <string.h>

#define MIN_WIDTH 20 /* docker's, for this command only */

struct top_args {
    const char *format;
};

static const struct opt top_opts[] = {
    OPT_STR(0, "format", "FORMAT", struct top_args, format, "table (default) or json"),
    { .type = OPT_END },
};

static json_t *split(const char *line, size_t len)
{
    json_t *cells = json_array();

    for (const char *end = line + len; line <= end;) {
        const char *tab = memchr(line, '\t', (size_t)(end - line));
        const char *to = tab ? tab : end;

        (void)json_array_append_new(cells, json_stringn(line, (size_t)(to - line)));
        line = to + 1;
    }
    return cells;
}

/* As docker's API: {"Titles": [...], "Processes": [[...], ...]}. */
static void print_json(struct cli *cli, const char *text)
{
    json_t *rows = json_array(), *titles = NULL, *o;
    autostr out = STR_INIT(0);

    for (; *text; text = strchr(text, '\n') + 1) {
        json_t *cells = split(text, strcspn(text, "\n"));

        if (titles)
            (void)json_array_append_new(rows, cells); /* shows as missing */
        else
            titles = cells;
    }
    o = json_pack("{s:o, s:o}", "Processes", rows, "Titles", titles);
    show_json(o, NULL, &out);
    fprintf(cli->out, "%s\n", str_c(&out));
    json_decref(o);
}

static int print_procs(struct cli *cli, const struct box *box, const struct proc_list *procs,
                       const char *format, char **args, struct err *e)
{
    autostr text = STR_INIT(0), aligned = STR_INIT(0);
    int r;

    r = proc_table(procs, procs->memory_limit ? procs->memory_limit : box->spec.memory_bytes,
                   args, &text, e);
    if (r < 0)
        return r;
    if (format && !strcmp(format, "json")) {
        print_json(cli, str_c(&text));
        return 0;
    }
    cli_use_utf8();
    show_align(str_c(&text), MIN_WIDTH, &aligned);
    if (text.failed || aligned.failed)
        return err_set(e, ERR_LIMIT, "Output is too big");
    (void)fwrite(str_c(&aligned), 1, aligned.len, cli->out); /* main checks the stream */
    return 0;
}

static int top_run(struct cli *cli, const void *args, int argc UNUSED, char **argv, struct err *e)
{
    const char *format = ((const struct top_args *)args)->format;
    autoptr(db) db = NULL;
    autoptr(box) box = NULL;
    struct proc_list procs = { 0 };
    int r;

    if (format && strcmp(format, "json") != 0 && strcmp(format, "table") != 0)
        return err_set(e, ERR_INVALID, "Format '%.32s' is neither table nor json", format);
    r = cli_open_box(cli, argv[0], &db, &box, e);
    if (r < 0)
        return r;
    if (box->state != BOX_RUNNING && box->state != BOX_PAUSED)
        return err_set(e, ERR_STATE, "Box %s is not running", box->name);
    r = box_procs(cli->home, box, &procs, e);
    if (r >= 0)
        cli_tell(db, box, "top", NULL, 0);
    if (r >= 0)
        r = print_procs(cli, box, &procs, format, argv + 1, e);
    config_done(proc_list, &procs);
    return r;
}

const struct command cmd_top = {
    .name = "top",
    .synopsis = "[OPTIONS] BOX [PS_OPTIONS]",
    .summary = "List the processes of a box",
    .details = "Options of ps: -ef (default), ax, aux, -o LIST, -eo LIST.\n"
               "%MEM is of what the box may use: its limit, or all that its machine has.\n",
    .group = GROUP_LOOK,
    .arg = ARG_RUNNING,
    .flags = CMD_STOP_AT_ARG,
    .min_args = 1,
    .max_args = ARGS_ANY,
    .opts = top_opts,
    .args_size = sizeof(struct top_args),
    .run = top_run,
};
