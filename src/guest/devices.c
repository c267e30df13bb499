#include "guest/devices.h"

#include "guest/sys.h"
#include "util/own.h"
#include "util/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static const struct {
    const char *name;
    unsigned major, minor;
} nodes[] = {
    { "null", 1, 3 },   { "zero", 1, 5 },    { "full", 1, 7 },
    { "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 },
};

static const struct {
    const char *name, *target;
} links[] = {
    { "ptmx", "pts/ptmx" },          { "fd", "/proc/self/fd" },
    { "stdin", "/proc/self/fd/0" },  { "stdout", "/proc/self/fd/1" },
    { "stderr", "/proc/self/fd/2" }, { "core", "/proc/kcore" },
};

static const char *const dirs[] = { "pts", "shm", "mqueue" };

/* Nodes of the guest's own /dev, for --privileged. The channel's port is not for containers. */
static void copy_nodes(DIR *from, int to)
{
    struct dirent *entry;
    struct stat st;

    while ((entry = readdir(from))) {
        const char *name = entry->d_name;

        if (strncmp(name, "vport", 5) == 0 || strncmp(name, "console", 7) == 0)
            continue;
        if (fstatat(dirfd(from), name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)))
            (void)mknodat(to, name, st.st_mode, st.st_rdev); /* EEXIST: made before */
    }
}

static void copy_all(int dev_fd)
{
    static const char *const subdirs[] = { ".", "net", "mapper", "snd", "input", "vfio" };

    for (size_t i = 0; i < ARRAY_LEN(subdirs); i++) {
        autofree char *path = str_format("/dev/%s", subdirs[i]);
        DIR *from = path ? opendir(path) : NULL;
        autofd int to = -1;

        if (!from)
            continue;
        (void)mkdirat(dev_fd, subdirs[i], 0755);
        to = openat(dev_fd, subdirs[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (to >= 0)
            copy_nodes(from, to);
        (void)closedir(from);
    }
}

int devices_make(int dev_fd, bool all, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(nodes); i++)
        if (mknodat(dev_fd, nodes[i].name, S_IFCHR | 0666,
                    makedev(nodes[i].major, nodes[i].minor)) < 0)
            return err_os(e, "/dev/%s", nodes[i].name);
    for (size_t i = 0; i < ARRAY_LEN(links); i++)
        if (symlinkat(links[i].target, dev_fd, links[i].name) < 0)
            return err_os(e, "/dev/%s", links[i].name);
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
        if (mkdirat(dev_fd, dirs[i], 0755) < 0)
            return err_os(e, "/dev/%s", dirs[i]);
    if (all)
        copy_all(dev_fd);
    return 0;
}

/* ---- which device numbers -------------------------------------------- */

#define REG(n) BPF_REG_##n
#define LOAD32(dst, offset)                                                                      \
    {                                                                                            \
        BPF_LDX | BPF_MEM | BPF_W, dst, REG(1), offset, 0                                        \
    }
#define ALU(op, dst, value)                                                                      \
    {                                                                                            \
        BPF_ALU64 | BPF_##op | BPF_K, dst, 0, 0, value                                           \
    }
#define COPY(dst, src)                                                                           \
    {                                                                                            \
        BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0                                              \
    }
#define JUMP(op, reg, value, by)                                                                 \
    {                                                                                            \
        BPF_JMP | BPF_##op | BPF_K, reg, 0, by, value                                            \
    }
#define RETURN                                                                                   \
    {                                                                                            \
        BPF_JMP | BPF_EXIT, 0, 0, 0, 0                                                           \
    }

/* As docker: any node may be made, only these may be opened. The number in a comment is the
 * instruction's, a jump goes to its own number + 1 + its distance. */
static const struct bpf_insn filter[] = {
    LOAD32(REG(2), offsetof(struct bpf_cgroup_dev_ctx, access_type)), /* 0: access << 16 | type */
    LOAD32(REG(3), offsetof(struct bpf_cgroup_dev_ctx, major)),       /* 1 */
    LOAD32(REG(4), offsetof(struct bpf_cgroup_dev_ctx, minor)),       /* 2 */
    COPY(REG(5), REG(2)),                                             /* 3 */
    ALU(RSH, REG(5), 16),                                             /* 4 */
    ALU(AND, REG(5), BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE),       /* 5 */
    JUMP(JEQ, REG(5), 0, 12),                                         /* 6: only mknod: 19 */
    ALU(AND, REG(2), 0xffff),                                         /* 7 */
    JUMP(JNE, REG(2), BPF_DEVCG_DEV_CHAR, 12),                        /* 8: 21 */
    JUMP(JEQ, REG(3), 136, 9),                                        /* 9: pts: 19 */
    JUMP(JEQ, REG(3), 5, 6), /* 10: tty, console, ptmx: 17 */
    JUMP(JNE, REG(3), 1, 9), /* 11: 21 */
    JUMP(JEQ, REG(4), 3, 6), /* 12: null: 19 */
    JUMP(JEQ, REG(4), 5, 5), /* 13: zero: 19 */
    JUMP(JLT, REG(4), 7, 6), /* 14: 21 */
    JUMP(JGT, REG(4), 9, 5), /* 15: 21 */
    JUMP(JA, 0, 0, 2),       /* 16: full, random, urandom: 19 */
    JUMP(JGT, REG(4), 2, 3), /* 17: 21 */
    JUMP(JA, 0, 0, 0),       /* 18: 19 */
    ALU(MOV, REG(0), 1),     /* 19 */
    RETURN,                  /* 20 */
    ALU(MOV, REG(0), 0),     /* 21 */
    RETURN,                  /* 22 */
};

int devices_filter(struct err *e)
{
    union bpf_attr load = { .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
                            .insns = (uint64_t)(uintptr_t)filter,
                            .insn_cnt = ARRAY_LEN(filter),
                            .license = (uint64_t)(uintptr_t) "MIT" };
    int prog = sys_bpf(BPF_PROG_LOAD, &load, sizeof(load));

    return prog < 0 ? err_os(e, "device filter") : prog;
}

int devices_restrict(int filter_fd, int cgroup_fd, struct err *e)
{
    union bpf_attr attach = { .target_fd = (uint32_t)cgroup_fd,
                              .attach_bpf_fd = (uint32_t)filter_fd,
                              .attach_type = BPF_CGROUP_DEVICE };

    if (sys_bpf(BPF_PROG_ATTACH, &attach, sizeof(attach)) < 0)
        return err_os(e, "device filter");
    return 0;
}
