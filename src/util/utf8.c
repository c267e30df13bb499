#include "util/utf8.h"

#include <stdint.h>
#include <string.h>

size_t utf8_len(const void *data, size_t left)
{
    const uint8_t *p = data;
    size_t n;

    if (left == 0)
        return 0;
    n = *p < 0x80 ? 1 : *p < 0xc2 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf5 ? 4 : 0;
    if (n > left)
        return 0;
    if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
        (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

void utf8_put_json(struct str *out, const char *text)
{
    size_t left = strlen(text);
    const unsigned char *p = (const unsigned char *)text;

    str_addc(out, '"');
    while (left) {
        size_t n = utf8_len(p, left);

        if (n == 0)
            str_adds(out, "\xef\xbf\xbd");
        else if (*p == '"' || *p == '\\')
            str_addf(out, "\\%c", *p);
        else if (*p < 0x20)
            str_addf(out, "\\u%04x", *p);
        else
            str_add(out, p, n);
        n = n ? n : 1;
        p += n;
        left -= n;
    }
    str_addc(out, '"');
}
