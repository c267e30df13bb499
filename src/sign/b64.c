#include "sign/b64.h"

#include <string.h>

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four characters to `n` bytes: 3, or fewer when padded. */
static bool group_decode(const char *in, size_t n, uint8_t out[3])
{
    uint32_t bits = 0;

    for (size_t i = 0; i < 4; i++) {
        int v = i <= n ? value_of(in[i]) : 0;

        if (v < 0 || (i > n && in[i] != '='))
            return false;
        bits = bits << 6 | (uint32_t)v;
    }
    out[0] = (uint8_t)(bits >> 16);
    out[1] = (uint8_t)(bits >> 8);
    out[2] = (uint8_t)bits;
    return n == 3 || (bits & (n == 2 ? 0xff : 0xffff)) == 0;
}

bool b64_decode(const char *text, size_t len, struct str *ret)
{
    uint8_t out[3];

    if (len % 4)
        return false;
    for (size_t i = 0; i < len; i += 4) {
        size_t n = 3;

        if (i + 4 == len && text[i + 3] == '=')
            n = text[i + 2] == '=' ? 1 : 2;
        if (!group_decode(text + i, n, out) || !str_add(ret, out, n))
            return false;
    }
    return true;
}

bool b64_encode(const void *data, size_t len, struct str *ret)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        uint32_t bits = (uint32_t)p[i] << 16;
        char out[4];

        bits |= n > 1 ? (uint32_t)p[i + 1] << 8 : 0;
        bits |= n > 2 ? p[i + 2] : 0;
        for (size_t k = 0; k < 4; k++)
            out[k] = k <= n ? digits[bits >> (18 - 6 * k) & 63] : '=';
        if (!str_add(ret, out, 4))
            return false;
    }
    return true;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_decode(const char *text, uint8_t *ret, size_t len)
{
    if (strlen(text) != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = digit_of(text[2 * i]), low = digit_of(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
