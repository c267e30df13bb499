#include "registry/challenge.h"

#include "util/own.h"
#include "util/str.h"

#include <string.h>
#include <strings.h>

/* RFC 9110, 5.6.2 */
static bool is_token(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static size_t token_len(const char *p)
{
    size_t n = 0;

    while (is_token(p[n]))
        n++;
    return n;
}

static bool is(const char *token, size_t n, const char *name)
{
    return strlen(name) == n && strncasecmp(token, name, n) == 0;
}

/* A quoted string or what reaches to the next comma or blank. */
static int take_value(const char **at, struct str *ret, struct err *e)
{
    const char *p = *at;

    if (*p != '"') {
        size_t n = strcspn(p, ", \t");

        *at = p + n;
        return str_add(ret, p, n) ? 0 : err_set(e, ERR_LIMIT, "its challenge is too long");
    }
    for (p++; *p && *p != '"'; p++) {
        if (*p == '\\' && p[1])
            p++;
        if (!str_addc(ret, *p))
            return err_set(e, ERR_LIMIT, "its challenge is too long");
    }
    if (*p != '"')
        return err_set(e, ERR_CORRUPT, "its challenge has a quote without an end");
    *at = p + 1;
    return 0;
}

static const char *skip_blanks(const char *p)
{
    return p + strspn(p, " \t");
}

static int keep(struct challenge *c, const char *name, size_t n, struct str *value, struct err *e)
{
    char **to = is(name, n, "realm")     ? &c->realm
                : is(name, n, "service") ? &c->service
                : is(name, n, "scope")   ? &c->scope
                : is(name, n, "error")   ? &c->error
                                         : NULL;

    if (!to || *to)
        return 0;
    *to = str_take(value);
    return *to ? 0 : err_set(e, ERR_LIMIT, "Out of memory");
}

/* One "name=value". */
static int take_param(const char **at, const char *name, size_t name_n, struct challenge *keep_in,
                      struct err *e)
{
    autostr value = STR_INIT(CHALLENGE_VALUE_MAX);
    int r;

    r = take_value(at, &value, e);
    return r < 0 || !keep_in ? r : keep(keep_in, name, name_n, &value, e);
}

int challenge_parse(const char *text, struct challenge *c, struct err *e)
{
    struct challenge *into = NULL; /* of the scheme we are in */
    const char *p = text;
    int r;

    for (;;) {
        const char *token, *after;
        size_t n;

        p += strspn(p, ", \t");
        if (!*p)
            return 0;
        token = p;
        n = token_len(p);
        if (n == 0)
            return err_set(e, ERR_CORRUPT, "its challenge '%.60s' does not parse", text);
        after = skip_blanks(p + n);
        if (*after == '=' && after[1] != '=') {
            p = skip_blanks(after + 1);
            r = take_param(&p, token, n, into, e);
            if (r < 0)
                return r;
            continue;
        }
        /* A scheme; what is not followed by a parameter is a token68, skipped. */
        into = is(token, n, "Bearer") && !c->bearer ? c : NULL;
        c->bearer = c->bearer || is(token, n, "Bearer");
        c->basic = c->basic || is(token, n, "Basic");
        if (!c->other[0] && !is(token, n, "Bearer") && !is(token, n, "Basic"))
            (void)snprintf(c->other, sizeof(c->other), "%.*s", n < 32 ? (int)n : 31, token);
        p += n;
        if (*p == '=')
            p += strcspn(p, ", \t");
        else if (*p && *p != ' ' && *p != '\t' && *p != ',')
            return err_set(e, ERR_CORRUPT, "its challenge '%.60s' does not parse", text);
    }
}

void challenge_done(struct challenge *c)
{
    free(c->realm);
    free(c->service);
    free(c->scope);
    free(c->error);
    *c = (struct challenge){ .basic = false };
}
