/* What guest-init makes of an image's files: mount points, the program to run, tmpfs options. */
#include "guest/cgroup.h"
#include "guest/mnt.h"
#include "guest/place.h"
#include "guest/process.h"
#include "guest/procs.h"
#include "guest/stats.h"
#include "guest/tmpfs.h"
#include "guest/update.h"
#include "util/fs.h"
#include "util/own.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "unit.h"

static int root_new(void **state)
{
    char *path = strdup("/tmp/test-guest.XXXXXX");
    struct err e;

    if (!path || !mkdtemp(path))
        return -1;
    *state = path;
    return fs_mkdirs(path, &e);
}

static int root_free(void **state)
{
    struct err e;
    int r = fs_remove_tree(AT_FDCWD, *state, &e);

    free(*state);
    return r;
}

static int root_open(void **state)
{
    struct err e;
    int fd = fs_open_dir(AT_FDCWD, *state, &e);

    assert_true(fd >= 0);
    return fd;
}

static bool exists(int root, const char *path)
{
    return faccessat(root, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void missing_mount_points_are_made(void **state)
{
    autofd int root = root_open(state), dir = -1, file = -1, again = -1;
    struct err e;

    dir = place_dir(root, "/a/b/c", &e);
    assert_true(dir >= 0);
    file = place_file(root, "/a/x/file", &e);
    assert_true(file >= 0);
    again = place_dir(root, "/a//b/c/", &e);
    assert_true(again >= 0);
    assert_true(exists(root, "a/b/c") && exists(root, "a/x/file"));
}

static void links_stay_inside_the_root(void **state)
{
    autofd int root = root_open(state), a = -1, b = -1, c = -1;
    struct err e;

    assert_int_equal(mkdirat(root, "etc", 0755), 0);
    assert_int_equal(symlinkat("/made/here", root, "abs"), 0);
    assert_int_equal(symlinkat("../../../../up/f", root, "etc/resolv.conf"), 0);
    assert_int_equal(symlinkat("../../../../../tmp", root, "out"), 0);
    a = place_dir(root, "/abs", &e);
    assert_true(a >= 0);
    b = place_file(root, "/etc/resolv.conf", &e);
    assert_true(b >= 0);
    c = place_dir(root, "/out/x", &e);
    assert_true(c >= 0);
    assert_true(exists(root, "made/here") && exists(root, "up/f") && exists(root, "tmp/x"));
}

static void what_is_in_the_way_is_an_error(void **state)
{
    autofd int root = root_open(state), f = openat(root, "f", O_CREAT | O_WRONLY, 0600);
    struct err e;

    assert_true(f >= 0);
    assert_int_equal(mkdirat(root, "d", 0755), 0);
    assert_int_equal(symlinkat("loop", root, "loop"), 0);
    assert_int_equal(symlinkat("b", root, "a"), 0);
    assert_int_equal(symlinkat("a", root, "b"), 0);
    assert_int_equal(mkfifoat(root, "fifo", 0600), 0);
    assert_true(place_dir(root, "/f", &e) < 0);
    assert_true(place_dir(root, "/f/x", &e) < 0);
    assert_true(place_file(root, "/d", &e) < 0);
    assert_true(place_file(root, "/fifo", &e) < 0);
    assert_true(place_dir(root, "/loop/x", &e) < 0);
    assert_true(place_file(root, "/a", &e) < 0);
    assert_true(place_dir(root, "relative", &e) < 0);
    assert_true(place_file(root, "/", &e) < 0);
}

static void a_chain_of_dangling_links_ends(void **state)
{
    autofd int root = root_open(state);
    char name[16], next[16];
    struct err e;

    for (int i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof(name), "l%d", i);
        (void)snprintf(next, sizeof(next), "l%d/x", i + 1);
        assert_int_equal(symlinkat(next, root, name), 0);
    }
    assert_true(place_dir(root, "/l0", &e) < 0);
}

static void program_is_looked_up(void **state)
{
    autofree char *bin = str_format("%s/bin", (char *)*state), *path = NULL;
    autofree char *tool = str_format("%s/tool", bin), *plain = str_format("%s/plain", bin);
    autofree char *search = str_format("PATH=/nonexistent:%s", bin);
    struct strv env = { .v = (char *[]){ search, NULL }, .n = 1 };
    struct err e;
    int status, fd;

    assert_int_equal(mkdir(bin, 0755), 0);
    fd = open(tool, O_CREAT | O_WRONLY, 0755);
    assert_true(fd >= 0 && close(fd) == 0);
    fd = open(plain, O_CREAT | O_WRONLY, 0644);
    assert_true(fd >= 0 && close(fd) == 0);
    assert_int_equal(process_lookup("tool", &env, &path, &status, &e), 0);
    assert_string_equal(path, tool);
    assert_true(process_lookup("nosuch", &env, &path, &status, &e) < 0);
    assert_int_equal(status, 127);
    assert_string_equal(e.text, "exec: \"nosuch\": executable file not found in $PATH");
    assert_true(process_lookup("plain", &env, &path, &status, &e) < 0);
    assert_int_equal(status, 126);
    assert_true(process_lookup(bin, &env, &path, &status, &e) < 0);
    assert_int_equal(status, 126);
    assert_true(process_lookup("/no/such", &env, &path, &status, &e) < 0);
    assert_int_equal(status, 127);
    assert_true(process_lookup("", &env, &path, &status, &e) < 0);
    assert_int_equal(status, 127);
}

static void only_regular_files_are_read_and_not_to_the_end(void **state)
{
    autofree char *file = str_format("%s/f", (char *)*state);
    autofree char *fifo = str_format("%s/fifo", (char *)*state);
    autofd int fd = open(file, O_CREAT | O_WRONLY, 0600);
    autostr text = STR_INIT(4096);
    struct err e;

    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(write(fd, "0123456789", 10), 10);
    assert_int_equal(process_read_file(fifo, 100, &text, &e), 0);
    assert_int_equal(process_read_file("/nonexistent", 100, &text, &e), 0);
    assert_int_equal(process_read_file("/", 100, &text, &e), 0);
    assert_int_equal(text.len, 0);
    assert_int_equal(process_read_file(file, 4, &text, &e), 0);
    assert_string_equal(str_c(&text), "0123");
}

static void tmpfs(const char *options, uint64_t attrs, const char *data)
{
    struct tmpfs_options o;
    struct err e;

    assert_int_equal(tmpfs_options_parse(options, &o, &e), 0);
    assert_int_equal(o.attrs, attrs);
    assert_string_equal(str_c(&o.data), data);
    tmpfs_options_done(&o);
}

static void tmpfs_options_are_checked(void **state UNUSED)
{
    static const char *const bad[] = {
        "bogus",        "size",    "size=",  "size=1x",      "size=1mm",    "mode=8",
        "mode=777777",  "uid=a",   "uid=1k", "gid=-1",       "rw=1",        "mpol=bind",
        "size=1m,what", "remount", "=",      "nr_inodes=5%", "huge=always",
    };
    uint64_t usual = MNT_NOSUID | MNT_NODEV | MNT_NOEXEC;

    tmpfs(NULL, usual, "");
    tmpfs("", usual, "");
    tmpfs("rw,,relatime", usual, "");
    tmpfs("exec,suid,dev", 0, "");
    tmpfs("ro,noatime", usual | MNT_RDONLY | MNT_NOATIME, "");
    tmpfs("exec,noexec", usual, "");
    tmpfs("size=64m,mode=1777,uid=5,gid=6,nr_inodes=1k", usual,
          "size=64m,mode=1777,uid=5,gid=6,nr_inodes=1k");
    tmpfs("size=50%", usual, "size=50%");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct tmpfs_options o;
        struct err e;

        assert_true(tmpfs_options_parse(bad[i], &o, &e) < 0);
        assert_int_equal(e.kind, ERR_INVALID);
        tmpfs_options_done(&o);
    }
}

