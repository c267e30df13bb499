/*
 * Structs as tagged fields: tag u16, length u32, value, all big-endian.
 * docs/protocols.md, section 3.
 *
 * A table of rows says which member a tag fills; encoding, decoding and
 * freeing are the same code for every struct. Unknown tags are skipped (a
 * newer peer), missing ones leave the member zero, a wrong length is CORRUPT.
 * Numbers are u64, strings have no NUL inside, lists repeat their tag.
 *
 * Decoded members are owned by the struct: release it with tlv_done().
 */
#pragma once

#include "util/cur.h"
#include "util/err.h"
#include "util/str.h"

enum tlv_type {
    TLV_END,
    TLV_U64,    /* uint64_t */
    TLV_I64,    /* int64_t */
    TLV_BOOL,   /* bool */
    TLV_STR,    /* char *, NULL when absent */
    TLV_STRV,   /* struct strv */
    TLV_BYTES,  /* struct bytes */
    TLV_STRUCT, /* an embedded struct */
    TLV_LIST,   /* struct tlv_list of structs */
};

struct strv {
    char **v; /* n strings and a NULL, ready for execve(); NULL when n is 0 */
    size_t n;
};

struct bytes {
    void *p;
    size_t len;
};

/* An array of structs; cast `v` with the accessor macro TLV_AT. */
struct tlv_list {
    void *v;
    size_t n;
};

#define TLV_AT(list, type, i) (&((type *)(list)->v)[i])

struct tlv_row {
    uint16_t tag; /* > 0, never reused for something else */
    enum tlv_type type;
    size_t offset;
    const struct tlv_row *rows; /* of STRUCT and LIST */
    size_t size;                /* of one element of LIST */
};

#define TLV_ITEMS_MAX 65536 /* of one list; a command line of 64 Ki words is refused */

/* Append all members that are not zero. LIMIT when `out` is full. */
int tlv_encode(const struct tlv_row *rows, const void *from, struct str *out,
               struct err *e) MUST_CHECK;

/* Fill `into`, which the caller has zeroed. On failure it is released and zero again. */
int tlv_decode(const struct tlv_row *rows, struct cur c, void *into, size_t size,
               struct err *e) MUST_CHECK;

void tlv_done(const struct tlv_row *rows, void *at);

/* Append a copy. False without memory. */
bool strv_add(struct strv *list, const char *text);
bool strv_addn(struct strv *list, const char *text, size_t len);
void strv_done(struct strv *list);
/* Append a zeroed element of `size` bytes and return it, or NULL. */
void *tlv_list_add(struct tlv_list *list, size_t size);
