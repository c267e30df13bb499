#include "proto/tlv.h"

#include <string.h>

#define TLV_HEADER 6

bool strv_addn(struct strv *list, const char *text, size_t len)
{
    char **v = realloc(list->v, (list->n + 2) * sizeof(*v));

    if (!v)
        return false;
    list->v = v;
    v[list->n] = strndup(text, len);
    if (!v[list->n])
        return false;
    v[++list->n] = NULL;
    return true;
}

bool strv_add(struct strv *list, const char *text)
{
    return strv_addn(list, text, strlen(text));
}

void strv_done(struct strv *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->v[i]);
    free(list->v);
    *list = (struct strv){ 0 };
}

void *tlv_list_add(struct tlv_list *list, size_t size)
{
    char *v = reallocarray(list->v, list->n + 1, size);

    if (!v)
        return NULL;
    list->v = v;
    v += list->n++ * size;
    memset(v, 0, size);
    return v;
}

/* ---- encoding -------------------------------------------------------- */

static void put_field(struct str *out, uint16_t tag, const void *data, size_t len)
{
    uint8_t head[TLV_HEADER];

    put_u16be(head, tag);
    put_u32be(head + 2, (uint32_t)len);
    (void)str_add(out, head, sizeof(head)); /* a failure sticks to `out` */
    (void)str_add(out, data, len);
}

static void put_struct(struct str *out, const struct tlv_row *row, const void *at);

static void put_row(struct str *out, const struct tlv_row *row, const void *at)
{
    const struct strv *strv = at;
    const struct bytes *bytes = at;
    const struct tlv_list *list = at;
    uint8_t raw[8];

    switch (row->type) {
    case TLV_U64:
    case TLV_I64:
        put_u64be(raw, *(const uint64_t *)at);
        if (*(const uint64_t *)at)
            put_field(out, row->tag, raw, sizeof(raw));
        return;
    case TLV_BOOL:
        if (*(const bool *)at)
            put_field(out, row->tag, "\1", 1);
        return;
    case TLV_STR:
        if (*(char *const *)at)
            put_field(out, row->tag, *(char *const *)at, strlen(*(char *const *)at));
        return;
    case TLV_STRV:
        for (size_t i = 0; i < strv->n; i++)
            put_field(out, row->tag, strv->v[i], strlen(strv->v[i]));
        return;
    case TLV_BYTES:
        if (bytes->len)
            put_field(out, row->tag, bytes->p, bytes->len);
        return;
    case TLV_STRUCT:
        put_struct(out, row, at);
        return;
    case TLV_LIST:
        for (size_t i = 0; i < list->n; i++)
            put_struct(out, row, (const char *)list->v + i * row->size);
        return;
    case TLV_END:
        return;
    }
}

static void put_rows(struct str *out, const struct tlv_row *rows, const void *from)
{
    for (const struct tlv_row *row = rows; row->type != TLV_END; row++)
        put_row(out, row, (const char *)from + row->offset);
}

static void put_struct(struct str *out, const struct tlv_row *row, const void *at)
{
    size_t start = out->len;

    put_field(out, row->tag, NULL, 0);
    put_rows(out, row->rows, at);
    if (!out->failed)
        put_u32be(out->p + start + 2, (uint32_t)(out->len - start - TLV_HEADER));
}

int tlv_encode(const struct tlv_row *rows, const void *from, struct str *out, struct err *e)
{
    put_rows(out, rows, from);
    return out->failed ? err_set(e, ERR_LIMIT, "message is too long") : 0;
}

/* ---- decoding -------------------------------------------------------- */

static int read_str(struct cur c, char **ret, struct err *e)
{
    if (memchr(c.p, '\0', c.len))
        return err_set(e, ERR_CORRUPT, "string with a NUL");
    free(*ret);
    *ret = strndup((const char *)c.p, c.len);
    return *ret ? 0 : err_os(e, "string");
}

static int read_strv(struct cur c, struct strv *list, struct err *e)
{
    if (list->n >= TLV_ITEMS_MAX)
        return err_set(e, ERR_LIMIT, "list of more than %d items", TLV_ITEMS_MAX);
    if (c.len && memchr(c.p, '\0', c.len))
        return err_set(e, ERR_CORRUPT, "string with a NUL");
    return strv_addn(list, c.len ? (const char *)c.p : "", c.len) ? 0 : err_os(e, "list");
}

