#include "db/counters.h"

#include "util/own.h"
#include "util/str.h"
#include "util/time.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES     4096
#define MAGIC          UINT64_C(0x3154454d53334131) /* "1A3SMET1" */
#define COUNTERS_MAX   64 /* room, so that a counter more moves nothing */
#define HISTOGRAMS_MAX 16

struct file {
    uint64_t magic;
    uint64_t value[COUNTERS_MAX];
    struct histogram_value histogram[HISTOGRAMS_MAX];
};

_Static_assert(sizeof(struct file) < FILE_BYTES, "one page, and a byte that nobody uses");
_Static_assert((int)COUNTER_N <= COUNTERS_MAX && (int)HISTOGRAM_N <= HISTOGRAMS_MAX, "room");

#define MS(n) ((n)*NS_PER_MS)

const struct histogram_desc histograms[HISTOGRAM_N] = {
    [HISTOGRAM_BOOT] = { "vm_boot_duration_seconds",
                         "From the beginning of a start until the command runs",
                         { "0.05", "0.1", "0.15", "0.2", "0.3", "0.5", "1", "2", "5", "10" },
                         { MS(50), MS(100), MS(150), MS(200), MS(300), MS(500), MS(1000),
                           MS(2000), MS(5000), MS(10000) },
                         10 },
    [HISTOGRAM_EXEC] = { "exec_duration_seconds",
                         "Commands executed in running boxes, from the request to their end",
                         { "0.01", "0.05", "0.1", "0.5", "1", "5", "10", "30", "60" },
                         { MS(10), MS(50), MS(100), MS(500), MS(1000), MS(5000), MS(10000),
                           MS(30000), MS(60000) },
                         9 },
    [HISTOGRAM_PULL] = { "image_pull_duration_seconds",
                         "Pulls that succeeded",
                         { "0.5", "1", "2", "5", "10", "30", "60", "120" },
                         { MS(500), MS(1000), MS(2000), MS(5000), MS(10000), MS(30000), MS(60000),
                           MS(120000) },
                         8 },
};

/* Its pages exist: writing to the mapping cannot fail on a full disk. */
static int make_room(int fd)
{
    if (fallocate(fd, 0, 0, FILE_BYTES) == 0)
        return 0;
    if (errno != EOPNOTSUPP)
        return -1;
    return pwrite(fd, "", 1, FILE_BYTES - 1) == 1 ? 0 : -1;
}

static struct file *map(const char *home)
{
    autofree char *path = str_format("%s/" COUNTERS_FILE, home);
    autofd int fd = -1;
    uint64_t none = 0;
    struct file *f;
    struct stat st;

    fd = path ? open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return NULL;
    if (st.st_size < FILE_BYTES && make_room(fd) < 0)
        return NULL;
    f = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (f == MAP_FAILED)
        return NULL;
    if (__atomic_compare_exchange_n(&f->magic, &none, MAGIC, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED) ||
        none == MAGIC)
        return f;
    (void)munmap(f, FILE_BYTES); /* of another version */
    return NULL;
}

static void add(uint64_t *to, uint64_t n)
{
    (void)__atomic_fetch_add(to, n, __ATOMIC_RELAXED);
}

void counter_add(const char *home, enum counter which)
{
    struct file *f = map(home);

    if (!f)
        return;
    add(&f->value[which], 1);
    (void)munmap(f, FILE_BYTES);
}

void histogram_add(const char *home, enum histogram which, uint64_t ns)
{
    const struct histogram_desc *d = &histograms[which];
    struct file *f = map(home);
    unsigned i = 0;

    if (!f)
        return;
    while (i < d->n && ns > d->bound_ns[i])
        i++;
    add(&f->histogram[which].bucket[i < d->n ? i : HISTOGRAM_BUCKETS_MAX], 1);
    add(&f->histogram[which].sum_ns, ns);
    (void)munmap(f, FILE_BYTES);
}

int counters_read(const char *home, struct counters *ret, struct err *e)
{
    autofree char *path = str_format("%s/" COUNTERS_FILE, home);
    autofd int fd = path ? open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
    struct file f = { 0 };
    ssize_t n;

    if (fd < 0 && (!path || errno != ENOENT))
        return err_os(e, "open %s", COUNTERS_FILE);
    n = fd < 0 ? 0 : pread(fd, &f, sizeof(f), 0);
    if (n < 0)
        return err_os(e, "read %s", COUNTERS_FILE);
    if (n > 0 && (n != (ssize_t)sizeof(f) || (f.magic && f.magic != MAGIC)))
        return err_set(e, ERR_CORRUPT, "%s is not a file of this version: delete it", path);
    memcpy(ret->value, f.value, sizeof(ret->value));
    memcpy(ret->histogram, f.histogram, sizeof(ret->histogram));
    return 0;
}
