#include "box/security.h"

#include "box/seccomp_profile.h"

#include <string.h>

/* "key=value" or, as docker once wrote it, "key:value". */
static const char *value_of(const char *text, const char *key)
{
    size_t len = strlen(key);

    if (strncmp(text, key, len) != 0 || (text[len] != '=' && text[len] != ':'))
        return NULL;
    return text + len + 1;
}

static int parse_bool(const char *text, bool *ret)
{
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return -1;
    *ret = text[0] == 't';
    return 0;
}

/* The flag names a file, the specification has its content. */
static int check_profile(const char *text, struct security_options *o, struct err *e)
{
    struct seccomp_profile p = { 0 };
    int r = seccomp_profile_parse(text, strlen(text), &p, e);

    seccomp_profile_done(&p);
    o->profile = r < 0 ? NULL : text;
    return r < 0 ? err_ctx(e, "--security-opt") : 0;
}

static int parse_option(const char *text, struct security_options *o, struct err *e)
{
    const char *value;

    if (!strcmp(text, "no-new-privileges")) {
        o->no_new_privs = true;
        return 0;
    }
    value = value_of(text, "no-new-privileges");
    if (value && parse_bool(value, &o->no_new_privs) == 0)
        return 0;
    value = value_of(text, "systempaths");
    if (value && !strcmp(value, "unconfined")) {
        o->open_systempaths = true;
        return 0;
    }
    if (value_of(text, "apparmor") || value_of(text, "label"))
        return 0;
    value = value_of(text, "seccomp");
    if (!value)
        return err_set(e, ERR_INVALID, "invalid --security-opt: \"%.100s\"", text);
    o->unconfined = !strcmp(value, "unconfined");
    o->profile = NULL;
    if (o->unconfined || !strcmp(value, "default") || !strcmp(value, "builtin"))
        return 0;
    return check_profile(value, o, e);
}

int security_options(const struct box_spec *spec, struct security_options *ret, struct err *e)
{
    struct security_options o = { 0 };

    for (size_t i = 0; i < spec->security_opt.n; i++) {
        int r = parse_option(spec->security_opt.v[i], &o, e);

        if (r < 0)
            return r;
    }
    *ret = o;
    return 0;
}
