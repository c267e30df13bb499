#include "box/brief.h"
#include "util/fs.h"
#include "util/id.h"
#include "util/spawn.h"

#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define DISK (32 << 20)

static char home[] = "/tmp/a3s-unit-box-XXXXXX";
static struct db *db;

static struct box *make(const char *name)
{
    struct box_spec spec = { .disk_bytes = DISK, .image = strdup("img"), .stop_signal = 15 };
    struct box *box = NULL;
    struct err e = { 0 };

    if (box_create(db, home, name, &spec, &box, &e) < 0)
        fail_msg("%s", e.text);
    return box;
}

/* What a3s-box-image would make; records do not care what is in it. */
static int make_template(struct err *e)
{
    autofree char *cache = str_format("%s/cache", home);
    autofree char *path = str_format("%s/cache/disk-v2-%d.ext4", home, DISK);
    int r = fs_mkdirs(cache, e);

    return r < 0 ? r : fs_write_file(AT_FDCWD, path, "template", 8, 0600, e);
}

static bool has_dir(const char *id)
{
    autofree char *path = str_format("%s/boxes/%s", home, id);
    struct stat st;

    return stat(path, &st) == 0;
}

static int found(const char *query)
{
    autoptr(box) box = NULL;
    struct err e;

    return box_find(db, home, query, &box, &e);
}

static void set_state(struct box *box, enum box_state to, pid_t pid)
{
    struct box_change c = { .to = to, .set_shim = true, .shim_pid = pid, .stopped_by_user = -1 };
    struct err e = { 0 };

    assert_int_equal(proc_start_time(pid, &c.shim_start, &e), 0);
    if (box_set_state(db, box, &c, &e) < 0)
        fail_msg("%s", e.text);
}

static void remove_box(struct box *box)
{
    struct err e = { 0 };

    if (box_remove(db, home, box, &e) < 0)
        fail_msg("%s", e.text);
    assert_false(has_dir(box->id));
    assert_int_equal(found(box->id), -ERR_NOT_FOUND);
}

static void a_box_is_found_by_name_id_and_prefix(void **state UNUSED)
{
    autoptr(box) a = make("web"), *b = make(NULL), *hit = NULL;
    char prefix[13] = "";
    struct err e;

    assert_int_equal(a->state, BOX_CREATED);
    assert_true(a->created_ns > 0 && has_dir(a->id));
    assert_non_null(strchr(b->name, '_'));
    assert_int_equal(found("web"), 0);
    assert_int_equal(found("/web"), 0);
    assert_int_equal(found("we"), -ERR_NOT_FOUND);
    assert_int_equal(found(a->id), 0);
    memcpy(prefix, a->id, 12);
    assert_int_equal(box_find(db, home, prefix, &hit, &e), 0);
    assert_string_equal(hit->id, a->id);
    assert_int_equal(found(""), -ERR_INVALID);
    assert_int_equal(found("%"), -ERR_NOT_FOUND);
    assert_int_equal(found("zz'; --"), -ERR_NOT_FOUND);
    remove_box(a);
    remove_box(b);
}

static void a_prefix_of_two_is_ambiguous_unless_it_is_a_name(void **state UNUSED)
{
    struct box *many[17];
    char seen[256] = "", query[2] = "";
    autoptr(box) named = NULL;
    struct err e;

    for (size_t i = 0; i < ARRAY_LEN(many); i++) { /* two of 17 begin with the same digit */
        many[i] = make(NULL);
        if (seen[(unsigned char)many[i]->id[0]]++)
            query[0] = many[i]->id[0];
    }
    assert_int_equal(found(query), -ERR_INVALID);
    assert_int_equal(box_rename(db, many[0], "ab", &e), 0);
    assert_int_equal(box_find(db, home, "ab", &named, &e), 0);
    assert_string_equal(named->id, many[0]->id);
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        remove_box(many[i]);
        box_free(many[i]);
    }
}

