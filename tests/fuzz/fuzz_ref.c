/* Any text as an image reference: what is accepted reads back as the same, what is not says why.
 */
#include "oci/ref.h"
#include "util/own.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_same(const struct ref *a, const char *text)
{
    struct err e = { 0 };
    struct ref b;

    if (ref_parse(text, &b, &e) < 0 || strcmp(a->name, b.name) != 0 ||
        strcmp(a->tag, b.tag) != 0 || strcmp(a->digest, b.digest) != 0 ||
        strcmp(a->host, b.host) != 0 || a->path_at != b.path_at)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    autofree char *text = strndup((const char *)data, len);
    char full[REF_TEXT_MAX], familiar[REF_TEXT_MAX];
    struct err e = { 0 };
    struct ref ref;
    int r;

    if (!text)
        return 0;
    r = ref_parse(text, &ref, &e);
    if (r < 0) {
        if (r != -ERR_INVALID || !strstr(e.text, "Invalid reference"))
            abort();
        return 0;
    }
    if (!ref.tag[0] && !ref.digest[0])
        abort();
    if (strncmp(ref.name, ref.host, strlen(ref.host)) != 0 || !ref.name[ref.path_at])
        abort();
    ref_full(&ref, full);
    ref_familiar(&ref, familiar);
    check_same(&ref, full);
    check_same(&ref, familiar);
    return 0;
}
