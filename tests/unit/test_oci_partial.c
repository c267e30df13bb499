#include "oci/partial.h"
#include "util/fs.h"

#include "unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define HEX1 "1111111111111111111111111111111111111111111111111111111111111111"
#define HEX2 "2222222222222222222222222222222222222222222222222222222222222222"
#define D1   "sha256:" HEX1
#define D2   "sha256:" HEX2

static char home[] = "/tmp/a3s-unit-partial-XXXXXX";

static bool exists(const char *name)
{
    autofree char *path = str_format("%s/images/partial/%s", home, name);

    return access(path, F_OK) == 0;
}

static void what_is_left_is_found_again(void **state UNUSED)
{
    struct partial p, other;
    struct err e;

    assert_int_equal(partial_open(home, D1, &p, &e), 0);
    assert_int_equal(p.have, 0);
    assert_int_equal(write(p.fd, "0123456789", 10), 10);
    assert_int_equal(partial_open(home, D1, &other, &e), 1); /* locked */
    assert_int_equal(partial_open(home, D2, &other, &e), 0);
    partial_remove(&other);
    assert_false(exists(HEX2));
    partial_close(&p);
    assert_int_equal(partial_open(home, D1, &p, &e), 0);
    assert_int_equal(p.have, 10);
    partial_remove(&p);
    assert_false(exists(HEX1));
    partial_close(&p); /* twice is fine */
}

static void set_age(const char *name, int64_t seconds)
{
    autofree char *path = str_format("%s/images/partial/%s", home, name);
    struct timespec now, times[2];

    assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
    now.tv_sec -= seconds;
    times[0] = times[1] = now;
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void a_sweep_takes_what_nobody_needs(void **state UNUSED)
{
    struct partial p, q;
    uint64_t bytes;
    struct err e;

    assert_int_equal(partial_open(home, D1, &p, &e), 0);
    assert_int_equal(partial_open(home, D2, &q, &e), 0);
    assert_int_equal(write(p.fd, "x", 1), 1);
    assert_int_equal(write(q.fd, "x", 1), 1);
    set_age(HEX1, 25 * 3600);
    set_age(HEX2, 23 * 3600);
    assert_int_equal(partial_sweep(home, PARTIAL_SWEEP_ALL, NULL, &e), 0);
    assert_true(exists(HEX1) && exists(HEX2)); /* both are being written */
    partial_close(&p);
    partial_close(&q);
    assert_int_equal(partial_sweep(home, PARTIAL_SWEEP_OLD, NULL, &e), 0);
    assert_false(exists(HEX1));
    assert_true(exists(HEX2));
    assert_int_equal(partial_sweep(home, PARTIAL_SWEEP_ALL, &bytes, &e), 0);
    assert_false(exists(HEX2));
    assert_true(bytes > 0);
}

/* Killed between putting a layer into the store and removing the partial file. */
static void a_sweep_takes_what_the_store_has(void **state UNUSED)
{
    autofree char *dir = str_format("%s/images/blobs/sha256", home);
    autofree char *blob = str_format("%s/" HEX1, dir);
    struct partial p;
    struct err e;

    assert_int_equal(fs_mkdirs(dir, &e), 0);
    assert_int_equal(partial_open(home, D1, &p, &e), 0);
    assert_int_equal(write(p.fd, "x", 1), 1);
    assert_int_equal(link(p.path, blob), 0);
    partial_close(&p);
    assert_int_equal(partial_sweep(home, PARTIAL_SWEEP_OLD, NULL, &e), 0);
    assert_false(exists(HEX1));
}

static void note_wait(void *ctx)
{
    assert_int_equal(write(*(int *)ctx, "w", 1), 1);
}

static void a_second_pull_waits_for_the_first(void **state UNUSED)
{
    int first, pipe_fds[2], status;
    struct err e;
    char c;
    pid_t pid;

    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    first = partial_ref_lock(home, "x:1", NULL, NULL, &e);
    assert_true(first >= 0);
    pid = fork();
    if (pid == 0) {
        int second = partial_ref_lock(home, "x:1", note_wait, &pipe_fds[1], &e);

        partial_ref_unlock(home, "x:1", second);
        _exit(second < 0);
    }
    assert_int_equal(read(pipe_fds[0], &c, 1), 1);
    assert_int_equal(partial_sweep(home, PARTIAL_SWEEP_ALL, NULL, &e), 0);
    partial_ref_unlock(home, "x:1", first);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close_fd(&pipe_fds[0]);
    close_fd(&pipe_fds[1]);
}

static void another_reference_does_not_wait(void **state UNUSED)
{
    struct err e;
    int a, b;

    a = partial_ref_lock(home, "x:1", NULL, NULL, &e);
    b = partial_ref_lock(home, "x:2", NULL, NULL, &e);
    assert_true(a >= 0 && b >= 0);
    partial_ref_unlock(home, "x:1", a);
    partial_ref_unlock(home, "x:2", b);
    assert_int_equal(partial_sweep(home, PARTIAL_SWEEP_ALL, NULL, &e), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_is_found_again),
        cmocka_unit_test(a_sweep_takes_what_nobody_needs),
        cmocka_unit_test(a_sweep_takes_what_the_store_has),
        cmocka_unit_test(a_second_pull_waits_for_the_first),
        cmocka_unit_test(another_reference_does_not_wait),
    };
    struct err e;
    int r;

    if (!mkdtemp(home))
        return 1;
    r = cmocka_run_group_tests(tests, NULL, NULL);
    return fs_remove_tree(AT_FDCWD, home, &e) < 0 ? 1 : r;
}
