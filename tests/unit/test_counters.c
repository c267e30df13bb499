#include "db/counters.h"
#include "util/fs.h"
#include "util/str.h"
#include "util/time.h"

#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int make_home(void **state)
{
    char path[] = "/tmp/a3s-counters-XXXXXX";

    *state = mkdtemp(path) ? strdup(path) : NULL;
    return *state ? 0 : -1;
}

static int drop_home(void **state)
{
    struct err e;
    int r = fs_remove_tree(AT_FDCWD, *state, &e);

    free(*state);
    return r;
}

static void what_was_never_counted_is_zero(void **state)
{
    struct counters c;
    struct err e;

    assert_int_equal(counters_read(*state, &c, &e), 0);
    for (int i = 0; i < COUNTER_N; i++)
        assert_int_equal(c.value[i], 0);
    assert_int_equal(c.histogram[HISTOGRAM_BOOT].sum_ns, 0);
}

static void counts_of_many_processes_add_up(void **state)
{
    enum { PROCESSES = 8, EACH = 200 };
    struct counters c;
    struct err e;
    pid_t pids[PROCESSES];
    int status;

    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] > 0)
            continue;
        for (int n = 0; n < EACH; n++)
            counter_add(*state, COUNTER_EXEC);
        _exit(0);
    }
    for (int i = 0; i < PROCESSES; i++)
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
    assert_int_equal(counters_read(*state, &c, &e), 0);
    assert_int_equal(c.value[COUNTER_EXEC], PROCESSES * EACH);
    assert_int_equal(c.value[COUNTER_EXEC_ERRORS], 0);
}

static void a_bound_is_inside_its_bucket(void **state)
{
    struct counters c;
    struct err e;

    histogram_add(*state, HISTOGRAM_BOOT, 50 * NS_PER_MS);     /* le 0.05 */
    histogram_add(*state, HISTOGRAM_BOOT, 50 * NS_PER_MS + 1); /* le 0.1 */
    histogram_add(*state, HISTOGRAM_BOOT, 11 * NS_PER_S);      /* above all */
    histogram_add(*state, HISTOGRAM_PULL, 121 * NS_PER_S);     /* fewer buckets: the same */
    assert_int_equal(counters_read(*state, &c, &e), 0);
    assert_int_equal(c.histogram[HISTOGRAM_BOOT].bucket[0], 1);
    assert_int_equal(c.histogram[HISTOGRAM_BOOT].bucket[1], 1);
    assert_int_equal(c.histogram[HISTOGRAM_BOOT].bucket[HISTOGRAM_BUCKETS_MAX], 1);
    assert_int_equal(c.histogram[HISTOGRAM_BOOT].sum_ns, 11 * NS_PER_S + 100 * NS_PER_MS + 1);
    assert_int_equal(c.histogram[HISTOGRAM_PULL].bucket[HISTOGRAM_BUCKETS_MAX], 1);
}

static void a_foreign_file_is_left_alone(void **state)
{
    autofree char *path = str_format("%s/" COUNTERS_FILE, (char *)*state);
    static const char text[4096] = "not a file of counters";
    struct counters c;
    struct err e;
    autostr now = STR_INIT(8192);

    assert_int_equal(fs_write_file(AT_FDCWD, path, text, sizeof(text), 0600, &e), 0);
    counter_add(*state, COUNTER_EXEC);
    assert_int_equal(fs_read_file(AT_FDCWD, path, &now, &e), 0);
    assert_int_equal(now.len, sizeof(text));
    assert_memory_equal(now.p, text, sizeof(text));
    assert_int_equal(counters_read(*state, &c, &e), -ERR_CORRUPT);
    assert_non_null(strstr(e.text, "delete it"));
    assert_int_equal(unlink(path), 0);
    counter_add("/nonexistent", COUNTER_EXEC); /* no harm */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_never_counted_is_zero),
        cmocka_unit_test(counts_of_many_processes_add_up),
        cmocka_unit_test(a_bound_is_inside_its_bucket),
        cmocka_unit_test(a_foreign_file_is_left_alone),
    };

    return cmocka_run_group_tests_name("counters", tests, make_home, drop_home);
}
