#include "oci/manifest.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct {
    const char *alias, *architecture, *variant;
} aliases[] = {
    { "x86_64", "amd64", "" },  { "x86-64", "amd64", "" }, { "aarch64", "arm64", "" },
    { "arm64v8", "arm64", "" }, { "armhf", "arm", "v7" },  { "armv7l", "arm", "v7" },
    { "armel", "arm", "v6" },   { "i386", "386", "" },     { "i686", "386", "" },
    { "x86", "386", "" },
};

static void normalise(struct platform *p)
{
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++) {
        if (strcmp(p->architecture, aliases[i].alias) != 0)
            continue;
        (void)snprintf(p->architecture, sizeof(p->architecture), "%s", aliases[i].architecture);
        if (!p->variant[0])
            (void)snprintf(p->variant, sizeof(p->variant), "%s", aliases[i].variant);
    }
    if (strcmp(p->architecture, "arm64") == 0 && strcmp(p->variant, "v8") == 0)
        p->variant[0] = '\0'; /* there is no other */
    if (strcmp(p->architecture, "amd64") == 0 && strcmp(p->variant, "v1") == 0)
        p->variant[0] = '\0';
}

int platform_parse(const char *text, struct platform *ret, struct err *e)
{
    struct platform p = { .os = "linux" };
    char word[3][32] = { "" };
    size_t n = 0;

    for (const char *s = text;;) {
        size_t len = strcspn(s, "/");

        if (n == 3 || len == 0 || len >= sizeof(word[0]))
            return err_set(e, ERR_INVALID, "Invalid platform '%.80s'", text);
        memcpy(word[n], s, len);
        word[n++][len] = '\0';
        if (!s[len])
            break;
        s += len + 1;
    }
    if (n == 1) {
        memcpy(p.architecture, word[0], sizeof(p.architecture));
    } else {
        memcpy(p.os, word[0], sizeof(p.os));
        memcpy(p.architecture, word[1], sizeof(p.architecture));
        memcpy(p.variant, word[2], sizeof(p.variant));
    }
    normalise(&p);
    *ret = p;
    return 0;
}

struct platform platform_host(void)
{
#if defined(__x86_64__)
    return (struct platform){ .os = "linux", .architecture = "amd64" };
#elif defined(__aarch64__)
    return (struct platform){ .os = "linux", .architecture = "arm64" };
#else
#error "name this architecture as Go does"
#endif
}

bool platform_fits(const struct platform *want, const struct platform *image)
{
    struct platform p = *image;

    normalise(&p);
    if (p.os[0] && strcmp(p.os, want->os) != 0)
        return false;
    if (p.architecture[0] && strcmp(p.architecture, want->architecture) != 0)
        return false;
    return !want->variant[0] || !p.variant[0] || strcmp(p.variant, want->variant) == 0;
}

/* "v8" is 8, and none is what everybody means by the architecture alone; -1: no number. */
static int variant_number(const struct platform *p)
{
    const char *v = p->variant;

    if (!v[0])
        return strcmp(p->architecture, "arm") == 0     ? 7
               : strcmp(p->architecture, "arm64") == 0 ? 8
               : strcmp(p->architecture, "amd64") == 0 ? 1
                                                       : -1;
    return v[0] == 'v' && v[1] >= '1' && v[1] <= '9' && !v[2] ? v[1] - '0' : -1;
}

#define RANK_SAME    100
#define RANK_UNKNOWN 1

int platform_rank(const struct platform *want, const struct platform *image)
{
    struct platform w = *want, p = *image;
    int wanted, have;

    normalise(&w);
    normalise(&p);
    if (!p.os[0] && !p.architecture[0])
        return RANK_UNKNOWN;
    if ((p.os[0] && strcmp(p.os, w.os) != 0) || strcmp(p.architecture, w.architecture) != 0)
        return 0;
    if (strcmp(p.variant, w.variant) == 0)
        return RANK_SAME;
    wanted = variant_number(&w);
    have = variant_number(&p);
    if (wanted < 0 || have < 0)
        return 0;
    return have <= wanted ? RANK_SAME - (wanted - have) : 0;
}

