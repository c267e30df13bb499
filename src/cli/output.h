/* What list and inspect commands share: everything printed goes through show/. */
#pragma once

#include "cli/command.h"
#include "show/table.h"

/* Before anything that measures or changes text (show/human.h, templates): the locale whose
 * characters have widths. Loading it takes a tenth of the start of this program, so commands that
 * print no tables do without. */
void cli_use_utf8(void);

/* Read --format before anything is done. A bad template ends the command with status 64. */
int cli_format(struct cli *cli, const struct show_table *table, const char *format,
               struct show_list **ret, struct err *e) MUST_CHECK;

/* --format of commands that print one object: "json" or a template; NULL: *ret is NULL. */
int cli_template(struct cli *cli, const char *format, struct show_template **ret,
                 struct err *e) MUST_CHECK;

/* One object with a template and a newline. */
int cli_print_template(struct cli *cli, const struct show_template *t, const struct show_exec *x,
                       struct err *e) MUST_CHECK;

/* "s" -> json, or {} members that are skipped when memory is gone; see jansson's ownership. */
void cli_set(json_t *object, const char *key, json_t *own_value);