static void a_name_is_given_once(void **state UNUSED)
{
    struct box_spec spec = { .disk_bytes = DISK, .image = strdup("img") };
    autoptr(box) a = make("web"), *b = make("db"), *c = NULL;
    char expected[300];
    struct err e;

    (void)snprintf(expected, sizeof(expected),
                   "Conflict. The box name \"web\" is already in use by box \"%s\". You have to "
                   "remove (or rename) that box to be able to reuse that name.",
                   a->id);
    assert_int_equal(box_create(db, home, "web", &spec, &c, &e), -ERR_EXISTS);
    assert_string_equal(e.text, expected);
    assert_int_equal(box_rename(db, b, "web", &e), -ERR_EXISTS);
    assert_string_equal(e.text, expected);
    assert_int_equal(box_rename(db, b, "-x", &e), -ERR_INVALID);
    remove_box(a);
    remove_box(b);
}

static void names_are_checked(void **state UNUSED)
{
    static const char *const bad[] = { "", "a", "-ab", ".ab", "a b", "a/b", "b\xc3\xa4" };
    struct err e;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(box_check_name(bad[i], &e), -ERR_INVALID);
    assert_int_equal(box_check_name("a1", &e), 0);
    assert_int_equal(box_check_name("0_.-Z", &e), 0);
}

static void a_live_box_cannot_be_removed(void **state UNUSED)
{
    autoptr(box) a = make("web");
    struct err e;

    set_state(a, BOX_STARTING, getpid());
    assert_int_equal(box_remove(db, home, a, &e), -ERR_STATE);
    assert_non_null(strstr(e.text, "stop the box before removing"));
    set_state(a, BOX_RUNNING, getpid());
    assert_true(a->started_ns > 0);
    assert_int_equal(found("web"), 0);
    assert_int_equal(box_reload(db, a, &e), 0);
    assert_int_equal(a->state, BOX_RUNNING);
    set_state(a, BOX_STOPPED, getpid());
    remove_box(a);
}

static void a_late_transition_is_refused(void **state UNUSED)
{
    autoptr(box) a = make("web"), *stale = NULL;
    struct box_change start = { .to = BOX_STARTING, .stopped_by_user = -1 };
    struct err e;

    assert_int_equal(box_find(db, home, "web", &stale, &e), 0);
    set_state(a, BOX_STARTING, getpid());
    assert_int_equal(stale->state, BOX_CREATED);
    assert_int_equal(box_set_state(db, stale, &start, &e), -ERR_STATE);
    assert_string_equal(e.text, "Box web is already running");
    set_state(a, BOX_CREATED, getpid());
    remove_box(a);
}

static pid_t waiting_child(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        for (;;)
            (void)pause(); /* until it is killed */
    }
    return pid;
}

