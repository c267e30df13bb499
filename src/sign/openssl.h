/* OpenSSL's headers, without its ERR_STATE, which util/err.h has too. Inside sign/ only. */
#pragma once

#define ERR_STATE openssl_err_state
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/ts.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#undef ERR_STATE

#define OSSL_CLEANUP(type)                                                                       \
    static inline void type##_freep_(type **p)                                                   \
    {                                                                                            \
        type##_free(*p);                                                                         \
    }
#define autossl(type) __attribute__((cleanup(type##_freep_))) type *

OSSL_CLEANUP(ASN1_OBJECT)
OSSL_CLEANUP(ASN1_TIME)
OSSL_CLEANUP(EVP_MD_CTX)
OSSL_CLEANUP(EVP_PKEY)
OSSL_CLEANUP(GENERAL_NAMES)
OSSL_CLEANUP(X509)
OSSL_CLEANUP(X509_STORE)
OSSL_CLEANUP(X509_STORE_CTX)

/* OpenSSL 3.4 (Debian 13) names them by what they do: the context owns what it is given. */
#if OPENSSL_VERSION_NUMBER < 0x30400000L
#define TS_VERIFY_CTX_set0_data  TS_VERIFY_CTX_set_data
#define TS_VERIFY_CTX_set0_store TS_VERIFY_CTX_set_store
#define TS_VERIFY_CTX_set0_certs TS_VERIFY_CTX_set_certs
#endif
