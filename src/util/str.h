/*
 * A byte buffer that grows up to a maximum given at its birth.
 *
 * Always NUL-terminated behind `len`, so `s.p` can be used as a C string when
 * the content has no NUL. A failed append leaves the content as it was, sets
 * `failed`, and every later append fails too: check once at the end.
 */
#pragma once

#include "util/attr.h"
#include "util/own.h"

#include <stdarg.h>
#include <stdbool.h>

struct str {
    char *p; /* owned; NULL until the first append */
    size_t len, cap;
    size_t max; /* bytes, without the NUL; 0 means STR_MAX_DEFAULT */
    bool failed;
};

#define STR_MAX_DEFAULT ((size_t)16 << 20) /* the largest message of any of our protocols */

#define STR_INIT(limit)                                                                          \
    {                                                                                            \
        .max = (limit)                                                                           \
    }
#define autostr __attribute__((cleanup(str_done))) struct str

void str_done(struct str *s);
void str_clear(struct str *s); /* keeps the memory */

/* Each returns false when the limit or memory is reached. */
bool str_add(struct str *s, const void *data, size_t len);
bool str_adds(struct str *s, const char *text);
bool str_addc(struct str *s, char c);
bool str_addf(struct str *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool str_vaddf(struct str *s, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

/* Room for `len` more bytes behind the content, or NULL; commit with str_added(). */
char *str_reserve(struct str *s, size_t len);
void str_added(struct str *s, size_t len);

/* Drop `len` bytes at the front. */
void str_drop(struct str *s, size_t len);

/* Give the content away as a malloc()ed string ("" when empty); NULL when failed. */
char *str_take(struct str *s);

/* The content as a C string, "" when nothing was added. */
static inline const char *str_c(const struct str *s)
{
    return s->p ? s->p : "";
}

/* asprintf() that returns the string, or NULL without memory. The caller frees. */
char *str_format(const char *fmt, ...) PRINTF_LIKE(1, 2);