static void process_rows_are_parsed(void **state UNUSED)
{
    const char *stat = "200 (a) b (c) S 100 200 200 34816 0 4194560 1 2 3 4 30 12 0 0 20 -5 3 0 "
                       "1234 4096000 77 18446744073709551615 1 1 0";
    const char *status = "Name:\tx\nUid:\t1000\t1001\t0\t0\nGid:\t7\t8\t0\t0\nNSpid:\t200\t5\n";
    struct proc_row row;
    struct err e;

    assert_int_equal(procs_parse(stat, status, &row, &e), 0);
    assert_string_equal(row.comm, "a) b (c");
    assert_string_equal(row.state, "S");
    assert_string_equal(row.tty, "pts/0");
    assert_int_equal(row.pid, 5);
    assert_int_equal(row.ppid, 100);
    assert_int_equal(row.uid, 1001);
    assert_int_equal(row.gid, 8);
    assert_int_equal(row.cpu_ticks, 42);
    assert_int_equal(row.start_ns, 12340000000);
    assert_int_equal(row.rss_bytes, 77 * 4096);
    assert_int_equal(row.nice, -5);
    assert_int_equal(row.threads, 3);
    config_done(proc_row, &row);
    assert_true(procs_parse("200 (a", status, &row, &e) < 0);
    assert_true(procs_parse(") 200 (a", status, &row, &e) < 0);
    assert_true(procs_parse(stat, "Name:\tx\nNSpid:\t200\n", &row, &e) < 0);
}

