/*
 * Who a process runs as: docker's --user against the image's passwd and group.
 *
 * The files are the image's: any bytes, any length of line. Lines that do not
 * parse are skipped; errors have docker's texts.
 */
#pragma once

#include "proto/tlv.h"

#define USER_FILE_MAX                                                                            \
    ((size_t)4 << 20)        /* what is read of passwd and group; the rest is not seen */
#define USER_GROUPS_MAX 1024 /* supplementary groups; further ones are left out */

struct user_files {
    const char *passwd, *group; /* contents, not NUL-terminated */
    size_t passwd_len, group_len;
};

struct user {
    uint32_t uid, gid;
    uint32_t groups[USER_GROUPS_MAX];
    size_t groups_n;
    char *home; /* owned; "/" when passwd does not say */
};

/* `spec` is "", "uid", "name", "uid:gid", "name:group", NULL for root; `extra` has further
 * groups, names or numbers. NOT_FOUND or INVALID with docker's text. */
int user_resolve(const struct user_files *files, const char *spec, const struct strv *extra,
                 struct user *ret, struct err *e) MUST_CHECK;
void user_done(struct user *u);

/* The name of `uid` in passwd, copied and cut to `size`; "" when there is none. */
void user_name(const struct user_files *files, uint32_t uid, char *ret, size_t size);
