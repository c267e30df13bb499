#include "oci/sha256.h"

#include <openssl/evp.h>

bool sha256_init(struct sha256 *h)
{
    h->md = EVP_MD_CTX_new();
    return h->md && EVP_DigestInit_ex(h->md, EVP_sha256(), NULL) == 1;
}

bool sha256_add(struct sha256 *h, const void *data, size_t len)
{
    return EVP_DigestUpdate(h->md, data, len) == 1;
}

bool sha256_finish(struct sha256 *h, uint8_t ret[SHA256_LEN])
{
    unsigned len = 0;

    return EVP_DigestFinal_ex(h->md, ret, &len) == 1 && len == SHA256_LEN;
}

void sha256_done(struct sha256 *h)
{
    EVP_MD_CTX_free(h->md);
    h->md = NULL;
}
