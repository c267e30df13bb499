#include "util/landlock.h"

#include "util/own.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ABI_REFER      2 /* the first that can allow links between directories */
#define ABI_TRUNCATE   3 /* the first that knows about truncation ... */
#define FILES_TRUNCATE (UINT64_C(1) << 14) /* ... which the headers of Debian 12 do not */

#define FILES_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FILES_CHANGE                                                                             \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                             \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |                              \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER)
#define FILES_SPECIAL                                                                            \
    (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK |                               \
     LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

/* What a rule for something that is no directory may name. */
#define OF_FILES                                                                                 \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE | \
     FILES_TRUNCATE)

static long abi(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

static uint64_t truncation(void)
{
    return abi() >= ABI_TRUNCATE ? FILES_TRUNCATE : 0;
}

int landlock_new(int *ret_fd, struct err *e)
{
    struct landlock_ruleset_attr attr = { .handled_access_fs = FILES_READ | FILES_CHANGE |
                                                               FILES_SPECIAL | truncation() |
                                                               LANDLOCK_ACCESS_FS_EXECUTE };

    *ret_fd = -1;
    if (abi() < ABI_REFER)
        return 0;
    *ret_fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0); /* CLOEXEC */
    return *ret_fd < 0 ? err_os(e, "Landlock") : 0;
}

static uint64_t access_of(unsigned may)
{
    uint64_t all = 0;

    if (may & MAY_READ)
        all |= FILES_READ;
    if (may & MAY_EXECUTE)
        all |= LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE;
    if (may & MAY_WRITE)
        all |= FILES_READ | FILES_CHANGE | truncation();
    return all;
}

int landlock_allow(int rules, const char *path, unsigned may, struct err *e)
{
    autofd int fd = rules < 0 ? -1 : open(path, O_PATH | O_CLOEXEC);
    struct landlock_path_beneath_attr rule = { .allowed_access = access_of(may),
                                               .parent_fd = fd };
    struct stat st;

    if (rules < 0)
        return 0;
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : err_os(e, "Landlock: open %s", path);
    if (fstat(fd, &st) < 0)
        return err_os(e, "Landlock: %s", path);
    if (!S_ISDIR(st.st_mode))
        rule.allowed_access &= OF_FILES;
    if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return err_os(e, "Landlock: allow %s", path);
    return 0;
}

bool landlock_enter(int rules)
{
    return syscall(SYS_landlock_restrict_self, rules, 0) == 0;
}