static int read_bytes(struct cur c, struct bytes *b, struct err *e)
{
    void *p = malloc(c.len ? c.len : 1);

    if (!p)
        return err_os(e, "bytes");
    if (c.len)
        memcpy(p, c.p, c.len);
    free(b->p);
    *b = (struct bytes){ p, c.len };
    return 0;
}

static int read_rows(const struct tlv_row *rows, struct cur c, void *into, struct err *e);

static int read_item(const struct tlv_row *row, struct cur c, struct tlv_list *list,
                     struct err *e)
{
    void *item;

    if (list->n >= TLV_ITEMS_MAX)
        return err_set(e, ERR_LIMIT, "list of more than %d items", TLV_ITEMS_MAX);
    item = tlv_list_add(list, row->size);
    return item ? read_rows(row->rows, c, item, e) : err_os(e, "list");
}

static int read_row(const struct tlv_row *row, struct cur c, void *at, struct err *e)
{
    uint64_t number = 0;
    uint8_t flag = 0;

    switch (row->type) {
    case TLV_U64:
    case TLV_I64:
        if (c.len != 8 || !cur_u64be(&c, &number))
            return err_set(e, ERR_CORRUPT, "number of %zu bytes", c.len);
        *(uint64_t *)at = number;
        return 0;
    case TLV_BOOL:
        if (c.len != 1 || !cur_u8(&c, &flag) || flag > 1)
            return err_set(e, ERR_CORRUPT, "bad flag");
        *(bool *)at = flag;
        return 0;
    case TLV_STR:
        return read_str(c, at, e);
    case TLV_STRV:
        return read_strv(c, at, e);
    case TLV_BYTES:
        return read_bytes(c, at, e);
    case TLV_STRUCT:
        return read_rows(row->rows, c, at, e);
    case TLV_LIST:
        return read_item(row, c, at, e);
    case TLV_END:
        break;
    }
    return err_set(e, ERR_INTERNAL, "bad field table");
}

/* Recursion is as deep as the tables nest, whatever the bytes say. */
static int read_rows(const struct tlv_row *rows, struct cur c, void *into, struct err *e)
{
    while (c.len) {
        const struct tlv_row *row = rows;
        uint16_t tag = 0;
        uint32_t len = 0;
        struct cur value;
        int r;

        if (!cur_u16be(&c, &tag) || !cur_u32be(&c, &len) || !cur_sub(&c, len, &value))
            return err_set(e, ERR_CORRUPT, "field is cut off");
        while (row->type != TLV_END && row->tag != tag)
            row++;
        if (row->type == TLV_END)
            continue;
        r = read_row(row, value, (char *)into + row->offset, e);
        if (r < 0)
            return err_ctx(e, "field %u", tag);
    }
    return 0;
}

int tlv_decode(const struct tlv_row *rows, struct cur c, void *into, size_t size, struct err *e)
{
    int r = read_rows(rows, c, into, e);

    if (r < 0) {
        tlv_done(rows, into);
        memset(into, 0, size);
    }
    return r;
}

void tlv_done(const struct tlv_row *rows, void *at)
{
    for (const struct tlv_row *row = rows; row->type != TLV_END; row++) {
        void *member = (char *)at + row->offset;
        struct tlv_list *list = member;

        switch (row->type) {
        case TLV_STR:
            free(*(char **)member);
            *(char **)member = NULL;
            break;
        case TLV_STRV:
            strv_done(member);
            break;
        case TLV_BYTES:
            free(((struct bytes *)member)->p);
            *(struct bytes *)member = (struct bytes){ 0 };
            break;
        case TLV_STRUCT:
            tlv_done(row->rows, member);
            break;
        case TLV_LIST:
            for (size_t i = 0; i < list->n; i++)
                tlv_done(row->rows, (char *)list->v + i * row->size);
            free(list->v);
            *list = (struct tlv_list){ 0 };
            break;
        case TLV_U64:
        case TLV_I64:
        case TLV_BOOL:
        case TLV_END:
            break;
        }
    }
}
