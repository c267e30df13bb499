/* An image's passwd and group (split at the first 0xff), and the user that is looked for. */
#include "guest/user.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const specs[] = { NULL,    "",      "root",
                                         "alice", "7:8",   "alice:audio",
                                         ":x",    "a:b:c", "99999999999999999999" };
    char *extra[] = { (char *)"audio", (char *)"5", NULL };
    const uint8_t *cut = size ? memchr(data, 0xff, size) : NULL;
    size_t first = cut ? (size_t)(cut - data) : size;
    struct user_files files = { .passwd = (const char *)data,
                                .passwd_len = first,
                                .group = cut ? (const char *)cut + 1 : NULL,
                                .group_len = cut ? size - first - 1 : 0 };
    char name[16];

    for (size_t i = 0; i < ARRAY_LEN(specs); i++)
        for (size_t n = 0; n < 3; n += 2) {
            struct strv list = { .v = extra, .n = n };
            struct user u;
            struct err e;

            if (user_resolve(&files, specs[i], &list, &u, &e) < 0)
                continue;
            if (!u.home || u.groups_n > USER_GROUPS_MAX)
                abort();
            user_done(&u);
        }
    user_name(&files, 1000, name, sizeof(name));
    if (strlen(name) >= sizeof(name))
        abort();
    return 0;
}
