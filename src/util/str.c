#include "util/str.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

void str_done(struct str *s)
{
    free(s->p);
    *s = (struct str){ .max = s->max };
}

void str_clear(struct str *s)
{
    s->len = 0;
    s->failed = false;
    if (s->p)
        s->p[0] = '\0';
}

char *str_reserve(struct str *s, size_t len)
{
    size_t max = s->max ? s->max : STR_MAX_DEFAULT;
    size_t want;
    char *p;

    if (s->failed || len > max || s->len > max - len) {
        s->failed = true;
        return NULL;
    }
    if (s->cap > s->len + len)
        return s->p + s->len;
    want = s->cap ? s->cap * 2 : 64;
    if (want < s->len + len + 1)
        want = s->len + len + 1;
    if (want > max + 1)
        want = max + 1;
    p = realloc(s->p, want);
    if (!p) {
        s->failed = true;
        return NULL;
    }
    s->p = p;
    s->cap = want;
    return p + s->len;
}

void str_added(struct str *s, size_t len)
{
    s->len += len;
    s->p[s->len] = '\0';
}

bool str_add(struct str *s, const void *data, size_t len)
{
    char *at = str_reserve(s, len);

    if (!at)
        return false;
    if (len)
        memcpy(at, data, len);
    str_added(s, len);
    return true;
}

bool str_adds(struct str *s, const char *text)
{
    return str_add(s, text, strlen(text));
}

bool str_addc(struct str *s, char c)
{
    return str_add(s, &c, 1);
}

bool str_vaddf(struct str *s, const char *fmt, va_list ap)
{
    char *at = str_reserve(s, 0);
    size_t room = at ? s->cap - s->len : 0;
    va_list again;
    int n;

    va_copy(again, ap);
    n = at ? vsnprintf(at, room, fmt, again) : -1; /* mostly there is room: formatted once */
    va_end(again);
    if (n >= 0 && (size_t)n >= room) {
        *at = '\0'; /* as it was, whatever comes */
        at = str_reserve(s, (size_t)n);
        if (at)
            (void)vsnprintf(at, (size_t)n + 1, fmt, ap);
    }
    if (!at || n < 0) {
        s->failed = true;
        return false;
    }
    s->len += (size_t)n;
    return true;
}

bool str_addf(struct str *s, const char *fmt, ...)
{
    va_list ap;
    bool ok;

    va_start(ap, fmt);
    ok = str_vaddf(s, fmt, ap);
    va_end(ap);
    return ok;
}

void str_drop(struct str *s, size_t len)
{
    if (len >= s->len) {
        str_clear(s);
        return;
    }
    memmove(s->p, s->p + len, s->len - len + 1);
    s->len -= len;
}

char *str_take(struct str *s)
{
    char *p;

    if (s->failed || !str_reserve(s, 0))
        return NULL;
    s->p[s->len] = '\0';
    p = take_ptr(s->p);
    str_done(s);
    return p;
}

char *str_format(const char *fmt, ...)
{
    struct str s = STR_INIT(0);
    va_list ap;

    va_start(ap, fmt);
    (void)str_vaddf(&s, fmt, ap);
    va_end(ap);
    if (s.failed) {
        str_done(&s);
        return NULL;
    }
    return str_take(&s);
}
