/*
 * Unpacking into a box's disk, with a crash at every write: the process ends there, and of what
 * was not synced a random part never reaches the disk. Every file must then be there completely
 * or not at all, and e2fsck must find nothing.
 */
#include "rootfs/build.h"
#include "rootfs/disk.h"
#include "rootfs/overlay_put.h"
#include "rootfs/template.h"
#include "util/fs.h"
#include "util/spawn.h"
#include "util/str.h"

#include "unit.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define DISK_BYTES ((uint64_t)64 << 20)
#define FILES_N    12
#define DATA_BYTES 9000

/* ---- a disk that loses what was not synced ------------------------------ */

struct lost {
    off_t at;
    size_t len;
    char *data;
};

static struct {
    bool on;
    const char *disk, *after; /* the disk as the crash leaves it */
    long left;                /* writes until the crash */
    unsigned seed;
    struct lost v[4096];
    size_t n;
} crash;

static void crash_now(void)
{
    int fd = open(crash.after, O_WRONLY | O_CLOEXEC);

    for (size_t i = 0; i < crash.n; i++)
        if (rand_r(&crash.seed) & 1)
            (void)syscall(SYS_pwrite64, fd, crash.v[i].data, crash.v[i].len, crash.v[i].at);
    _exit(7);
}

static void note_write(int fd, const void *data, size_t len, off_t at)
{
    struct stat st, disk;

    if (!crash.on || fstat(fd, &st) < 0 || stat(crash.disk, &disk) < 0 ||
        st.st_ino != disk.st_ino)
        return;
    if (crash.left-- == 0 || crash.n == ARRAY_LEN(crash.v))
        crash_now();
    crash.v[crash.n] = (struct lost){ at, len, malloc(len) };
    memcpy(crash.v[crash.n++].data, data, len);
}

/* In place of libc's, for libext2fs. */
ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at);
int fsync(int fd);
ssize_t write(int fd, const void *data, size_t len);

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    note_write(fd, data, len, at);
    return syscall(SYS_pwrite64, fd, data, len, at);
}

ssize_t write(int fd, const void *data, size_t len)
{
    if (crash.on)
        note_write(fd, data, len, lseek(fd, 0, SEEK_CUR));
    return syscall(SYS_write, fd, data, len);
}

int fsync(int fd)
{
    struct err e;

    if (crash.on) {
        for (size_t i = 0; i < crash.n; i++)
            free(crash.v[i].data);
        crash.n = 0;
        crash.on = false;
        (void)unlink(crash.after);
        if (rootfs_disk_copy(crash.disk, crash.after, &e) < 0)
            _exit(9);
        crash.on = true;
    }
    (void)fd;
    return 0; /* the machine goes on: nothing else is lost */
}

/* ---- a box -------------------------------------------------------------- */

struct box {
    char dir[32];
    char *disk, *rootfs, *after, *fresh;
    struct str tar;
    struct err e;
};

static void add(struct archive *a, const char *name, uint32_t mode, const char *data, size_t len)
{
    struct archive_entry *entry = archive_entry_new();

    archive_entry_set_pathname(entry, name);
    archive_entry_set_mode(entry, (__LA_MODE_T)mode);
    archive_entry_set_size(entry, (la_int64_t)len);
    assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
    assert_int_equal(archive_write_data(a, data, len), (la_ssize_t)len);
    archive_entry_free(entry);
}

/* Files of `fill` only, one of them over an old one, some in a directory that is made. */
static void make_tar(struct str *ret, char fill, unsigned n)
{
    static char data[DATA_BYTES], room[1 << 20];
    struct archive *a = archive_write_new();
    size_t used = 0;
    char name[64];

    memset(data, fill, sizeof(data));
    assert_int_equal(archive_write_set_format_pax(a), ARCHIVE_OK);
    assert_int_equal(archive_write_open_memory(a, room, sizeof(room), &used), ARCHIVE_OK);
    add(a, "d", S_IFDIR | 0755, "", 0);
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(name, sizeof(name), "%sf%u", i % 2 ? "d/" : "", i);
        add(a, name, S_IFREG | 0644, data, i % 3 ? sizeof(data) : 100);
    }
    assert_int_equal(archive_write_free(a), ARCHIVE_OK);
    str_clear(ret);
    assert_true(str_add(ret, room, used));
}

struct memory {
    struct source source;
    const struct str *text;
    size_t at;
};

static ssize_t read_memory(struct source *source, const void **ret, struct err *e UNUSED)
{
    struct memory *m = CONTAINER_OF(source, struct memory, source);
    size_t n = m->text->len - m->at;

    *ret = m->text->p + m->at;
    m->at += n;
    return (ssize_t)n;
}

static int put(struct box *b, const char *disk)
{
    struct memory tar = { .source = { .read = read_memory }, .text = &b->tar };
    autoptr(overlay) o = NULL;
    int r = overlay_open(disk, b->rootfs, true, &o, &b->e);

    return r < 0 ? r : overlay_put(o, "/", &tar.source, false, &b->e);
}

