#include "oci/digest.h"

#include "util/id.h"

#include <string.h>

static int hash_failed(struct err *e)
{
    return err_set(e, ERR_SYSTEM, "libcrypto cannot do SHA-256");
}

static int finish(struct sha256 *h, struct digest *ret, struct err *e)
{
    uint8_t bytes[SHA256_LEN];

    if (!sha256_finish(h, bytes))
        return hash_failed(e);
    memcpy(ret->text, "sha256:", 7);
    hex_encode(bytes, sizeof(bytes), ret->text + 7);
    return 0;
}

static ssize_t hash_read(struct source *source, const void **ret, struct err *e)
{
    struct source_hash *s = CONTAINER_OF(source, struct source_hash, source);
    ssize_t n = s->inner->read(s->inner, ret, e);

    if (n <= 0)
        return n;
    if (!sha256_add(&s->hash, *ret, (size_t)n))
        return hash_failed(e);
    s->n += (uint64_t)n;
    return n;
}

int source_hash_init(struct source_hash *s, struct source *inner, struct err *e)
{
    *s = (struct source_hash){ .source = { .read = hash_read }, .inner = inner };
    if (!sha256_init(&s->hash)) {
        source_hash_done(s);
        return hash_failed(e);
    }
    return 0;
}

int source_hash_finish(struct source_hash *s, struct digest *ret, struct err *e)
{
    return finish(&s->hash, ret, e);
}

void source_hash_done(struct source_hash *s)
{
    sha256_done(&s->hash);
}

int digest_of(const void *data, size_t len, struct digest *ret, struct err *e)
{
    struct sha256 h;
    int r;

    if (!sha256_init(&h) || !sha256_add(&h, data, len))
        r = hash_failed(e);
    else
        r = finish(&h, ret, e);
    sha256_done(&h);
    return r;
}

int chain_id(const struct digest *diff_ids, size_t n, char ret[65], struct err *e)
{
    struct digest chain;
    int r = 0;

    if (n == 0)
        r = digest_of("", 0, &chain, e);
    else
        chain = diff_ids[0];
    for (size_t i = 1; r == 0 && i < n; i++) {
        char text[2 * DIGEST_LEN + 2];
        int len = snprintf(text, sizeof(text), "%s %s", chain.text, diff_ids[i].text);

        r = digest_of(text, (size_t)len, &chain, e);
    }
    if (r < 0)
        return r;
    memcpy(ret, chain.text + 7, 65);
    return 0;
}
