#include "guest/swap.h"

#include "util/cur.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/own.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/swap.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define NAME                                                                                     \
    "swap" /* beside the directories of the overlay: the kernel wants it to have a name */
#define PAGE  4096
#define MAGIC "SWAPSPACE2" /* at the end of the first page: linux/swap.h, union swap_header */

uint64_t swap_bytes(int64_t max)
{
    struct sysinfo info;

    if (max >= 0)
        return (uint64_t)max;
    return sysinfo(&info) < 0 ? 0 : (uint64_t)info.totalram * info.mem_unit;
}

static int fill(int fd, uint64_t pages, struct err *e)
{
    struct {
        char boot[1024];
        uint32_t version, last_page;
        char rest[PAGE - 1024 - 8 - (sizeof(MAGIC) - 1)];
        char magic[sizeof(MAGIC) - 1];
    } head = { .version = 1, .last_page = (uint32_t)(pages - 1) };

    static_assert(sizeof(head) == PAGE, "one page");
    if (fallocate(fd, 0, 0, (off_t)(pages * PAGE)) < 0)
        return errno == ENOSPC
                   ? err_set(e, ERR_LIMIT,
                             "no room for %llu MiB of swap in the writable layer: a larger "
                             "--storage-size, or a smaller --memory-swap",
                             (unsigned long long)(pages * PAGE >> 20))
                   : err_os(e, "swap file");
    memcpy(head.magic, MAGIC, sizeof(head.magic));
    if (pwrite(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head))
        return err_os(e, "swap file");
    return 0;
}

int swap_on(int dirfd, uint64_t bytes, struct err *e)
{
    uint64_t pages = bytes / PAGE + 1; /* the first one is the header */
    autofd int fd = -1;
    char path[32];
    int r;

    (void)unlinkat(dirfd, NAME, 0); /* of a machine that was killed */
    if (pages > UINT32_MAX)
        return err_set(e, ERR_LIMIT, "swap of %llu MiB is more than the kernel can use",
                       (unsigned long long)(bytes >> 20));
    fd = openat(dirfd, NAME, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_os(e, "swap file");
    r = fill(fd, pages, e);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (r == 0 && swapon(path, 0) < 0)
        r = err_os(e, "swapon");
    if (r < 0)
        (void)unlinkat(dirfd, NAME, 0);
    return r < 0 ? r : take_fd(&fd);
}

void swap_off(int dirfd, int *own_fd)
{
    char path[32];

    if (*own_fd < 0)
        return;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", *own_fd);
    if (swapoff(path) < 0 || unlinkat(dirfd, NAME, 0) < 0)
        log_warn("swap file: %s", strerror(errno));
    close_fd(own_fd);
}
