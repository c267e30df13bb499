#include "oci/changes.h"

#include "util/str.h"

#include <ctype.h>
#include <string.h>

#define WORDS_MAX 256

struct words {
    char *v[WORDS_MAX];
    size_t n;
};

static void words_done(struct words *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->v[i]);
}

/* One word with its quotes and backslashes resolved; moves *at behind it. */
static int take_word(const char **at, char **ret, struct err *e)
{
    autostr word = STR_INIT(65536);
    char quote = '\0';
    const char *p;

    for (p = *at; *p && (quote || !isspace((unsigned char)*p)); p++) {
        if (quote && *p == quote) {
            quote = '\0';
        } else if (!quote && (*p == '"' || *p == '\'')) {
            quote = *p;
        } else {
            p += *p == '\\' && quote != '\'' && p[1];
            (void)str_addc(&word, *p);
        }
    }
    if (quote)
        return err_set(e, ERR_INVALID, "a quote is not closed");
    *at = p;
    *ret = str_take(&word);
    return *ret ? 0 : err_set(e, ERR_LIMIT, "a word is too long");
}

static int split(const char *text, struct words *ret, struct err *e)
{
    int r = 0;

    for (const char *p = text; r == 0;) {
        p += strspn(p, " \t\n");
        if (!*p)
            return 0;
        if (ret->n == WORDS_MAX)
            return err_set(e, ERR_LIMIT, "more than %d words", WORDS_MAX);
        r = take_word(&p, &ret->v[ret->n], e);
        ret->n += r == 0;
    }
    return r;
}

/* ["a", "b"], or shell form: /bin/sh -c TEXT. */
static int set_command(json_t *config, const char *key, const char *rest, struct err *e)
{
    json_t *value = NULL;
    struct err ignored = { 0 };

    if (rest[0] == '[' && json_parse(rest, strlen(rest), key, &value, &ignored) == 0) {
        char **check = NULL;
        int r = json_object_set_new(config, key, value) < 0
                    ? err_os(e, "%s", key)
                    : json_get_strv(config, key, &check, e);

        strv_free(check);
        return r;
    }
    value = json_pack("[s, s, s]", "/bin/sh", "-c", rest);
    return json_object_set_new(config, key, value) < 0 ? err_os(e, "%s", key) : 0;
}

static int set_text(json_t *config, const char *key, const char *rest, struct err *e)
{
    return json_object_set_new(config, key, json_string(rest)) < 0
               ? err_set(e, ERR_INVALID, "not UTF-8")
               : 0;
}

/* Replace the variable of the same name, else append. */
static int put_env(json_t *env, const char *pair, struct err *e)
{
    size_t name = strcspn(pair, "="), i;
    json_t *old;

    json_array_foreach(env, i, old)
    {
        const char *text = json_string_value(old);

        if (text && strncmp(text, pair, name + 1) == 0)
            return json_array_set_new(env, i, json_string(pair)) < 0
                       ? err_set(e, ERR_INVALID, "not UTF-8")
                       : 0;
    }
    return json_array_append_new(env, json_string(pair)) < 0
               ? err_set(e, ERR_INVALID, "not UTF-8")
               : 0;
}

static json_t *member(json_t *config, const char *key, json_t *own_fresh)
{
    json_t *value = json_object_get(config, key);

    if (value && json_typeof(value) == json_typeof(own_fresh)) {
        json_decref(own_fresh);
        return value;
    }
    return json_object_set_new(config, key, own_fresh) < 0 ? NULL : own_fresh;
}

