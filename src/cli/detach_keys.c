#include "cli/detach_keys.h"

#include <string.h>

static int parse_key(const char *text, size_t len, uint8_t *ret, struct err *e)
{
    const char *symbol;

    if (len == 1) {
        *ret = (uint8_t)text[0];
        return 0;
    }
    if (len == 6 && !memcmp(text, "ctrl-", 5)) {
        symbol = strchr("@abcdefghijklmnopqrstuvwxyz[\\]^_", text[5]);
        if (symbol && *symbol) {
            *ret = *symbol == '@' ? 0 : (uint8_t)(*symbol & 0x1f);
            return 0;
        }
    }
    return err_set(e, ERR_INVALID, "invalid detach keys: unknown character '%.*s'", (int)len,
                   text);
}

int detach_keys_parse(const char *text, struct detach_keys *ret, struct err *e)
{
    struct detach_keys d = { 0 };

    if (!text)
        text = DETACH_KEYS_DEFAULT;
    while (*text) {
        size_t len = text[0] == ',' ? 1 : strcspn(text, ",");
        int r;

        if (d.n == DETACH_KEYS_MAX)
            return err_set(e, ERR_INVALID, "invalid detach keys: more than %d", DETACH_KEYS_MAX);
        r = parse_key(text, len, &d.keys[d.n], e);
        if (r < 0)
            return r;
        d.n++;
        text += len;
        text += *text == ',';
    }
    *ret = d;
    return 0;
}

bool detach_keys_filter(struct detach_keys *d, const uint8_t *in, size_t len, uint8_t *out,
                        size_t *ret_len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if (d->n && in[i] == d->keys[d->matched]) {
            if (++d->matched == d->n) {
                *ret_len = n;
                return true;
            }
            continue;
        }
        memcpy(out + n, d->keys, d->matched);
        n += d->matched;
        d->matched = d->n && in[i] == d->keys[0];
        if (!d->matched)
            out[n++] = in[i];
    }
    *ret_len = n;
    return false;
}
