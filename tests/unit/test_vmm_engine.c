#include "vmm/engine.h"

#include "util/fs.h"
#include "util/own.h"

#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* A machine whose VMM is a shell script of the test's. */
struct fixture {
    char dir[64], script[96], disk[96];
    struct loop *loop;
    struct vm *vm;
    struct vm_listener listener;
    struct vm_config config;
    struct vm_exit exit;
    int ends, channel[2];
};

struct answer {
    struct vm_reply reply;
    int n;
    bool failed;
};

static void on_exited(struct vm_listener *l, const struct vm_exit *exit)
{
    struct fixture *f = CONTAINER_OF(l, struct fixture, listener);

    f->exit = *exit;
    f->ends++;
}

static void on_answer(struct vm_reply *reply, const struct err *failure)
{
    struct answer *a = CONTAINER_OF(reply, struct answer, reply);

    a->n++;
    a->failed = failure != NULL;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err e;

    assert_non_null(f);
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/a3s-unit.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->script, sizeof(f->script), "%s/vmm", f->dir);
    (void)snprintf(f->disk, sizeof(f->disk), "%s/di,sk", f->dir);
    assert_int_equal(loop_new(&f->loop, &e), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, f->channel), 0);
    assert_int_equal(fs_write_file(AT_FDCWD, f->disk, "x", 1, 0600, &e), 0);
    f->listener.exited = on_exited;
    f->config = (struct vm_config){
        .vmm = f->script,
        .accel = VM_ACCEL_TCG,
        .accel_cache_dir = f->dir,
        .memory_bytes = (uint64_t)128 << 20,
        .vcpus = 1,
        .kernel = "/vmlinux",
        .channel_fd = f->channel[1],
        .console_fd = -1,
        .net_fd = -1,
    };
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct err e;

    vm_free(f->vm);
    loop_free(f->loop);
    close_fd(&f->channel[0]);
    close_fd(&f->channel[1]);
    assert_int_equal(fs_remove_tree(AT_FDCWD, f->dir, &e), 0);
    free(f);
    return 0;
}

static void start(struct fixture *f, const char *script)
{
    autofree char *text = str_format("#!/bin/sh\n%s\n", script);
    struct err e = { .kind = ERR_NONE };

    assert_int_equal(fs_write_file(AT_FDCWD, f->script, text, strlen(text), 0700, &e), 0);
    if (vm_engine_qemu.start(&f->config, f->loop, &f->listener, &f->vm, &e) < 0)
        fail_msg("%s", e.text);
}

static void wait_end(struct fixture *f)
{
    struct err e;

    for (int turns = 0; !f->ends && turns < 1000; turns++)
        assert_true(loop_turn(f->loop, 5000, &e) > 0);
    assert_int_equal(f->ends, 1);
}

static void failure_is_told(void **state)
{
    struct fixture *f = *state;

    start(f, "echo 'qemu: warning: never mind' >&2; echo 'qemu: no such thing' >&2; exit 1");
    wait_end(f);
    assert_int_equal(f->exit.end, VM_END_FAILED);
    assert_string_equal(f->exit.text, "QEMU failed (status 1): qemu: no such thing");
}

static void crash_is_told(void **state)
{
    struct fixture *f = *state;

    start(f, "kill -SEGV $$");
    wait_end(f);
    assert_int_equal(f->exit.end, VM_END_FAILED);
    assert_string_equal(f->exit.text, "QEMU died of signal 11");
}

static void reset_is_the_regular_end(void **state)
{
    struct fixture *f = *state;

    start(f, "exit 0");
    wait_end(f);
    assert_int_equal(f->exit.end, VM_END_GUEST);
    assert_string_equal(f->exit.text, "");
}

static void panic_is_recognised(void **state)
{
    struct fixture *f = *state;
    char tail[64];

    start(
        f,
        "printf '[ 1.0] Kernel panic - not syncing: no init\\r\\n[ 1.1] more\\r\\n' >&5; exit 0");
    wait_end(f);
    assert_int_equal(f->exit.end, VM_END_PANIC);
    assert_string_equal(f->exit.text, "Kernel panic - not syncing: no init");
    f->vm->engine->console_tail(f->vm, tail, 9);
    assert_string_equal(tail, "] more\r\n");
}

/* What a guest may write to the host's disk is limited; the end of it is still known. */
static void console_is_capped(void **state)
{
    struct fixture *f = *state;
    autofree char *log = str_format("%s/console", f->dir);
    autofd int fd = open(log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    struct stat st;
    char tail[6];

    f->config.console_fd = fd;
    start(f, "head -c 3000000 /dev/zero >&5; echo last >&5");
    wait_end(f);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, VM_CONSOLE_MAX);
    f->vm->engine->console_tail(f->vm, tail, sizeof(tail));
    assert_string_equal(tail, "last\n");
}

