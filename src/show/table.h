/*
 * The output of commands that list things: docker's formatter.
 *
 * A row is a JSON object; --format is empty or "table" (the command's own table), "table
 * TEMPLATE", "json" (one object per line) or a template. Outside of {{ }}, \t and \n stand for
 * tab and newline.
 */
#pragma once

#include "show/template.h"

struct show_column {
    const char *field, *header; /* "Names", "NAMES" */
};

struct show_table {
    const char *fallback;              /* "table {{.ID}}\t{{.Names}}" */
    const struct show_column *columns; /* every field a template may use; ends with NULL */
    const struct show_type *type;      /* of a row, or NULL */
};

struct show_list;

/* `format` may be NULL. Fails with INVALID: "template parsing error: ...". */
int show_list_parse(const struct show_table *table, const char *format, struct show_list **ret,
                    struct err *e) MUST_CHECK;
void show_list_free(struct show_list *l);
DEFINE_AUTOPTR(show_list)

/* What the format does with a field of a row. */
enum show_use show_list_use(const struct show_list *l, const char *field);

/* Add a row; it is kept as text. Then print all. The header comes even when there are no rows. */
int show_list_add(struct show_list *l, const json_t *row, struct err *e) MUST_CHECK;
int show_list_end(struct show_list *l, FILE *out, struct err *e) MUST_CHECK;

/* Both, for rows that are in an array. */
int show_list_print(struct show_list *l, const json_t *rows, FILE *out, struct err *e) MUST_CHECK;

/* Go's tabwriter with padding 3 and blanks: cells end with a tab, and each column is as wide as
 * its longest cell plus 3, at least `min_width`. The last cell of a line is not padded. */
void show_align(const char *text, size_t min_width, struct str *out);