static void counters_are_parsed(void **state UNUSED)
{
    const char *cpu = "usage_usec 123\nuser_usec 100\nsystem_usec 23\n";
    const char *net =
        "Inter-|   Receive                      |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes\n"
        "    lo:   1000      10    0    0    0     0          0         0     1000\n"
        "  eth0:1420 5 0 0 0 0 0 0 830 6 0 0 0 0 0 0\n"
        " vlan0: 80 5 0 0 0 0 0 0 170 6 0 0 0 0 0 0\n"
        "broken: 80\n";
    uint64_t a = 1, b = 1;

    assert_int_equal(stats_value(cpu, "usage_usec"), 123);
    assert_int_equal(stats_value(cpu, "system_usec"), 23);
    assert_int_equal(stats_value(cpu, "system"), 0);
    assert_int_equal(stats_value("", "usage_usec"), 0);
    assert_int_equal(stats_value("usage_usec", "usage_usec"), 0);
    assert_int_equal(stats_value("MemFree: 1 kB\nMemTotal:   262144 kB\n", "MemTotal"), 262144);
    stats_net(net, &a, &b);
    assert_int_equal(a, 1500);
    assert_int_equal(b, 1000);
    stats_net("", &a, &b);
    assert_int_equal(a + b, 0);
    stats_io("254:0 rbytes=4096 wbytes=0 rios=1 wios=0\n254:16 rbytes=100 wbytes=8192 rios=0\n",
             &a, &b);
    assert_int_equal(a, 4196);
    assert_int_equal(b, 8192);
    stats_io("254:0 \n", &a, &b);
    assert_int_equal(a + b, 0);
}

static void cpu_file(int dir, const char *cpu, const char *text)
{
    autofd int fd = -1;
    struct err e;

    assert_int_equal(mkdirat(dir, cpu, 0755), 0);
    fd = fs_open_dir(dir, cpu, &e);
    assert_true(fd >= 0);
    assert_int_equal(fs_write_file(fd, "online", text, strlen(text), 0644, &e), 0);
}

static void cpus_go_online_and_offline(void **state)
{
    autofd int dir = -1;
    uint64_t n[3];
    struct err e;

    dir = fs_open_dir(AT_FDCWD, *state, &e);
    cpu_file(dir, "cpu1", "1\n");
    cpu_file(dir, "cpu2", "0\n");
    cpu_file(dir, "cpu3", "0\n");
    assert_int_equal(update_cpus(dir, 3, &e), 0);
    for (unsigned i = 0; i < 3; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "cpu%u/online", i + 1);
        assert_int_equal(cgroup_number(dir, name, &n[i]), 0);
    }
    assert_true(n[0] == 1 && n[1] == 1 && n[2] == 0);
    assert_int_equal(update_cpus(dir, 1, &e), 0);
    assert_int_equal(cgroup_number(dir, "cpu1/online", &n[0]), 0);
    assert_int_equal(n[0], 0);
    assert_int_equal(update_cpus(dir, 5, &e), -ERR_LIMIT);
    assert_non_null(strstr(e.text, "the machine has 4 CPUs"));
}

static void the_machine_keeps_something_for_itself(void **state UNUSED)
{
    const struct cgroup_limits given = { .memory_max = 5 }, none = { 0 },
                               taken = { .memory_taken = 64 << 20 },
                               all = { .memory_taken = UINT64_C(1) << 60 };

    assert_int_equal(cgroup_memory_max(&given), 5);
    assert_int_equal(cgroup_memory_max(&none) - cgroup_memory_max(&taken), 64 << 20);
    assert_int_equal(cgroup_memory_max(&all), 4 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(missing_mount_points_are_made, root_new, root_free),
        cmocka_unit_test_setup_teardown(links_stay_inside_the_root, root_new, root_free),
        cmocka_unit_test_setup_teardown(what_is_in_the_way_is_an_error, root_new, root_free),
        cmocka_unit_test_setup_teardown(a_chain_of_dangling_links_ends, root_new, root_free),
        cmocka_unit_test_setup_teardown(program_is_looked_up, root_new, root_free),
        cmocka_unit_test_setup_teardown(only_regular_files_are_read_and_not_to_the_end, root_new,
                                        root_free),
        cmocka_unit_test(tmpfs_options_are_checked),
        cmocka_unit_test(process_rows_are_parsed),
        cmocka_unit_test(counters_are_parsed),
        cmocka_unit_test_setup_teardown(cpus_go_online_and_offline, root_new, root_free),
        cmocka_unit_test(the_machine_keeps_something_for_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
