#include "cli/output.h"

#include <locale.h>
#include <string.h>

#define TEMPLATE_STATUS 64 /* docker's exit status for a template that does not parse */
#define OUTPUT_MAX      ((size_t)256 << 20)

void cli_use_utf8(void)
{
    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* missing: names are shown byte by byte */
}

int cli_format(struct cli *cli, const struct show_table *table, const char *format,
               struct show_list **ret, struct err *e)
{
    int r;

    cli_use_utf8();
    r = show_list_parse(table, format, ret, e);
    if (r < 0)
        cli->status = TEMPLATE_STATUS;
    return r;
}

int cli_template(struct cli *cli, const char *format, struct show_template **ret, struct err *e)
{
    int r;

    *ret = NULL;
    if (!format || !*format)
        return 0;
    cli_use_utf8();
    r = show_template_parse(!strcmp(format, "json") ? "{{json .}}" : format, ret, e);
    if (r < 0) {
        cli->status = TEMPLATE_STATUS;
        return err_ctx(e, "template parsing error");
    }
    return 0;
}

int cli_print_template(struct cli *cli, const struct show_template *t, const struct show_exec *x,
                       struct err *e)
{
    autostr out = STR_INIT(OUTPUT_MAX);
    int r = show_template_exec(t, x, &out, e);

    (void)fwrite(str_c(&out), 1, out.len, cli->out); /* main checks the stream */
    fputc('\n', cli->out);
    return r < 0 ? err_ctx(e, "template parsing error") : 0;
}

void cli_set(json_t *object, const char *key, json_t *own_value)
{
    (void)json_object_set_new(object, key, own_value); /* shows as missing */
}
