#include "util/id.h"

#include <sys/random.h>

void hex_encode(const void *data, size_t len, char *ret)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i++) {
        *ret++ = digits[p[i] >> 4];
        *ret++ = digits[p[i] & 15];
    }
    *ret = '\0';
}

int id_random(char ret[ID_LEN], struct err *e)
{
    uint8_t raw[32];

    if (getrandom(raw, sizeof(raw), 0) != sizeof(raw))
        return err_os(e, "getrandom");
    hex_encode(raw, sizeof(raw), ret);
    return 0;
}
