/* Typed fields: what decodes must encode to something that decodes to the same. */
#include "proto/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void again(const struct tlv_row *rows, size_t size, const uint8_t *data, size_t len)
{
    void *one = calloc(1, size), *two = calloc(1, size);
    autostr first = STR_INIT(0), second = STR_INIT(0);
    struct err e;

    if (!one || !two)
        abort();
    if (tlv_decode(rows, cur_of(data, len), one, size, &e) == 0) {
        if (tlv_encode(rows, one, &first, &e) < 0 ||
            tlv_decode(rows, cur_of(first.p, first.len), two, size, &e) < 0 ||
            tlv_encode(rows, two, &second, &e) < 0 || first.len != second.len ||
            (first.len && memcmp(first.p, second.p, first.len) != 0))
            abort();
    }
    tlv_done(rows, one);
    tlv_done(rows, two);
    free(one);
    free(two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    switch (data[0] % 5) {
    case 0:
        again(container_config_rows, sizeof(struct container_config), data + 1, len - 1);
        break;
    case 1:
        again(exec_request_rows, sizeof(struct exec_request), data + 1, len - 1);
        break;
    case 2:
        again(proc_list_rows, sizeof(struct proc_list), data + 1, len - 1);
        break;
    case 4:
        again(container_update_rows, sizeof(struct container_update), data + 1, len - 1);
        break;
    default:
        again(exit_info_rows, sizeof(struct exit_info), data + 1, len - 1);
        break;
    }
    return 0;
}
