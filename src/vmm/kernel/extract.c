/* a3s-box-extract-vmlinux IN OUT: see vmlinux.h. Part of the build, not installed. */
#include "util/fs.h"
#include "vmm/kernel/vmlinux.h"

#include <fcntl.h>

#define KERNEL_FILE_MAX ((size_t)512 << 20)

static int extract(const char *in, const char *out, struct err *e)
{
    autostr file = STR_INIT(KERNEL_FILE_MAX), kernel = STR_INIT(KERNEL_UNPACKED_MAX);
    int r;

    r = fs_read_file(AT_FDCWD, in, &file, e);
    if (r < 0)
        return r;
    r = kernel_extract(str_c(&file), file.len, &kernel, e);
    if (r < 0)
        return err_ctx(e, "%s", in);
    return fs_write_file(AT_FDCWD, out, str_c(&kernel), kernel.len, 0644, e);
}

int main(int argc, char **argv)
{
    struct err e = { .kind = ERR_NONE };

    if (argc != 3) {
        fputs("usage: a3s-box-extract-vmlinux KERNEL VMLINUX\n", stderr);
        return 2;
    }
    if (extract(argv[1], argv[2], &e) < 0) {
        err_print(&e, stderr);
        return err_exit_status(&e);
    }
    return 0;
}
