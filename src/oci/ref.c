#include "oci/ref.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#define DEFAULT_HOST "docker.io"
#define LIBRARY      "library/"

static bool is_hex(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(s[i] >= '0' && s[i] <= '9') && !(s[i] >= 'a' && s[i] <= 'f'))
            return false;
    return true;
}

bool digest_valid(const char *text)
{
    return strlen(text) == DIGEST_LEN && strncmp(text, "sha256:", 7) == 0 && is_hex(text + 7, 64);
}

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
    return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

/* [a-z0-9]+ joined by one '.', one or two '_', or any number of '-'. */
static bool component_valid(const char *s, size_t n)
{
    size_t i = 0;

    while (i < n) {
        size_t start = i, sep;

        while (i < n && is_lower_alnum(s[i]))
            i++;
        if (i == start)
            return false;
        if (i == n)
            return true;
        sep = i;
        if (s[i] == '.')
            i++;
        else if (s[i] == '_')
            i += s[i + 1] == '_' && i + 1 < n ? 2 : 1;
        else
            while (i < n && s[i] == '-')
                i++;
        if (i == sep)
            return false;
    }
    return false;
}

static int check_port(const char *text, const char *s, size_t n, struct err *e)
{
    unsigned port = 0;
    bool ok = n > 0 && n <= 5;

    for (size_t i = 0; ok && i < n; i++) {
        ok = s[i] >= '0' && s[i] <= '9';
        port = port * 10 + (unsigned)(s[i] - '0');
    }
    if (ok && port > 0 && port <= UINT16_MAX)
        return 0;
    return err_set(e, ERR_INVALID,
                   "Invalid reference '%.300s': the port '%.*s' is not a number from 1 to 65535",
                   text, n > 40 ? 40 : (int)n, s);
}

/* Labels of letters, digits and inner '-', joined by dots. */
static bool name_valid(const char *s, size_t n)
{
    size_t start = 0;

    for (size_t i = 0;; i++) {
        if (i == n || s[i] == '.') {
            if (i == start || s[start] == '-' || s[i - 1] == '-')
                return false;
            if (i == n)
                return true;
            start = i + 1;
        } else if (!is_alnum(s[i]) && s[i] != '-') {
            return false;
        }
    }
}

/* "[IPv6]", without a zone. */
static bool address_valid(const char *s, size_t n)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr ignored;

    if (n < 4 || n - 2 >= sizeof(address) || s[0] != '[' || s[n - 1] != ']')
        return false;
    memcpy(address, s + 1, n - 2);
    address[n - 2] = '\0';
    return inet_pton(AF_INET6, address, &ignored) == 1;
}

/* A name or an address, then an optional port. */
static int check_host(const char *text, const char *s, size_t n, struct err *e)
{
    const char *end = s[0] == '[' ? memchr(s, ']', n) : s;
    const char *colon = end ? memchr(end, ':', n - (size_t)(end - s)) : NULL;
    size_t host = colon ? (size_t)(colon - s) : n;

    if (s[0] != '[' && colon && memchr(colon + 1, ':', n - host - 1))
        return err_set(
            e, ERR_INVALID,
            "Invalid reference '%.300s': the host '%.*s' is not valid: an IPv6 address "
            "stands in brackets, as in [::1]:5000/x",
            text, n > 60 ? 60 : (int)n, s);
    if (s[0] == '[' ? !address_valid(s, host) : !name_valid(s, host))
        return err_set(e, ERR_INVALID, "Invalid reference '%.300s': the host '%.*s' is not %s",
                       text, host > 100 ? 100 : (int)host, s,
                       s[0] == '[' ? "an IPv6 address in brackets" : "valid");
    return colon ? check_port(text, colon + 1, n - host - 1, e) : 0;
}

static bool looks_like_host(const char *s, size_t n)
{
    if (n == 9 && memcmp(s, "localhost", 9) == 0)
        return true;
    for (size_t i = 0; i < n; i++)
        if (s[i] == '.' || s[i] == ':' || s[i] == '[' || (s[i] >= 'A' && s[i] <= 'Z'))
            return true;
    return false;
}

static int check_path(const char *text, const char *path, struct err *e)
{
    const char *p = path;

    if (!*path)
        return err_set(e, ERR_INVALID, "Invalid reference '%s': the repository is missing", text);
    for (;;) {
        size_t n = strcspn(p, "/");

        for (size_t i = 0; i < n; i++)
            if (p[i] >= 'A' && p[i] <= 'Z')
                return err_set(e, ERR_INVALID,
                               "Invalid reference '%s': the repository '%s' must be lower-case",
                               text, path);
        if (!component_valid(p, n))
            return err_set(e, ERR_INVALID,
                           "Invalid reference '%s': the repository '%s' is not valid", text,
                           path);
        if (!p[n])
            return 0;
        p += n + 1;
    }
}