void platform_text(const struct platform *p, char ret[PLATFORM_TEXT_MAX])
{
    (void)snprintf(ret, PLATFORM_TEXT_MAX, "%s/%s%s%s", p->os[0] ? p->os : "unknown",
                   p->architecture[0] ? p->architecture : "unknown", p->variant[0] ? "/" : "",
                   p->variant);
    for (char *c = ret; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}

const struct index_entry *index_choose(const struct index *index, const struct platform *want)
{
    const struct index_entry *best = NULL;
    int best_rank = 0;

    for (size_t i = 0; i < index->n; i++) {
        const struct index_entry *entry = &index->entries[i];
        int rank = entry->has_platform ? platform_rank(want, &entry->platform) : RANK_UNKNOWN;

        if (rank > best_rank) {
            best_rank = rank;
            best = entry;
        }
    }
    return best;
}

void index_platforms(const struct index *index, char *ret, size_t max)
{
    size_t at = 0;

    ret[0] = '\0';
    for (size_t i = 0; i < index->n; i++) {
        char text[PLATFORM_TEXT_MAX];
        int n;

        /* Attestations say unknown/unknown. */
        if (!index->entries[i].has_platform ||
            strcmp(index->entries[i].platform.os, "unknown") == 0)
            continue;
        platform_text(&index->entries[i].platform, text);
        n = snprintf(ret + at, max - at, "%s%s", at ? ", " : "", text);
        if (n < 0 || (size_t)n >= max - at) {
            ret[at] = '\0';
            return;
        }
        at += (size_t)n;
    }
}

static bool digits(const char **s, size_t n, int *ret)
{
    *ret = 0;
    for (size_t i = 0; i < n; i++, (*s)++) {
        if (**s < '0' || **s > '9')
            return false;
        *ret = *ret * 10 + (**s - '0');
    }
    return true;
}

static bool literal(const char **s, const char *any_of)
{
    if (!**s || !strchr(any_of, **s))
        return false;
    (*s)++;
    return true;
}

static bool fraction(const char **s, int64_t *ret_ns)
{
    int64_t unit = 100000000;

    *ret_ns = 0;
    if (**s != '.')
        return true;
    (*s)++;
    if (**s < '0' || **s > '9')
        return false;
    for (; **s >= '0' && **s <= '9'; (*s)++, unit /= 10)
        *ret_ns += (**s - '0') * unit;
    return true;
}

static bool offset(const char **s, int *ret_s)
{
    int sign = **s == '-' ? -1 : 1, h, m;

    *ret_s = 0;
    if (literal(s, "Zz"))
        return true;
    if (!literal(s, "+-") || !digits(s, 2, &h) || !literal(s, ":") || !digits(s, 2, &m))
        return false;
    *ret_s = sign * (h * 3600 + m * 60);
    return true;
}

bool rfc3339_parse(const char *text, int64_t *ret_ns)
{
    const char *s = text;
    struct tm tm = { 0 };
    int64_t ns;
    int off;

    if (!digits(&s, 4, &tm.tm_year) || !literal(&s, "-") || !digits(&s, 2, &tm.tm_mon) ||
        !literal(&s, "-") || !digits(&s, 2, &tm.tm_mday) || !literal(&s, "Tt ") ||
        !digits(&s, 2, &tm.tm_hour) || !literal(&s, ":") || !digits(&s, 2, &tm.tm_min) ||
        !literal(&s, ":") || !digits(&s, 2, &tm.tm_sec) || !fraction(&s, &ns) ||
        !offset(&s, &off) || *s)
        return false;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
        tm.tm_min > 59 || tm.tm_sec > 60 || tm.tm_year < 1 || tm.tm_year > 2261)
        return false; /* beyond 2261 an int64_t of nanoseconds overflows */
    tm.tm_year -= 1900;
    tm.tm_mon--;
    if (tm.tm_year < 1678 - 1900) {
        *ret_ns = 0; /* Go's zero time, year 1: "not set" */
        return true;
    }
    *ret_ns = ((int64_t)timegm(&tm) - off) * 1000000000 + ns;
    return true;
}
