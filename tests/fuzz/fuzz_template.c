/* Templates come from users: parse and execute any text over a fixed object. */
#include "show/table.h"

#include <locale.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static const char object[] =
    "{\"Name\":\"/web\",\"n\":42,\"f\":1.5,\"t\":true,\"nul\":null,\"s\":\"h\\u00e9llo\","
    "\"list\":[1,\"two\",3.5,null,[4],{\"a\":1}],\"map\":{\"k\":\"v\",\"x\":{\"y\":[]}},"
    "\"State\":{\"Running\":true,\"Pid\":7}}";

static const struct show_type state_type = { .name = "State", .form = SHOW_PTR };
static const struct show_field fields[] = { { "State", &state_type }, { NULL, NULL } };
static const struct show_type root_type = { .name = "Root",
                                            .form = SHOW_STRUCT,
                                            .fields = fields };

int LLVMFuzzerInitialize(int *argc UNUSED, char ***argv UNUSED)
{
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    return 0;
}

static void execute(const struct show_template *t, const json_t *o, const struct show_type *type,
                    bool strict)
{
    autostr out = STR_INIT((size_t)1 << 20);
    struct show_exec x = { .data = o, .type = type, .missing_error = strict, .header = strict };
    struct err e;

    if (show_template_exec(t, &x, &out, &e) < 0 && !e.text[0])
        __builtin_trap(); /* a failure says why */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autoptr(show_template) t = NULL;
    autofree char *text = strndup((const char *)data, size);
    json_t *o = json_loads(object, 0, NULL);
    autostr aligned = STR_INIT((size_t)1 << 20);
    struct err e = { 0 };

    if (!text || !o)
        return 0;
    if (show_template_parse(text, &t, &e) >= 0) {
        execute(t, o, NULL, false);
        execute(t, o, &root_type, true);
    } else if (!e.text[0]) {
        __builtin_trap();
    }
    show_align(text, 10, &aligned);
    json_decref(o);
    return 0;
}
