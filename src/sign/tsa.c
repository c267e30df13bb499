/* RFC 3161 timestamps: a clock's signed word that a signature existed. */
#include "sign/evidence.h"
#include "sign/openssl.h"

#include <string.h>

OSSL_CLEANUP(TS_RESP)
OSSL_CLEANUP(TS_VERIFY_CTX)

static int refused(struct err *e)
{
    const char *why = ERR_reason_error_string(ERR_peek_last_error());
    int r = err_set(e, ERR_DENIED, "The timestamp does not verify%s%s", why ? ": " : "",
                    why ? why : "");

    ERR_clear_error();
    return r;
}

static int response_time(TS_RESP *response, int64_t *ret, struct err *e)
{
    TS_TST_INFO *info = TS_RESP_get_tst_info(response);
    const ASN1_GENERALIZEDTIME *at = info ? TS_TST_INFO_get_time(info) : NULL;
    autossl(ASN1_TIME) epoch = ASN1_TIME_set(NULL, 0);
    int days, seconds;

    if (!at || !epoch || ASN1_TIME_diff(&days, &seconds, epoch, at) != 1)
        return refused(e);
    *ret = (int64_t)days * 86400 + seconds;
    return 0;
}

static X509_STORE *store_of(const struct certs *roots, int64_t at_s)
{
    X509_STORE *store = X509_STORE_new();

    for (size_t i = 0; store && i < roots->n; i++)
        if (X509_STORE_add_cert(store, roots->v[i]) != 1) {
            X509_STORE_free(store);
            store = NULL;
        }
    if (store) {
        X509_VERIFY_PARAM *param = X509_STORE_get0_param(store);

        X509_VERIFY_PARAM_set_time(param, (time_t)at_s);
        X509_VERIFY_PARAM_set_auth_level(param, 2);
    }
    return store;
}

static STACK_OF(X509) * stack_of(const struct certs *certs)
{
    STACK_OF(X509) *stack = sk_X509_new_null();

    for (size_t i = 0; stack && i < certs->n; i++)
        if (X509_up_ref(certs->v[i]) != 1 || !sk_X509_push(stack, certs->v[i])) {
            sk_X509_pop_free(stack, X509_free);
            return NULL;
        }
    return stack;
}

/* The context owns what is set into it. */
static int verify(TS_RESP *response, struct span data, const struct verifier *v, int64_t at_s,
                  struct err *e)
{
    autossl(TS_VERIFY_CTX) ctx = TS_VERIFY_CTX_new();
    BIO *bytes = BIO_new_mem_buf(data.p, (int)data.len);
    X509_STORE *store = store_of(&v->tsa_roots, at_s);
    STACK_OF(X509) *others = stack_of(&v->tsa_others);

    if (!ctx || !bytes || !store || !others) {
        BIO_free(bytes);
        X509_STORE_free(store);
        sk_X509_pop_free(others, X509_free);
        return err_os_at(e, ENOMEM, "timestamp");
    }
    TS_VERIFY_CTX_set_flags(ctx, TS_VFY_VERSION | TS_VFY_SIGNATURE | TS_VFY_DATA);
    TS_VERIFY_CTX_set0_data(ctx, bytes);
    TS_VERIFY_CTX_set0_store(ctx, store);
    TS_VERIFY_CTX_set0_certs(ctx, others);
    return TS_RESP_verify_response(ctx, response) == 1 ? 0 : refused(e);
}

int timestamp_check(struct span response, struct span data, const struct verifier *v,
                    int64_t *ret_time_s, struct err *e)
{
    const unsigned char *p = response.p;
    autossl(TS_RESP) parsed = NULL;
    int64_t at_s = 0;
    int r;

    if (response.len == 0 || response.len > TIMESTAMP_MAX)
        return err_set(e, ERR_CORRUPT, "Timestamp of %zu bytes", response.len);
    parsed = d2i_TS_RESP(NULL, &p, (long)response.len);
    if (!parsed || p != (const unsigned char *)response.p + response.len)
        return refused(e);
    r = response_time(parsed, &at_s, e);
    if (r >= 0)
        r = verify(parsed, data, v, at_s, e);
    if (r < 0)
        return r;
    *ret_time_s = at_s;
    return 0;
}
