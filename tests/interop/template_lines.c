/* Executes templates for gotemplate/main.go: reads lines of JSON {"t": template, "d": data,
 * "missing": bool}, writes {"out": text, "err": text} for each. */
#include "show/template.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

static void answer(const json_t *line)
{
    autoptr(show_template) t = NULL;
    autostr out = STR_INIT(0);
    struct show_exec x = { .data = json_object_get(line, "d"),
                           .missing_error = json_is_true(json_object_get(line, "missing")) };
    struct err e = { 0 };
    autofree char *text = NULL;
    json_t *result;
    int r;

    r = show_template_parse(json_string_value(json_object_get(line, "t")), &t, &e);
    if (r >= 0)
        r = show_template_exec(t, &x, &out, &e);
    if (r >= 0)
        err_clear(&e);
    result = json_object();
    (void)json_object_set_new(result, "out", json_stringn_nocheck(str_c(&out), out.len));
    (void)json_object_set_new(result, "err", json_string(e.text));
    text = json_dumps(result, JSON_COMPACT);
    puts(text ? text : "{}");
    json_decref(result);
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;

    (void)setlocale(LC_CTYPE, "C.UTF-8");
    while (getline(&line, &cap, stdin) > 0) {
        json_t *j = json_loads(line, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

        if (j)
            answer(j);
        json_decref(j);
    }
    free(line);
    return 0;
}
