#include "box/record.h"
#include "db/counters.h"
#include "oci/image.h"
#include "util/spawn.h"
#include "util/str.h"

#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

char *box_worker_path(void)
{
    char self[PATH_MAX] = "";
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    const char *slash = n > 0 ? strrchr(self, '/') : NULL;

    return slash ? str_format("%.*s/a3s-box-image", (int)(slash - self), self)
                 : strdup("a3s-box-image");
}

static int rebuild(const char *home, const char *image_id, struct err *e)
{
    autofree char *worker = box_worker_path();
    const char *argv[] = { worker, "rebuild", image_id, NULL };
    const struct spawn_fd fds[] = { { 2, 2 } };
    struct spawn s = { .argv = argv,
                       .fds = fds,
                       .fds_n = ARRAY_LEN(fds),
                       .parent_death_signal = SIGKILL,
                       .no_new_privs = true };
    int status, r;
    pid_t pid;

    if (!worker || setenv("A3S_HOME", home, 1) < 0)
        return err_os(e, "root file system");
    r = spawn_start(&s, &pid, NULL, e);
    if (r == 0)
        r = spawn_wait(pid, &status, e);
    if (r < 0)
        return r;
    return status == 0 ? 0
                       : err_set(e, ERR_CORRUPT,
                                 "its root file system is gone and could not be made again");
}

int box_need_rootfs(struct db *db, const char *home, const struct box *box, struct err *e)
{
    autofree char *path = str_format("%s/%s", home, box->spec.rootfs);
    int r;

    if (!path)
        return err_os(e, "root file system");
    r = image_used(db, box->spec.image_id, e);
    if (r < 0)
        return r;
    if (access(path, F_OK) == 0) {
        counter_add(home, COUNTER_ROOTFS_HITS);
        return 0;
    }
    counter_add(home, COUNTER_ROOTFS_MISSES);
    return rebuild(home, box->spec.image_id, e);
}
