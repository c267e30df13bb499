/* Which files QEMU may open by itself: those of its own installation, to read, the kernel and
 * /dev/kvm. Disks and sockets come as descriptors. A guest that takes QEMU over finds nothing to
 * read and nowhere to write, beside what is its own. */
#include "util/landlock.h"
#include "util/log.h"
#include "util/own.h"
#include "util/str.h"
#include "vmm/qemu/vm.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where execvp() finds it, without links; NULL when it does not. The caller frees it. */
static char *find_program(const char *name)
{
    autofree char *path = strdup(getenv("PATH") ? getenv("PATH") : "/bin:/usr/bin"),
                  *found = NULL;
    char *rest = path;

    if (strchr(name, '/'))
        return realpath(name, NULL);
    for (const char *dir; !found && rest && (dir = strsep(&rest, ":"));) {
        autofree char *file = str_format("%s/%s", *dir ? dir : ".", name);

        if (file && access(file, X_OK) == 0)
            found = realpath(file, NULL);
    }
    return take_ptr(found);
}

/* One that lives elsewhere has its libraries and firmware who knows where: it may read all. */
static int allow_installation(int rules, const char *program, struct err *e)
{
    static const char *const system[] = { "/usr", "/lib", "/lib64", "/etc/ld.so.cache" };
    autofree char *file = find_program(program);
    int r = 0;

    if (!file || strncmp(file, "/usr/", strlen("/usr/")) != 0)
        return landlock_allow(rules, "/", MAY_READ | MAY_EXECUTE, e);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(system); i++)
        r = landlock_allow(rules, system[i], MAY_READ | MAY_EXECUTE, e);
    return r;
}

int qemu_confine(const struct vm_config *c, const char *program, int *ret_rules, struct err *e)
{
    static const char *const devices[] = { "/dev/kvm", "/dev/null" };
    autofd int rules = -1;
    int r = landlock_new(&rules, e);

    if (r == 0 && rules < 0)
        log_info("the kernel has no usable Landlock: QEMU's files are not restricted");
    if (r == 0)
        r = allow_installation(rules, program, e);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(devices); i++)
        r = landlock_allow(rules, devices[i], MAY_READ | MAY_WRITE, e);
    if (r == 0)
        r = landlock_allow(rules, "/dev/urandom", MAY_READ, e);
    if (r == 0)
        r = landlock_allow(rules, c->kernel, MAY_READ, e);
    if (r == 0 && c->initramfs)
        r = landlock_allow(rules, c->initramfs, MAY_READ, e);
    if (r < 0)
        return err_ctx(e, "QEMU");
    *ret_rules = take_fd(&rules);
    return 0;
}