static int setup(void **state)
{
    const struct rootfs_limits limits = ROOTFS_LIMITS_DEFAULT;
    static const uint8_t uuid[16] = { 1 };
    struct box *b = calloc(1, sizeof(*b));
    autoptr(rootfs) fs = NULL;

    (void)snprintf(b->dir, sizeof(b->dir), "/tmp/a3s-overlay-XXXXXX");
    if (!mkdtemp(b->dir))
        return -1;
    b->disk = str_format("%s/disk", b->dir);
    b->rootfs = str_format("%s/rootfs", b->dir);
    b->after = str_format("%s/after", b->dir);
    b->fresh = str_format("%s/fresh", b->dir);
    b->tar = (struct str)STR_INIT(1 << 20);
    *state = b;
    if (rootfs_open(b->rootfs, &limits, &fs, &b->e) < 0 ||
        rootfs_finish(fs, uuid, 1, &b->e) < 0 || template_make(DISK_BYTES, b->fresh, &b->e) < 0)
        return -1;
    return 0;
}

static int teardown(void **state)
{
    struct box *b = *state;
    int r = fs_remove_tree(AT_FDCWD, b->dir, &b->e);

    free(b->disk);
    free(b->rootfs);
    free(b->after);
    free(b->fresh);
    str_done(&b->tar);
    free(b);
    return r;
}

/* ---- what is there ------------------------------------------------------ */

struct seen {
    uint64_t n;
    char first;
    bool mixed;
};

static int take(void *ctx, const void *data, size_t len, struct err *e UNUSED)
{
    struct seen *s = ctx;
    const char *p = data;

    for (size_t i = 0; i < len; i++) {
        s->first = s->n++ ? s->first : p[i];
        s->mixed |= p[i] != s->first;
    }
    return 0;
}

/* The number of files; `old`: what they may be full of, besides `fill`. */
static unsigned check_files(struct box *b, const char *disk, char old, char fill)
{
    struct overlay_place place;
    autoptr(overlay) o = NULL;
    unsigned found = 0;
    char name[64];

    assert_int_equal(overlay_open(disk, b->rootfs, false, &o, &b->e), 0);
    for (unsigned i = 0; i < FILES_N; i++) {
        struct seen seen = { 0 };

        (void)snprintf(name, sizeof(name), "/%sf%u", i % 2 ? "d/" : "", i);
        if (overlay_walk(o, name, false, &place, &b->e) < 0 || !overlay_exists(place.self))
            continue;
        assert_int_equal(overlay_read(o, place.self, take, &seen, &b->e), 0);
        assert_int_equal(seen.n, i % 3 ? DATA_BYTES : 100);
        assert_false(seen.mixed);
        assert_true(seen.first == old || seen.first == fill);
        found += seen.first == fill;
    }
    return found;
}

static void check_disk(const char *disk)
{
    const char *argv[] = { "/sbin/e2fsck", "-fn", disk, NULL };
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC), status = -1;
    const struct spawn_fd fds[] = { { null, 1 }, { null, 2 } };
    struct spawn s = { .argv = argv, .fds = fds, .fds_n = ARRAY_LEN(fds) };
    struct err e;
    pid_t pid;

    assert_int_equal(spawn_start(&s, &pid, NULL, &e), 0);
    assert_int_equal(spawn_wait(pid, &status, &e), 0);
    (void)close(null);
    assert_int_equal(status, 0);
}

/* Returns whether it came to its end before the crash. */
static bool put_until(struct box *b, long writes)
{
    int status;
    pid_t pid;

    (void)unlink(b->after);
    assert_int_equal(rootfs_disk_copy(b->disk, b->after, &b->e), 0);
    pid = fork();
    if (pid == 0) {
        crash.disk = b->disk;
        crash.after = b->after;
        crash.left = writes;
        crash.seed = (unsigned)writes;
        crash.on = true;
        if (put(b, b->disk) < 0)
            _exit(8);
        crash.on = false;
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 7 || WEXITSTATUS(status) == 0));
    return WEXITSTATUS(status) == 0;
}

static void a_crash_at_every_write(void **state)
{
    struct box *b = *state;
    unsigned last = 0, n;
    bool ended = false;

    assert_int_equal(rootfs_disk_copy(b->fresh, b->disk, &b->e), 0);
    make_tar(&b->tar, 'o', FILES_N / 2);
    assert_int_equal(put(b, b->disk), 0);
    (void)unlink(b->fresh);
    assert_int_equal(rename(b->disk, b->fresh), 0);
    make_tar(&b->tar, 'n', FILES_N);
    for (long writes = 0; !ended; writes++) {
        assert_true(writes < 1000);
        (void)unlink(b->disk);
        assert_int_equal(rootfs_disk_copy(b->fresh, b->disk, &b->e), 0);
        ended = put_until(b, writes);
        n = check_files(b, b->after, 'o', 'n');
        last = n > last ? n : last;
        /* And after the next one who writes. */
        str_clear(&b->tar);
        assert_int_equal(put(b, b->after), 0);
        check_disk(b->after);
        assert_int_equal(check_files(b, b->after, 'o', 'n'), n);
        make_tar(&b->tar, 'n', FILES_N);
    }
    assert_int_equal(last, FILES_N);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_crash_at_every_write, setup, teardown),
    };

    return cmocka_run_group_tests_name("overlay", tests, NULL, NULL);
}
