#include "sign/pem.h"

#include "sign/b64.h"

#include <string.h>

#define BEGIN "-----BEGIN "
#define END   "-----END "
#define DASH  "-----"
#define LINE  64 /* characters; every writer's width */

void pem_block_done(struct pem_block *b)
{
    str_done(&b->bytes);
}

/* One line without its end; false at the end of the text. */
static bool line_next(struct pem *pem, const char **ret, size_t *ret_len)
{
    const char *end = pem->len ? memchr(pem->p, '\n', pem->len) : NULL;
    size_t len = end ? (size_t)(end - pem->p) : pem->len;

    if (!pem->len)
        return false;
    *ret = pem->p;
    *ret_len = len && end && pem->p[len - 1] == '\r' ? len - 1 : len;
    pem->p += end ? len + 1 : len;
    pem->len -= end ? len + 1 : len;
    return true;
}

/* "-----BEGIN LABEL-----" */
static bool is_edge(const char *line, size_t len, const char *edge, char label[PEM_LABEL_MAX + 1])
{
    size_t n = strlen(edge);

    if (len <= n + strlen(DASH) || memcmp(line, edge, n) != 0 ||
        memcmp(line + len - strlen(DASH), DASH, strlen(DASH)) != 0)
        return false;
    len -= n + strlen(DASH);
    if (len > PEM_LABEL_MAX || memchr(line + n, '\0', len))
        return false;
    memcpy(label, line + n, len);
    label[len] = '\0';
    return true;
}

static int block_read(struct pem *pem, struct pem_block *b, struct err *e)
{
    char label[PEM_LABEL_MAX + 1];
    autostr text = STR_INIT(PEM_FILE_MAX);
    const char *line;
    size_t len;

    while (line_next(pem, &line, &len)) {
        if (is_edge(line, len, END, label)) {
            if (strcmp(label, b->label) != 0)
                return err_set(e, ERR_CORRUPT, "PEM block '%s' ends as '%s'", b->label, label);
            if (!text.len || !b64_decode(text.p, text.len, &b->bytes))
                return err_set(e, ERR_CORRUPT, "PEM block '%s' is not base64", b->label);
            return 1;
        }
        if (!str_add(&text, line, len))
            return err_set(e, ERR_LIMIT, "PEM block '%s' is larger than %zu bytes", b->label,
                           PEM_FILE_MAX);
    }
    return err_set(e, ERR_CORRUPT, "PEM block '%s' has no end", b->label);
}

int pem_next(struct pem *pem, struct pem_block *ret, struct err *e)
{
    struct pem_block b = { .bytes = { .max = PEM_FILE_MAX } };
    const char *line;
    size_t len;
    int r;

    while (line_next(pem, &line, &len)) {
        if (!is_edge(line, len, BEGIN, b.label))
            continue;
        r = block_read(pem, &b, e);
        if (r < 0)
            str_done(&b.bytes);
        else
            *ret = b;
        return r;
    }
    return 0;
}

int pem_only(const void *text, size_t len, const char *what, struct pem_block *ret, struct err *e)
{
    struct pem pem = { .p = text, .len = len };
    struct pem_block b = { 0 };
    autopem more = { 0 };
    int r = pem_next(&pem, &b, e);

    if (r < 0)
        return err_ctx(e, "%s", what);
    if (r == 0)
        return err_set(e, ERR_CORRUPT, "%s: no PEM block in it", what);
    r = pem_next(&pem, &more, e);
    if (r == 0) {
        *ret = b;
        return 0;
    }
    pem_block_done(&b);
    if (r < 0)
        return err_ctx(e, "%s", what);
    return err_set(e, ERR_CORRUPT, "%s: more than one PEM block in it", what);
}

bool pem_write(const char *label, const void *data, size_t len, struct str *ret)
{
    autostr text = STR_INIT(PEM_FILE_MAX);

    if (!b64_encode(data, len, &text) || !str_addf(ret, BEGIN "%s" DASH "\n", label))
        return false;
    for (size_t i = 0; i < text.len; i += LINE) {
        size_t n = text.len - i < LINE ? text.len - i : LINE;

        if (!str_add(ret, text.p + i, n) || !str_addc(ret, '\n'))
            return false;
    }
    return str_addf(ret, END "%s" DASH "\n", label);
}