static void kill_is_told_and_answers_all(void **state)
{
    struct answer a = { .reply = { .done = on_answer } };
    struct fixture *f = *state;

    start(f, "exec sleep 1000");
    vm_pause(f->vm, &a.reply);
    assert_int_equal(a.n, 0);
    vm_kill(f->vm);
    wait_end(f);
    assert_int_equal(f->exit.end, VM_END_KILLED);
    assert_int_equal(a.n, 1);
    assert_true(a.failed);
    vm_resume(f->vm, &a.reply); /* on a machine that has ended */
    assert_int_equal(a.n, 2);
    assert_true(a.failed);
}

static void free_leaves_no_process(void **state)
{
    struct fixture *f = *state;
    pid_t pid;

    start(f, "exec sleep 1000");
    pid = f->vm->engine->pid(f->vm);
    assert_int_equal(kill(pid, 0), 0);
    vm_free(f->vm);
    f->vm = NULL;
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(f->ends, 0);
}

/* QEMU gets the channel, our pipes and the disks, and nothing else of ours. The shell has its
 * script open as 10, and as 6 (there is no network) the directory it lists. */
static void descriptors_are_exact(void **state)
{
    struct fixture *f = *state;
    struct vm_disk disk = { .id = "d", .path = f->disk };

    f->config.disks = &disk;
    f->config.disks_n = 1;
    start(f, "cd /proc/$$/fd; set -- *; n=$*; cat <&7 >&5\n"
             "[ \"$n\" = '0 1 10 2 3 4 5 6 7' ] || { echo \"$n\" >&2; exit 1; }");
    wait_end(f);
    assert_string_equal(f->exit.text, "");
    assert_int_equal(f->exit.end, VM_END_GUEST);
}

/* A VMM that talks nonsense on its control connection is not trusted any further. */
static void nonsense_is_the_end(void **state)
{
    struct fixture *f = *state;

    start(f, "echo '{]' >&4; exec sleep 1000");
    wait_end(f);
    assert_int_equal(f->exit.end, VM_END_FAILED);
    assert_string_equal(f->exit.text, "QEMU died of signal 9");
}

static void missing_vmm_fails_at_once(void **state)
{
    struct fixture *f = *state;
    struct err e = { .kind = ERR_NONE };

    f->config.vmm = "/nonexistent/qemu";
    assert_int_equal(vm_engine_qemu.start(&f->config, f->loop, &f->listener, &f->vm, &e),
                     -ERR_NOT_FOUND);
    assert_non_null(e.hint);
}

static void bad_configurations_are_refused(void **state)
{
    struct fixture *f = *state;
    struct vm_disk disks[2] = { { .id = "a", .path = "/x", .lun = 1 },
                                { .id = "b", .path = "/y", .lun = 1 } };
    struct vm_config c = f->config;
    struct err e;

    assert_int_equal(vm_config_check(&c, &e), 0);
    c.disks = disks;
    c.disks_n = 2;
    assert_int_equal(vm_config_check(&c, &e), -ERR_INVALID);
    disks[1].lun = 2;
    assert_int_equal(vm_config_check(&c, &e), 0);
    disks[1].id = "a";
    assert_int_equal(vm_config_check(&c, &e), -ERR_INVALID);
    disks[1].id = "../x";
    assert_int_equal(vm_config_check(&c, &e), -ERR_INVALID);
    c.disks_n = VM_DISKS_MAX + 1;
    assert_int_equal(vm_config_check(&c, &e), -ERR_LIMIT);
    c.disks_n = 0;
    c.name = "x,process=y";
    assert_int_equal(vm_config_check(&c, &e), -ERR_INVALID);
    c.name = NULL;
    c.memory_bytes = 1 << 20;
    assert_int_equal(vm_config_check(&c, &e), -ERR_INVALID);
    c.memory_bytes = VM_MEMORY_MIN;
    c.vcpus = 0;
    assert_int_equal(vm_config_check(&c, &e), -ERR_INVALID);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(failure_is_told),
        T(crash_is_told),
        T(reset_is_the_regular_end),
        T(panic_is_recognised),
        T(console_is_capped),
        T(kill_is_told_and_answers_all),
        T(free_leaves_no_process),
        T(descriptors_are_exact),
        T(nonsense_is_the_end),
        T(missing_vmm_fails_at_once),
        T(bad_configurations_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