/* A=1 B=2, or the old form: A 1 2. */
static int for_pairs(json_t *config, const char *key, const char *rest, struct err *e)
{
    bool env = strcmp(key, "Env") == 0;
    json_t *into = member(config, key, env ? json_array() : json_object());
    struct words words = { .n = 0 };
    int r = into ? split(rest, &words, e) : err_os(e, "%s", key);

    if (r == 0 && words.n >= 2 && !strchr(words.v[0], '=')) {
        const char *value = rest + strcspn(rest, " \t");
        char *pair = str_format("%s=%s", words.v[0], value + strspn(value, " \t"));

        words_done(&words);
        words = (struct words){ .v = { pair }, .n = 1 };
        r = pair ? 0 : err_os(e, "%s", key);
    }
    for (size_t i = 0; r == 0 && i < words.n; i++) {
        char *equals = strchr(words.v[i], '=');

        if (!equals || equals == words.v[i]) {
            r = err_set(e, ERR_INVALID, "'%s' is not NAME=VALUE", words.v[i]);
        } else if (env) {
            r = put_env(into, words.v[i], e);
        } else {
            *equals = '\0';
            r = set_text(into, words.v[i], equals + 1, e);
        }
    }
    words_done(&words);
    return r;
}

/* Words, or a JSON array of them. */
static int split_list(const char *rest, struct words *ret, struct err *e)
{
    autojson *list = NULL;
    struct err ignored = { 0 };
    json_t *item;
    size_t i;

    if (rest[0] != '[' || json_parse(rest, strlen(rest), "list", &list, &ignored) < 0)
        return split(rest, ret, e);
    json_array_foreach(list, i, item)
    {
        const char *text = json_string_value(item);

        if (!text || ret->n == WORDS_MAX)
            return err_set(e, ERR_INVALID, "not an array of at most %d strings", WORDS_MAX);
        ret->v[ret->n] = strdup(text);
        if (!ret->v[ret->n++])
            return err_os(e, "list");
    }
    return 0;
}

/* Keys of an object: ports, volumes. */
static int for_keys(json_t *config, const char *key, const char *rest, struct err *e)
{
    json_t *into = member(config, key, json_object());
    struct words words = { .n = 0 };
    int r = into ? split_list(rest, &words, e) : err_os(e, "%s", key);

    for (size_t i = 0; r == 0 && i < words.n; i++) {
        bool port = strcmp(key, "ExposedPorts") == 0 && !strchr(words.v[i], '/');
        autofree char *name = str_format("%s%s", words.v[i], port ? "/tcp" : "");

        if (!name || json_object_set_new(into, name, json_object()) < 0)
            r = err_set(e, ERR_INVALID, "not UTF-8");
    }
    words_done(&words);
    return r;
}

static int add_onbuild(json_t *config, const char *key, const char *rest, struct err *e)
{
    json_t *into = member(config, key, json_array());

    return !into || json_array_append_new(into, json_string(rest)) < 0
               ? err_set(e, ERR_INVALID, "not UTF-8")
               : 0;
}

static const struct {
    const char *word, *key;
    int (*apply)(json_t *config, const char *key, const char *rest, struct err *e);
} instructions[] = {
    { "CMD", "Cmd", set_command },
    { "ENTRYPOINT", "Entrypoint", set_command },
    { "ENV", "Env", for_pairs },
    { "LABEL", "Labels", for_pairs },
    { "EXPOSE", "ExposedPorts", for_keys },
    { "VOLUME", "Volumes", for_keys },
    { "WORKDIR", "WorkingDir", set_text },
    { "USER", "User", set_text },
    { "STOPSIGNAL", "StopSignal", set_text },
    { "ONBUILD", "OnBuild", add_onbuild },
};

int change_apply(json_t *config, const char *instruction, struct err *e)
{
    const char *start = instruction + strspn(instruction, " \t");
    size_t len = strcspn(start, " \t");
    const char *rest = start + len + strspn(start + len, " \t");

    for (size_t i = 0; i < ARRAY_LEN(instructions); i++) {
        int r;

        if (strlen(instructions[i].word) != len ||
            strncasecmp(instructions[i].word, start, len) != 0)
            continue;
        if (!*rest)
            return err_set(e, ERR_INVALID, "Invalid change '%s': nothing follows", instruction);
        r = instructions[i].apply(config, instructions[i].key, rest, e);
        return r < 0 ? err_ctx(e, "Invalid change '%s'", instruction) : 0;
    }
    return err_set(e, ERR_INVALID, "Invalid change '%s': '%.*s' is not a valid change command",
                   instruction, (int)len, start);
}