static void bury_child(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void a_box_whose_shim_is_gone_is_dead(void **state UNUSED)
{
    autoptr(box) a = make("web"), *b = make("once");
    autofree char *sock = str_format("%s/boxes/%s/%s", home, a->id, BOX_CTL_SOCK);
    pid_t pid = waiting_child();
    struct box_list list = { 0 };
    struct err e = { 0 };

    set_state(a, BOX_STARTING, pid);
    set_state(a, BOX_RUNNING, pid);
    assert_int_equal(fs_write_file(AT_FDCWD, sock, "", 0, 0600, &e), 0);
    assert_int_equal(db_exec(db, &e,
                             "UPDATE boxes SET spec = '{\"auto_remove\":true}' WHERE id = ?", "s",
                             b->id),
                     1);
    set_state(b, BOX_STARTING, pid);
    assert_int_equal(found("web"), 0);
    assert_int_equal(box_reload(db, a, &e), 0);
    assert_int_equal(a->state, BOX_RUNNING);

    bury_child(pid);
    assert_int_equal(box_list(db, home, &list, &e), 0);
    assert_int_equal(list.n, 1); /* the other one was --rm */
    assert_int_equal(list.v[0].state, BOX_DEAD);
    assert_string_equal(list.v[0].error, "shim ended unexpectedly");
    assert_int_equal(list.v[0].exit_code, 255);
    assert_int_equal(box_reload(db, a, &e), 0);
    assert_int_equal(a->shim_pid, 0);
    assert_int_equal(access(sock, F_OK), -1);
    assert_false(has_dir(b->id));
    box_list_done(&list);
    set_state(a, BOX_STARTING, getpid()); /* and it can be started again */
    assert_string_equal(a->error, "");
    set_state(a, BOX_STOPPED, getpid());
    remove_box(a);
}

static void a_shim_in_another_pid_namespace_is_seen_by_its_lock(void **state UNUSED)
{
    autoptr(box) a = make("web"), *now = NULL;
    pid_t pid = waiting_child();
    struct err e = { 0 };
    int dir;

    set_state(a, BOX_STARTING, pid);
    set_state(a, BOX_RUNNING, pid);
    bury_child(pid);
    dir = box_open_dir(home, a, &e);
    assert_int_equal(flock(dir, LOCK_EX), 0);
    assert_int_equal(box_find(db, home, "web", &now, &e), 0);
    assert_int_equal(now->state, BOX_RUNNING);
    box_free(take_ptr(now));
    close_fd(&dir);
    assert_int_equal(box_find(db, home, "web", &now, &e), 0);
    assert_int_equal(now->state, BOX_DEAD);
    remove_box(now);
}

/* What a CLI that was killed while it made or removed a box leaves behind. */
static void half_made_and_half_removed_boxes_vanish(void **state UNUSED)
{
    autoptr(box) a = make("made"), *b = make("gone"), *again = NULL;
    pid_t pid = waiting_child();
    struct box_list list = { 0 };
    uint64_t start = 0;
    struct err e = { 0 };

    assert_int_equal(proc_start_time(pid, &start, &e), 0);
    assert_int_equal(
        db_exec(db, &e,
                "UPDATE boxes SET state = 'removing', shim_pid = ?1, shim_start = ?2,"
                " created_ns = iif(name = 'made', 0, created_ns)",
                "il", (int)pid, (int64_t)start),
        2);
    assert_int_equal(box_list(db, home, &list, &e), 0);
    assert_int_equal(list.n, 1); /* the one being removed is shown, the other not yet */
    assert_string_equal(list.v[0].name, "gone");
    box_list_done(&list);

    bury_child(pid);
    again = make("made"); /* its name is free at once */
    assert_false(has_dir(a->id));
    assert_int_equal(box_list(db, home, &list, &e), 0);
    assert_int_equal(list.n, 1);
    assert_string_equal(list.v[0].id, again->id);
    assert_false(has_dir(b->id));
    box_list_done(&list);
    remove_box(again);
}

static void make_stray(const char *id)
{
    autofree char *path = str_format("%s/boxes/%s/logs", home, id);
    autofree char *disk = str_format("%s/boxes/%s/" BOX_DISK, home, id);
    struct err e = { 0 };

    assert_int_equal(fs_mkdirs(path, &e), 0);
    assert_int_equal(fs_write_file(AT_FDCWD, disk, "layer", 5, 0600, &e), 0);
}

static void directories_of_nobody_are_swept(void **state UNUSED)
{
    autoptr(box) box = make("kept");
    char stray[ID_LEN];
    uint64_t freed = 0;
    struct err e = { 0 };

    assert_int_equal(id_random(stray, &e), 0);
    make_stray(stray);
    make_stray("notes"); /* no id of ours */
    assert_int_equal(box_sweep(db, home, &freed, &e), 0);
    assert_false(has_dir(stray));
    assert_true(has_dir(box->id));
    assert_true(has_dir("notes"));
    assert_true(freed > 0);
    remove_box(box);
}

static void a_list_needs_no_specification(void **state UNUSED)
{
    struct box_spec spec = { .disk_bytes = DISK,
                             .image = strdup("img:1"),
                             .labels = json_pack("{s:s}", "k", "a b") };
    autoptr(box) box = NULL;
    struct box_list list = { 0 };
    struct err e = { 0 };

    assert_true(strv_add(&spec.entrypoint, "sh") && strv_add(&spec.cmd, "-c") &&
                strv_add(&spec.cmd, "a  b"));
    assert_int_equal(box_create(db, home, "web", &spec, &box, &e), 0);
    assert_int_equal(db_exec(db, &e, "UPDATE boxes SET spec = 'no JSON'", ""), 1);
    assert_int_equal(box_list(db, home, &list, &e), 0);
    assert_int_equal(list.n, 1);
    assert_string_equal(list.v[0].id, box->id);
    assert_string_equal(list.v[0].image, "img:1");
    assert_string_equal(list.v[0].command, "sh -c a  b");
    assert_string_equal(list.v[0].labels, "{\"k\":\"a b\"}");
    assert_string_equal(list.v[0].network, "none");
    assert_string_equal(list.v[0].platform, "");
    box_list_done(&list);
    assert_int_equal(db_exec(db, &e, "UPDATE boxes SET spec = '{}'", ""), 1);
    remove_box(box);
}

static void a_name_conflict_leaves_nothing(void **state UNUSED)
{
    autoptr(box) a = make("web"), *c = NULL;
    struct box_spec spec = { .disk_bytes = DISK, .image = strdup("img") };
    struct box_list list = { 0 };
    struct err e;

    assert_int_equal(box_create(db, home, "web", &spec, &c, &e), -ERR_EXISTS);
    assert_int_equal(box_list(db, home, &list, &e), 0);
    assert_int_equal(list.n, 1);
    box_list_done(&list);
    remove_box(a);
}

static void many_processes_create_at_once(void **state UNUSED)
{
    struct box_list list = { 0 };
    int failed = 0, status;
    struct err e = { 0 };

    for (int i = 0; i < 8; i++) {
        if (fork() != 0)
            continue;
        for (int n = 0; n < 8; n++) {
            struct box_spec spec = { .disk_bytes = DISK, .image = strdup("img") };
            autoptr(db) mine = NULL;
            autoptr(box) box = NULL;

            if (db_open(home, &mine, &e) < 0 || box_create(mine, home, NULL, &spec, &box, &e) < 0)
                _exit(1);
        }
        _exit(0);
    }
    for (int i = 0; i < 8; i++) {
        assert_true(wait(&status) > 0);
        failed += status != 0;
    }
    assert_int_equal(failed, 0);
    assert_int_equal(box_list(db, home, &list, &e), 0);
    assert_int_equal(list.n, 64);
    for (size_t i = 0; i < list.n; i++) {
        autoptr(box) box = NULL;

        assert_int_equal(box_find(db, home, list.v[i].id, &box, &e), 0);
        remove_box(box);
    }
    box_list_done(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_box_is_found_by_name_id_and_prefix),
        cmocka_unit_test(a_prefix_of_two_is_ambiguous_unless_it_is_a_name),
        cmocka_unit_test(a_name_is_given_once),
        cmocka_unit_test(a_list_needs_no_specification),
        cmocka_unit_test(a_name_conflict_leaves_nothing),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(a_live_box_cannot_be_removed),
        cmocka_unit_test(a_late_transition_is_refused),
        cmocka_unit_test(a_box_whose_shim_is_gone_is_dead),
        cmocka_unit_test(a_shim_in_another_pid_namespace_is_seen_by_its_lock),
        cmocka_unit_test(half_made_and_half_removed_boxes_vanish),
        cmocka_unit_test(directories_of_nobody_are_swept),
        cmocka_unit_test(many_processes_create_at_once),
    };
    struct err e;
    int r;

    if (!mkdtemp(home) || db_open(home, &db, &e) < 0 || make_template(&e) < 0)
        return 1;
    r = cmocka_run_group_tests(tests, NULL, NULL);
    db_free(db);
    return fs_remove_tree(AT_FDCWD, home, &e) < 0 ? 1 : r;
}
