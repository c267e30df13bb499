#include "registry/creds_file.h"

#include "util/str.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *data, size_t len)
{
    const unsigned char *p = data;
    char *out = len > CREDS_MAX * 2 ? NULL : malloc((len + 2) / 3 * 4 + 1);
    size_t n = 0;

    if (!out)
        return NULL;
    for (size_t i = 0; i < len; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16;

        v |= i + 1 < len ? (uint32_t)p[i + 1] << 8 : 0;
        v |= i + 2 < len ? p[i + 2] : 0;
        out[n++] = alphabet[v >> 18];
        out[n++] = alphabet[v >> 12 & 63];
        out[n++] = i + 1 < len ? alphabet[v >> 6 & 63] : '=';
        out[n++] = i + 2 < len ? alphabet[v & 63] : '=';
    }
    out[n] = '\0';
    return out;
}

/* The text's length without padding, or 0 when it is no base64. */
static size_t base64_len(const char *text)
{
    size_t len = strlen(text), n = strspn(text, alphabet);

    if (len > CREDS_MAX * 2 || len % 4 == 1 || n % 4 == 1 || len - n > 2)
        return 0;
    if (len > n && (len % 4 != 0 || strspn(text + n, "=") != len - n))
        return 0;
    return n;
}

char *base64_decode(const char *text)
{
    size_t n = base64_len(text), out_n = 0;
    uint32_t bits = 0;
    unsigned have = 0;
    char *out;

    if (n == 0)
        return NULL;
    out = malloc(n / 4 * 3 + 4);
    if (!out)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        bits = bits << 6 | (uint32_t)(strchr(alphabet, text[i]) - alphabet);
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[out_n] = (char)(bits >> have & 0xff);
            if (!out[out_n++]) { /* a NUL would hide what follows */
                explicit_bzero(out, out_n);
                free(out);
                return NULL;
            }
        }
    }
    out[out_n] = '\0';
    return out;
}

int creds_config_parse(const void *text, size_t len, json_t **ret, struct err *e)
{
    autojson *j = NULL;
    int r = 0;

    if (len > CREDS_CONFIG_MAX)
        return err_set(e, ERR_LIMIT, "larger than %zu bytes", CREDS_CONFIG_MAX);
    if (strspn(text, " \t\r\n") >= len) /* docker takes an empty file */
        j = json_object();
    else
        r = json_parse(text, len, "JSON", &j, e);
    if (r < 0)
        return r;
    if (!json_is_object(j))
        return err_set(e, ERR_CORRUPT, "JSON: not an object");
    *ret = take_ptr(j);
    return 0;
}

/* "https://host/v1/" is "host". The length of the host in `key`, and where it begins. */
static size_t key_host(const char *key, const char **ret)
{
    if (strncasecmp(key, "https://", 8) == 0)
        key += 8;
    else if (strncasecmp(key, "http://", 7) == 0)
        key += 7;
    *ret = key;
    return strcspn(key, "/");
}

const char *creds_config_key(const json_t *config, const char *host)
{
    json_t *auths = json_object_get(config, "auths");
    const char *wanted = creds_key(host), *key;
    json_t *v;

    if (json_object_get(auths, wanted))
        return json_object_iter_key(json_object_iter_at(auths, wanted));
    json_object_foreach(auths, key, v)
    {
        const char *at;
        size_t n = key_host(key, &at);

        if (n == strlen(host) && strncasecmp(at, host, n) == 0)
            return key;
    }
    return NULL;
}

static int copy(const json_t *o, const char *name, char **ret, struct err *e)
{
    const char *text = NULL;
    int r;

    r = json_get_str(o, name, &text, e);
    if (r < 0 || !text || !*text)
        return r;
    if (strlen(text) > CREDS_MAX)
        return err_set(e, ERR_LIMIT, "'%s' is longer than %zu bytes", name, CREDS_MAX);
    *ret = strdup(text);
    return *ret ? 0 : err_os(e, "credentials");
}

/* "auth": base64 of user:password. */
static int split_auth(const json_t *o, struct creds *ret, struct err *e)
{
    const char *auth = NULL;
    char *plain, *colon;
    int r;

    r = json_get_str(o, "auth", &auth, e);
    if (r < 0 || !auth || !*auth)
        return r;
    plain = base64_decode(auth);
    colon = plain ? strchr(plain, ':') : NULL;
    if (!colon) {
        r = err_set(e, ERR_CORRUPT, "'auth' is not base64 of USER:PASSWORD");
    } else {
        ret->user = strndup(plain, (size_t)(colon - plain));
        ret->password = strdup(colon + 1);
        if (!ret->user || !ret->password)
            r = err_os(e, "credentials");
    }
    if (plain)
        explicit_bzero(plain, strlen(plain));
    free(plain);
    return r;
}

int creds_config_auth(const json_t *config, const char *host, struct creds *ret, struct err *e)
{
    const char *key = creds_config_key(config, host);
    const json_t *o = key ? json_object_get(json_object_get(config, "auths"), key) : NULL;
    struct creds c = { .user = NULL };
    int r;

    if (!o)
        return 0;
    if (!json_is_object(o))
        return err_set(e, ERR_CORRUPT, "auths: '%.100s' is not an object", key);
    r = split_auth(o, &c, e);
    if (r == 0 && !c.user)
        r = copy(o, "username", &c.user, e);
    if (r == 0 && c.user && !c.password)
        r = copy(o, "password", &c.password, e);
    if (r == 0)
        r = copy(o, "identitytoken", &c.identity, e);
    if (r == 0)
        r = copy(o, "registrytoken", &c.token, e);
    if (r < 0) {
        creds_done(&c);
        return err_ctx(e, "auths: '%.100s'", key);
    }
    *ret = c;
    return 0;
}

static bool is_name(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

    return n > 0 && n <= 64 && !s[n];
}

int creds_config_helper(const json_t *config, const char *host, const char **ret, struct err *e)
{
    const char *helper = NULL, *key;
    json_t *helpers = NULL, *v;
    int r;

    *ret = NULL;
    r = json_get_obj(config, "credHelpers", &helpers, e);
    if (r < 0)
        return r;
    json_object_foreach(helpers, key, v)
    {
        const char *at;
        size_t n = key_host(key, &at);

        if (strcmp(key, creds_key(host)) == 0 ||
            (n == strlen(host) && strncasecmp(at, host, n) == 0)) {
            r = json_get_str(helpers, key, &helper, e);
            if (r < 0)
                return err_ctx(e, "credHelpers");
            break;
        }
    }
    if (!helper)
        r = json_get_str(config, "credsStore", &helper, e);
    if (r < 0)
        return r;
    if (helper && *helper && !is_name(helper))
        return err_set(e, ERR_INVALID, "'%.64s' is no name of a credential helper", helper);
    *ret = helper && *helper ? helper : NULL;
    return 0;
}
