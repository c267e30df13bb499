#include "vmm/boot_cache.h"

#include "util/fs.h"
#include "util/own.h"

#include <fcntl.h>
#include <string.h>

static bool boot_id(struct str *ret)
{
    struct err ignored;

    if (fs_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", ret, &ignored) < 0)
        return false;
    while (ret->len > 0 && ret->p[ret->len - 1] == '\n')
        ret->p[--ret->len] = '\0';
    return ret->len == 36;
}

/* What every valid file begins with. */
static bool head(const char *key, struct str *ret)
{
    return boot_id(ret) && str_addf(ret, "\n%s\n", key);
}

bool boot_cache_get(const char *dir, const char *name, const char *key, char *ret, size_t size)
{
    autostr file = STR_INIT(2048), want = STR_INIT(1024);
    struct err ignored;
    autofd int fd = -1;
    const char *value;
    size_t len;

    if (!dir || !head(key, &want))
        return false;
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fs_read_file(fd, name, &file, &ignored) < 0)
        return false;
    if (file.len <= want.len || memcmp(file.p, want.p, want.len) != 0)
        return false;
    value = file.p + want.len;
    len = strcspn(value, "\n");
    if (len == 0 || len >= size || value[len] != '\n' || value[len + 1] != '\0')
        return false; /* cut short */
    memcpy(ret, value, len);
    ret[len] = '\0';
    return true;
}

void boot_cache_put(const char *dir, const char *name, const char *key, const char *value)
{
    autostr file = STR_INIT(2048);
    struct err ignored;
    autofd int fd = -1;

    if (!dir || !head(key, &file) || !str_addf(&file, "%s\n", value))
        return;
    if (fs_mkdirs(dir, &ignored) < 0)
        return;
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fs_write_file(fd, name, file.p, file.len, 0600, &ignored) < 0)
        return; /* the fact will be found again */
}
