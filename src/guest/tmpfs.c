#include "guest/tmpfs.h"

#include "guest/mnt.h"

#include <string.h>

struct flag {
    const char *word;
    uint64_t set, clear;
};

static const struct flag flags[] = {
    { "rw", 0, MNT_RDONLY },
    { "ro", MNT_RDONLY, 0 },
    { "suid", 0, MNT_NOSUID },
    { "nosuid", MNT_NOSUID, 0 },
    { "dev", 0, MNT_NODEV },
    { "nodev", MNT_NODEV, 0 },
    { "exec", 0, MNT_NOEXEC },
    { "noexec", MNT_NOEXEC, 0 },
    { "atime", 0, MNT_NOATIME },
    { "noatime", MNT_NOATIME, MNT_STRICTATIME },
    { "relatime", 0, MNT_NOATIME | MNT_STRICTATIME },
    { "strictatime", MNT_STRICTATIME, MNT_NOATIME },
    { "defaults", 0, 0 },
    { "async", 0, 0 },
    { "diratime", 0, 0 },
};

/* Digits with an optional unit as the kernel's memparse() takes it, or a percentage for size. */
static bool is_amount(const char *v, const char *units)
{
    size_t digits = strspn(v, "0123456789");

    if (digits == 0 || digits > 18)
        return false;
    v += digits;
    return !*v || (strchr(units, *v) && !v[1]);
}

static bool is_mode(const char *v)
{
    size_t digits = strspn(v, "01234567");

    return digits > 0 && digits <= 5 && !v[digits];
}

static bool value_ok(const char *key, const char *v)
{
    if (strcmp(key, "size") == 0)
        return is_amount(v, "kKmMgGtT%");
    if (strcmp(key, "nr_blocks") == 0 || strcmp(key, "nr_inodes") == 0)
        return is_amount(v, "kKmMgG");
    if (strcmp(key, "uid") == 0 || strcmp(key, "gid") == 0)
        return is_amount(v, "") && strlen(v) <= 10;
    return strcmp(key, "mode") == 0 && is_mode(v);
}

static int parse_word(char *word, struct tmpfs_options *o, struct err *e)
{
    char *value = strchr(word, '=');

    for (size_t i = 0; i < ARRAY_LEN(flags) && !value; i++) {
        if (strcmp(word, flags[i].word) != 0)
            continue;
        o->attrs = (o->attrs & ~flags[i].clear) | flags[i].set;
        return 0;
    }
    if (!value)
        return err_set(e, ERR_INVALID, "Unknown tmpfs option \"%s\"", word);
    *value++ = '\0';
    if (!value_ok(word, value))
        return err_set(e, ERR_INVALID, "Invalid tmpfs option \"%s=%s\"", word, value);
    o->has_mode = o->has_mode || strcmp(word, "mode") == 0;
    if (!str_addf(&o->data, "%s%s=%s", o->data.len ? "," : "", word, value))
        return err_set(e, ERR_LIMIT, "Too many tmpfs options");
    return 0;
}

int tmpfs_options_parse(const char *text, struct tmpfs_options *ret, struct err *e)
{
    autofree char *copy = strdup(text ? text : "");
    char *at = copy, *word;
    int r = 0;

    *ret = (struct tmpfs_options){ .attrs = MNT_NOSUID | MNT_NODEV | MNT_NOEXEC,
                                   .data = STR_INIT(2048) };
    if (!copy)
        return err_os(e, "tmpfs options");
    while (r >= 0 && (word = strsep(&at, ",")))
        if (*word)
            r = parse_word(word, ret, e);
    return r;
}

void tmpfs_options_done(struct tmpfs_options *o)
{
    str_done(&o->data);
}