static int parse_tag(const char *text, const char *tag, struct ref *ret, struct err *e)
{
    size_t n = strlen(tag);
    bool ok = n > 0 && n <= REF_TAG_MAX && tag[0] != '.' && tag[0] != '-';

    for (size_t i = 0; i < n; i++)
        ok = ok && (is_alnum(tag[i]) || strchr("_.-", tag[i]));
    if (!ok)
        return err_set(e, ERR_INVALID,
                       "Invalid reference '%.300s': the tag '%.130s' is not valid: %s", text, tag,
                       n > REF_TAG_MAX ? "it is longer than 128 characters"
                                       : "it has letters, digits, '_', '.' and '-' only, and "
                                         "begins with neither '.' nor '-'");
    memcpy(ret->tag, tag, n + 1);
    ret->has_tag = true;
    return 0;
}

static int parse_name(const char *text, const char *rest, struct ref *ret, struct err *e)
{
    size_t first = strcspn(rest, "/");
    const char *library = "";
    int n;

    if (rest[first] == '/' && looks_like_host(rest, first)) {
        n = check_host(text, rest, first, e);
        if (n < 0)
            return n;
        (void)snprintf(ret->host, sizeof(ret->host), "%.*s", (int)first, rest);
        rest += first + 1;
        if (strcmp(ret->host, "index.docker.io") == 0)
            (void)snprintf(ret->host, sizeof(ret->host), DEFAULT_HOST);
    } else {
        (void)snprintf(ret->host, sizeof(ret->host), DEFAULT_HOST);
    }
    if (strcmp(ret->host, DEFAULT_HOST) == 0 && !strchr(rest, '/'))
        library = LIBRARY;
    n = check_path(text, rest, e);
    if (n < 0)
        return n;
    if (*library && strlen(rest) == 64 && is_hex(rest, 64))
        return err_set(e, ERR_INVALID,
                       "Invalid reference '%s': the repository '%s' would look like an id", text,
                       rest);
    n = snprintf(ret->name, sizeof(ret->name), "%s/%s%s", ret->host, library, rest);
    if (n < 0 || n > REF_NAME_MAX)
        return err_set(e, ERR_INVALID,
                       "Invalid reference '%s': the name is longer than %d characters", text,
                       REF_NAME_MAX);
    ret->path_at = strlen(ret->host) + 1;
    return 0;
}

int ref_parse(const char *text, struct ref *ret, struct err *e)
{
    struct ref ref = { .has_tag = false };
    char buf[REF_TEXT_MAX + 64];
    char *at, *colon, *slash;
    int r;

    if (!*text)
        return err_set(e, ERR_INVALID, "Invalid reference '': it is empty");
    if (strlen(text) >= sizeof(buf))
        return err_set(e, ERR_INVALID, "Invalid reference '%.60s...': it is too long", text);
    memcpy(buf, text, strlen(text) + 1);
    at = strchr(buf, '@');
    if (at) {
        *at++ = '\0';
        if (!digest_valid(at))
            return err_set(e, ERR_INVALID,
                           "Invalid reference '%s': the digest '%s' is not sha256 and 64 "
                           "lower-case hexadecimal digits",
                           text, at);
        memcpy(ref.digest, at, DIGEST_LEN + 1);
    }
    slash = strrchr(buf, '/');
    colon = strrchr(buf, ':');
    if (colon && (!slash || colon > slash)) {
        *colon = '\0';
        r = parse_tag(text, colon + 1, &ref, e);
        if (r < 0)
            return r;
    }
    r = parse_name(text, buf, &ref, e);
    if (r < 0)
        return r;
    if (!ref.has_tag && !ref.digest[0])
        memcpy(ref.tag, "latest", 7);
    *ret = ref;
    return 0;
}

static void join(const char *name, const struct ref *ref, char ret[REF_TEXT_MAX])
{
    (void)snprintf(ret, REF_TEXT_MAX, "%s%s%s%s%s", name, ref->tag[0] ? ":" : "", ref->tag,
                   ref->digest[0] ? "@" : "", ref->digest);
}

void ref_full(const struct ref *ref, char ret[REF_TEXT_MAX])
{
    join(ref->name, ref, ret);
}

void ref_familiar(const struct ref *ref, char ret[REF_TEXT_MAX])
{
    join(ref_familiar_name(ref->name), ref, ret);
}

/* What follows `prefix` in `s`, or NULL. */
static const char *after(const char *s, const char *prefix)
{
    for (; *prefix; s++, prefix++)
        if (*s != *prefix)
            return NULL;
    return s;
}

const char *ref_familiar_name(const char *full)
{
    const char *path = after(full, DEFAULT_HOST "/");
    const char *name = path ? after(path, LIBRARY) : NULL;

    if (!path)
        return full;
    if (name && !strchr(name, '/')) {
        size_t n = strcspn(name, ":@");

        return n == 64 && is_hex(name, n) ? path : name; /* alone it would be an id */
    }
    /* "docker.io/host.example/x" without its host would be on another one. */
    return strchr(path, '/') && looks_like_host(path, strcspn(path, "/")) ? full : path;
}
