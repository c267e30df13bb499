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

struct line {
    const char *text;
    size_t len, cells; /* cells: terminated ones, which is the number of tabs */
};

/* Cell `c` of a line. */
static const char *cell(const struct line *l, size_t c, size_t *ret_len)
{
    const char *p = l->text, *end = l->text + l->len, *tab;

    for (;; c--) {
        tab = memchr(p, '\t', (size_t)(end - p));
        if (!c || !tab)
            break;
        p = tab + 1;
    }
    *ret_len = (size_t)((tab ? tab : end) - p);
    return p;
}

/* Columns of cell (i, c): the widest of the lines around i that have such a cell. Called once
 * per block: widths are kept in `widths`, one per line. */
static void measure(const struct line *lines, size_t n, size_t c, size_t min, size_t *widths)
{
    for (size_t i = 0; i < n;) {
        size_t end = i, width = 0;

        if (lines[i].cells <= c) {
            i++;
            continue;
        }
        for (; end < n && lines[end].cells > c; end++) {
            size_t len, w;
            const char *p = cell(&lines[end], c, &len);

            w = human_width(p, len) + PADDING;
            width = w > width ? w : width;
        }
        for (; i < end; i++)
            widths[i] = width < min ? min : width;
    }
}

static size_t split_lines(const char *text, struct line *lines)
{
    size_t n = 0;

    while (*text) {
        const char *end = strchrnul(text, '\n');
        struct line l = { .text = text, .len = (size_t)(end - text) };

        for (size_t i = 0; i < l.len; i++)
            l.cells += text[i] == '\t';
        if (lines)
            lines[n] = l;
        n++;
        text = *end ? end + 1 : end;
    }
    return n;
}

static void write_line(const struct line *l, const size_t *widths, size_t stride, struct str *out)
{
    for (size_t c = 0; c <= l->cells; c++) {
        size_t len, used;
        const char *p = cell(l, c, &len);

        str_add(out, p, len);
        if (c == l->cells)
            break;
        used = human_width(p, len);
        str_addf(out, "%*s", (int)(widths[c * stride] - used), "");
    }
    str_addc(out, '\n');
}

void show_align(const char *text, size_t min_width, struct str *out)
{
    size_t n = split_lines(text, NULL), columns = 0;
    autofree struct line *lines = calloc(n + 1, sizeof(*lines));
    autofree size_t *widths = NULL;

    if (!lines) {
        out->failed = true;
        return;
    }
    (void)split_lines(text, lines);
    for (size_t i = 0; i < n; i++)
        columns = lines[i].cells > columns ? lines[i].cells : columns;
    widths = calloc(n * columns + 1, sizeof(*widths));
    if (!widths) {
        out->failed = true;
        return;
    }
    for (size_t c = 0; c < columns; c++)
        measure(lines, n, c, min_width, widths + c * n);
    for (size_t i = 0; i < n; i++)
        write_line(&lines[i], widths + i, n, out);
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
