#include "show/table.h"

#include "show/human.h"

#include <string.h>

#define PADDING     3
#define MIN_WIDTH   10
#define METHODS_MAX 8 /* of a row type; there is one: Label */
#define OUTPUT_MAX  ((size_t)256 << 20)

struct show_list {
    const struct show_table *table; /* borrowed */
    struct show_template *template; /* owned; NULL: json */
    bool header;
    struct str rows; /* what has been added */
};

/* ---- alignment ---- */

struct cell {
    const char *text;
    size_t len, width; /* width: columns on a terminal */
};

/* A line is its cells; all but the last were terminated by a tab. */
struct line {
    struct cell *cells;
    size_t n;
};

struct grid {
    struct line *lines; /* owned */
    struct cell *cells; /* of all lines; owned */
    size_t *widths;     /* one per cell: of its column, there; owned */
    size_t n, columns;
};

static void grid_done(struct grid *g)
{
    free(g->lines);
    free(g->cells);
    free(g->widths);
}

static size_t count(const char *text, char what)
{
    size_t n = 0;

    for (; *text; text++)
        n += *text == what;
    return n;
}

static const char *split_line(const char *p, struct line *l)
{
    for (;; p++) {
        size_t len = strcspn(p, "\t\n");

        l->cells[l->n++] = (struct cell){ p, len, human_width(p, len) };
        p += len;
        if (*p != '\t')
            return *p ? p + 1 : p;
    }
}

static bool split(const char *text, struct grid *g)
{
    size_t lines = count(text, '\n') + 1, cells = count(text, '\t') + lines, used = 0;

    g->lines = calloc(lines, sizeof(*g->lines));
    g->cells = calloc(cells, sizeof(*g->cells));
    g->widths = calloc(cells, sizeof(*g->widths));
    if (!g->lines || !g->cells || !g->widths)
        return false;
    while (*text) {
        struct line *l = &g->lines[g->n++];

        l->cells = g->cells + used;
        text = split_line(text, l);
        used += l->n;
        g->columns = l->n > g->columns ? l->n : g->columns;
    }
    return true;
}

/* The width of column `c`: in each block of lines that have such a cell, its widest. */
static void measure(struct grid *g, size_t c, size_t min)
{
    for (size_t i = 0; i < g->n;) {
        size_t end = i, width = min;

        for (; end < g->n && g->lines[end].n > c + 1; end++) {
            size_t w = g->lines[end].cells[c].width + PADDING;

            width = w > width ? w : width;
        }
        if (end == i)
            i++;
        for (; i < end; i++)
            g->widths[g->lines[i].cells + c - g->cells] = width;
    }
}

static void add_blanks(struct str *out, size_t n)
{
    char *at = str_reserve(out, n);

    if (!at)
        return;
    memset(at, ' ', n);
    str_added(out, n);
}

void show_align(const char *text, size_t min_width, struct str *out)
{
    struct grid g = { 0 };

    if (!split(text, &g))
        out->failed = true;
    for (size_t c = 0; c + 1 < g.columns; c++)
        measure(&g, c, min_width);
    for (size_t i = 0; i < g.n; i++) {
        for (size_t c = 0; c < g.lines[i].n; c++) {
            const struct cell *cell = &g.lines[i].cells[c];

            str_add(out, cell->text, cell->len);
            if (c + 1 < g.lines[i].n)
                add_blanks(out, g.widths[cell - g.cells] - cell->width);
        }
        str_addc(out, '\n');
    }
    grid_done(&g);
}

/* ---- formats ---- */

/* Outside of actions, \t and \n become what they stand for. */
static bool unescape(const char *format, struct str *out)
{
    bool inside = false;

    for (const char *p = format; *p; p++) {
        if (!strncmp(p, "{{", 2))
            inside = true;
        else if (!strncmp(p, "}}", 2))
            inside = false;
        if (!inside && p[0] == '\\' && (p[1] == 't' || p[1] == 'n'))
            str_addc(out, *++p == 't' ? '\t' : '\n');
        else
            str_addc(out, *p);
    }
    return !out->failed;
}

