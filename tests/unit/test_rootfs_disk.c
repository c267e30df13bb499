#include "rootfs/disk.h"

#include "util/fs.h"
#include "util/str.h"

#include "unit.h"

#include <fcntl.h>
#include <sys/stat.h>

struct place {
    char dir[32];
    struct err e;
};

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof(*p));

    (void)snprintf(p->dir, sizeof(p->dir), "/tmp/a3s-disk-XXXXXX");
    *state = p;
    return mkdtemp(p->dir) ? 0 : -1;
}

static int teardown(void **state)
{
    struct place *p = *state;
    int r = fs_remove_tree(AT_FDCWD, p->dir, &p->e);

    free(p);
    return r;
}

static void put(int fd, off_t at, const char *text)
{
    assert_int_equal(pwrite(fd, text, strlen(text), at), (ssize_t)strlen(text));
}

static void copies_data_and_holes(void **state)
{
    struct place *p = *state;
    autofree char *from = str_format("%s/from", p->dir), *to = str_format("%s/to", p->dir);
    autofd int fd = open(from, O_RDWR | O_CREAT | O_CLOEXEC, 0600), copy = -1;
    struct stat st;
    char got[8] = "";

    put(fd, 0, "begin");
    put(fd, 5 << 20, "middle");
    assert_int_equal(ftruncate(fd, 1 << 30), 0);
    assert_int_equal(rootfs_disk_copy(from, to, &p->e), 0);
    copy = open(to, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(copy, &st), 0);
    assert_int_equal(st.st_size, 1 << 30);
    assert_true(st.st_blocks * 512 < 1 << 20);
    assert_int_equal(pread(copy, got, 5, 0), 5);
    assert_string_equal(got, "begin");
    assert_int_equal(pread(copy, got, 6, 5 << 20), 6);
    assert_string_equal(got, "middle");
    assert_int_equal(rootfs_disk_copy(from, to, &p->e), -ERR_EXISTS);
}

/* The worker here is a script: how the template gets there is what is tested. */
static void makes_the_template_once(void **state)
{
    static const char script[] = "#!/bin/sh\n[ \"$1\" = disk-template ] || exit 3\n"
                                 "echo called >>\"${0%/*}/calls\"\ntruncate -s \"$2\" \"$3\"\n";
    struct place *p = *state;
    autofree char *worker = str_format("%s/worker", p->dir),
                  *calls = str_format("%s/calls", p->dir), *one = str_format("%s/one", p->dir),
                  *two = str_format("%s/two", p->dir);
    autostr text = STR_INIT(100);
    struct stat st;

    assert_int_equal(fs_write_file(AT_FDCWD, worker, script, strlen(script), 0700, &p->e), 0);
    assert_int_equal(rootfs_disk_create(p->dir, worker, 64 << 20, one, &p->e), 0);
    assert_int_equal(rootfs_disk_create(p->dir, worker, 64 << 20, two, &p->e), 0);
    assert_int_equal(stat(two, &st), 0);
    assert_int_equal(st.st_size, 64 << 20);
    assert_int_equal(fs_read_file(AT_FDCWD, calls, &text, &p->e), 0);
    assert_string_equal(str_c(&text), "called\n");
}

static void failures(void **state)
{
    struct place *p = *state;
    autofree char *path = str_format("%s/disk", p->dir);

    assert_int_equal(rootfs_disk_create(p->dir, "/bin/false", 1 << 10, path, &p->e),
                     -ERR_INVALID);
    assert_int_equal(rootfs_disk_create(p->dir, "/bin/false", 64 << 20, path, &p->e),
                     -ERR_SYSTEM);
    assert_int_equal(rootfs_disk_create(p->dir, "/no/such", 64 << 20, path, &p->e),
                     -ERR_NOT_FOUND);
    assert_int_not_equal(access(path, F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(copies_data_and_holes, setup, teardown),
        cmocka_unit_test_setup_teardown(makes_the_template_once, setup, teardown),
        cmocka_unit_test_setup_teardown(failures, setup, teardown),
    };

    return cmocka_run_group_tests_name("rootfs_disk", tests, NULL, NULL);
}
