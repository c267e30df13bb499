#include "cli/files.h"

#include <string.h>

#define CHANGES_MAX ((size_t)1 << 30) /* bytes of paths */

struct changes {
    struct str text; /* "Cpath" NUL ... */
    size_t n;
};

static int by_path(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    int order = strcmp(x + 1, y + 1);

    return order ? order : *x - *y;
}

static int take(struct changes *c, const struct msg *m, struct err *e)
{
    const char *p = m->data;

    if (m->type != MSG_ARCHIVE_CHANGE || m->len < 2 || !strchr("ACD", p[0]) || p[1] != '/' ||
        memchr(p, '\0', m->len))
        return err_set(e, ERR_CORRUPT, "unexpected answer of type %u", m->type);
    if (!str_add(&c->text, p, m->len) || !str_addc(&c->text, '\0'))
        return err_set(e, ERR_LIMIT, "too many changes to list");
    c->n++;
    return 0;
}

/* A path of the box is a stranger's text: what a terminal would obey is made harmless. */
static void print_path(const char *p, FILE *out)
{
    for (; *p; p++)
        (void)fputc((unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p, out);
    (void)fputc('\n', out);
}

static int print(struct cli *cli, const struct changes *c, struct err *e)
{
    autofree const char **lines = calloc(c->n + 1, sizeof(*lines));
    const char *p = str_c(&c->text);

    if (!lines)
        return err_os(e, "changes");
    for (size_t i = 0; i < c->n; i++, p += strlen(p) + 1)
        lines[i] = p;
    qsort(lines, c->n, sizeof(*lines), by_path);
    for (size_t i = 0; i < c->n; i++) {
        fprintf(cli->out, "%c ", lines[i][0]);
        print_path(lines[i] + 1, cli->out);
    }
    return 0;
}

static int diff_run(struct cli *cli, const void *args UNUSED, int argc UNUSED, char **argv,
                    struct err *e)
{
    struct changes c = { .text = STR_INIT(CHANGES_MAX) };
    autoptr(db) db = NULL;
    autoptr(box) box = NULL;
    autoptr(files) files = NULL;
    struct msg m;
    int r = cli_open_box(cli, argv[0], &db, &box, e);

    if (r == 0)
        r = files_open(cli, db, box, false, &files, e);
    if (r == 0)
        r = files_ask(files, &(struct archive_request){ .op = ARCHIVE_CHANGES }, e);
    while (r == 0 && (r = files_next(files, &m, e)) > 0)
        r = take(&c, &m, e);
    if (r == 0)
        r = print(cli, &c, e);
    str_done(&c.text);
    return r;
}

const struct command cmd_diff = {
    .name = "diff",
    .synopsis = "BOX",
    .summary = "List what a box has changed in its file system",
    .details = "A: added, C: changed, D: deleted; against the image, sorted by path.\n",
    .group = GROUP_LOOK,
    .arg = ARG_BOX1,
    .min_args = 1,
    .max_args = 1,
    .run = diff_run,
};