/* "table" by itself is the command's own; "table TEMPLATE" is a table of the user's. */
static const char *choose(const struct show_table *table, const char *format, bool *ret_header)
{
    while (format && *format == ' ')
        format++;
    if (!format || !*format || !strcmp(format, "table"))
        format = table->fallback;
    *ret_header = !strncmp(format, "table", 5) && (format[5] == ' ' || format[5] == '\t');
    if (*ret_header)
        format += 6;
    return format;
}

int show_list_parse(const struct show_table *table, const char *format, struct show_list **ret,
                    struct err *e)
{
    autoptr(show_list) l = calloc(1, sizeof(*l));
    autostr text = STR_INIT(0);
    int r;

    if (!l)
        return err_os(e, "format");
    l->table = table;
    l->rows.max = OUTPUT_MAX;
    format = choose(table, format, &l->header);
    if (strcmp(format, "json") != 0) {
        if (!unescape(format, &text))
            return err_set(e, ERR_LIMIT, "format is too long");
        r = show_template_parse(str_c(&text), &l->template, e);
        if (r < 0)
            return err_ctx(e, "template parsing error");
    }
    *ret = take_ptr(l);
    return 0;
}

void show_list_free(struct show_list *l)
{
    if (!l)
        return;
    show_template_free(l->template);
    str_done(&l->rows);
    free(l);
}

enum show_use show_list_use(const struct show_list *l, const char *field)
{
    return l->template ? show_template_use(l->template, field) : SHOW_MAYBE;
}

int show_list_add(struct show_list *l, const json_t *row, struct err *e)
{
    struct show_exec x = { .data = row, .type = l->table->type };
    int r = 0;

    if (l->template)
        r = show_template_exec(l->template, &x, &l->rows, e);
    else
        show_json(row, l->table->type, &l->rows);
    if (r >= 0 && !str_addc(&l->rows, '\n'))
        r = err_set(e, ERR_LIMIT, "Output is too big");
    return r;
}

/* `.Label "com.docker.compose.project"` stands in a column called "project". */
static int label_header(const json_t *self UNUSED, const char *const *args, struct str *ret,
                        struct err *e UNUSED)
{
    const char *dot = strrchr(args[0], '.');

    for (const char *p = dot ? dot + 1 : args[0]; *p; p++)
        str_addc(ret, *p == '-' || *p == '_' ? ' ' : *p);
    return 0;
}

static int header(const struct show_list *l, struct str *out, struct err *e)
{
    const struct show_type *type = l->table->type;
    struct show_method methods[METHODS_MAX + 1] = { { NULL } };
    struct show_type header_type = { .methods = methods };
    json_t *names = json_object();
    struct show_exec x = { .data = names, .type = &header_type, .header = true };
    int r;

    if (!names)
        return err_os(e, "table");
    for (const struct show_column *c = l->table->columns; c->field; c++)
        (void)json_object_set_new(names, c->field, json_string(c->header)); /* shows as missing */
    for (size_t i = 0; type && type->methods && type->methods[i].name && i < METHODS_MAX; i++)
        methods[i] = (struct show_method){ type->methods[i].name, 1, label_header };
    r = show_template_exec(l->template, &x, out, e);
    str_addc(out, '\n');
    json_decref(names);
    return r;
}

int show_list_end(struct show_list *l, FILE *out, struct err *e)
{
    autostr text = STR_INIT(OUTPUT_MAX), aligned = STR_INIT(OUTPUT_MAX);
    struct str *result = &l->rows;
    int r;

    if (l->header) {
        r = header(l, &text, e);
        if (r < 0)
            return r;
        str_add(&text, str_c(&l->rows), l->rows.len);
        show_align(str_c(&text), MIN_WIDTH, &aligned);
        result = &aligned;
    }
    if (text.failed || result->failed)
        return err_set(e, ERR_LIMIT, "Output is too big");
    (void)fwrite(str_c(result), 1, result->len, out); /* main checks the stream */
    return 0;
}

int show_list_print(struct show_list *l, const json_t *rows, FILE *out, struct err *e)
{
    int r = 0;

    for (size_t i = 0; i < json_array_size(rows) && r >= 0; i++)
        r = show_list_add(l, json_array_get(rows, i), e);
    return r < 0 ? r : show_list_end(l, out, e);
}
