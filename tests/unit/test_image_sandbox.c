#include "image/sandbox.h"

#include "util/str.h"

#include "unit.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Run in a child, which cannot come back from a sandbox: its exit status is the line that failed.
 */
#define CHECK(condition)                                                                         \
    do {                                                                                         \
        if (!(condition))                                                                        \
            _exit(__LINE__ & 0xff);                                                              \
    } while (0)

static void in_child(void (*fn)(const char *home, const char *other))
{
    char home[] = "/tmp/a3s-sandbox-XXXXXX", other[] = "/tmp/a3s-outside-XXXXXX";
    int status = -1, fd = mkostemp(other, O_CLOEXEC);
    pid_t pid;

    assert_true(fd >= 0 && mkdtemp(home));
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        fn(home, other);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)close(fd);
    (void)unlink(other);
    (void)rmdir(home);
    assert_int_equal(status, 0);
}

static void files(const char *home, const char *other)
{
    char path[64], moved[64];
    struct err e = { 0 };
    int fd;

    CHECK(sandbox_enter(home, &e) == 0);
    CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    (void)snprintf(path, sizeof(path), "%s/file", home);
    (void)snprintf(moved, sizeof(moved), "%s/dir/file", home);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, "x", 1) == 1 && ftruncate(fd, 0) == 0);
    *strrchr(moved, '/') = '\0';
    CHECK(mkdir(moved, 0700) == 0);
    moved[strlen(moved)] = '/';
    CHECK(rename(path, moved) == 0 && unlink(moved) == 0);
    *strrchr(moved, '/') = '\0';
    CHECK(rmdir(moved) == 0);
    CHECK(open(other, O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
    CHECK(open("/root/.profile", O_RDONLY | O_CLOEXEC) < 0);
    CHECK(unlink(other) < 0 && errno == EACCES);
    CHECK(open("/etc/passwd", O_WRONLY | O_CLOEXEC) < 0);
}

static void only_the_home(void **state UNUSED)
{
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 2)
        skip();
    in_child(files);
}

static void calls(const char *home UNUSED, const char *other UNUSED)
{
    char *const argv[] = { (char *)"true", NULL };
    struct err e = { 0 };

    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(sandbox_deny_calls(&e) == 0);
    CHECK(socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EPERM);
    CHECK(execv("/bin/true", argv) < 0 && errno == EPERM);
    CHECK(mount("none", "/tmp", "tmpfs", 0, "") < 0 && errno == EPERM);
    CHECK(syscall(SYS_unshare, 0) < 0 && errno == EPERM);
    CHECK(syscall(SYS_ptrace, 0, 0, 0, 0) < 0 && errno == EPERM);
    CHECK(getpid() > 0);
}

static void no_programs_sockets_mounts(void **state UNUSED)
{
    in_child(calls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_home),
        cmocka_unit_test(no_programs_sockets_mounts),
    };

    return cmocka_run_group_tests_name("image_sandbox", tests, NULL, NULL);
}
