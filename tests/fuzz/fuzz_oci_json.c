/* Manifests, indexes, configurations, references, platforms, times and change instructions; the
 * first byte says which. */
#include "oci/changes.h"
#include "oci/manifest.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(int r, const struct err *e)
{
    if (r < 0 && (r != -(int)e->kind || !e->text[0]))
        abort(); /* every failure says why */
}

static void documents(uint8_t which, const char *text, size_t len)
{
    struct image_meta meta = { 0 };
    struct manifest manifest = { 0 };
    struct index index = { 0 };
    struct err e = { 0 };

    switch (which) {
    case 0:
        check(manifest_parse(text, len, &manifest, &e), &e);
        manifest_done(&manifest);
        break;
    case 1:
        check(index_parse(text, len, &index, &e), &e);
        index_done(&index);
        break;
    default:
        check(image_meta_parse(text, len, &meta, &e), &e);
        image_meta_done(&meta);
        break;
    }
}

/* What is accepted must mean the same when it is written in full. */
static void reference(const char *text)
{
    char full[REF_TEXT_MAX], again[REF_TEXT_MAX], familiar[REF_TEXT_MAX];
    struct err e = { 0 };
    struct ref ref;
    int r = ref_parse(text, &ref, &e);

    check(r, &e);
    if (r < 0)
        return;
    ref_full(&ref, full);
    ref_familiar(&ref, familiar);
    if (ref_parse(full, &ref, &e) < 0)
        abort();
    ref_full(&ref, again);
    if (strcmp(full, again) != 0 || ref_parse(familiar, &ref, &e) < 0)
        abort();
    ref_full(&ref, again);
    if (strcmp(full, again) != 0)
        abort();
}

static void words(uint8_t which, const char *text)
{
    struct platform platform;
    struct err e = { 0 };
    json_t *config;
    int64_t ns;

    switch (which) {
    case 3:
        reference(text);
        break;
    case 4:
        check(platform_parse(text, &platform, &e), &e);
        break;
    case 5:
        (void)rfc3339_parse(text, &ns); /* only must not crash */
        break;
    default:
        config = json_object();
        check(change_apply(config, text, &e), &e);
        json_decref(config);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text;

    if (len == 0)
        return 0;
    text = strndup((const char *)data + 1, len - 1);
    if (!text)
        abort();
    if (data[0] % 7 < 3)
        documents(data[0] % 7, (const char *)data + 1, len - 1);
    else
        words(data[0] % 7, text);
    free(text);
    return 0;
}
