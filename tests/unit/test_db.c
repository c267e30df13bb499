#include "db/db.h"
#include "db/schema.h"
#include "util/fs.h"

#include "unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char home[] = "/tmp/a3s-unit-db-XXXXXX";

#define INSERT                                                                                   \
    "INSERT INTO images (reference, image_id, manifest_digest, added_ns, used_ns)"               \
    " VALUES (?, 'i', 'm', 1, 1)"

static int insert_two(struct db *db, void *user, struct err *e)
{
    int r = db_exec(db, e, INSERT, "s", user);

    return r < 0 ? r : db_exec(db, e, INSERT, "s", "taken");
}

static int64_t count(struct db *db)
{
    autostmt st = { 0 };
    struct err e;

    assert_int_equal(stmt_open(db, &st, &e, "SELECT COUNT(*) FROM images", ""), 0);
    assert_int_equal(stmt_step(&st, &e), 1);
    return stmt_i64(&st, 0);
}

static void a_failed_transaction_changes_nothing(void **state UNUSED)
{
    autoptr(db) db = NULL;
    struct err e;

    assert_int_equal(db_open(home, &db, &e), 0);
    assert_int_equal(db_transaction(db, insert_two, (void *)"a", &e), 1);
    assert_int_equal(db_transaction(db, insert_two, (void *)"b", &e), -ERR_EXISTS);
    assert_int_equal(count(db), 2);
}

static void writers_wait_for_each_other(void **state UNUSED)
{
    autoptr(db) db = NULL;
    int failed = 0, status;
    struct err e;

    for (int i = 0; i < 8; i++) {
        if (fork() != 0)
            continue;
        for (int n = 0; n < 25; n++) {
            autoptr(db) mine = NULL;
            char ref[32];

            (void)snprintf(ref, sizeof(ref), "w%d-%d", i, n);
            if (db_open(home, &mine, &e) < 0 || db_exec(mine, &e, INSERT, "s", ref) < 0)
                _exit(1);
        }
        _exit(0);
    }
    for (int i = 0; i < 8; i++) {
        assert_true(wait(&status) > 0);
        failed += status != 0;
    }
    assert_int_equal(failed, 0);
    assert_int_equal(db_open(home, &db, &e), 0);
    assert_int_equal(count(db), 202);
}

static void a_damaged_file_is_an_error_and_stays(void **state UNUSED)
{
    char bad[] = "/tmp/a3s-unit-db-XXXXXX", path[64];
    autostr content = STR_INIT(0);
    struct db *db = NULL;
    struct err e;

    assert_non_null(mkdtemp(bad));
    (void)snprintf(path, sizeof(path), "%s/state.db", bad);
    assert_int_equal(
        fs_write_file(AT_FDCWD, path, "this is not a database at all, is it", 36, 0600, &e), 0);
    assert_int_equal(db_open(bad, &db, &e), -ERR_CORRUPT);
    assert_non_null(e.hint);
    assert_int_equal(fs_read_file(AT_FDCWD, path, &content, &e), 0);
    assert_memory_equal(content.p, "this is not a database", 22);
    assert_int_equal(fs_remove_tree(AT_FDCWD, bad, &e), 0);
}

/* A database that the first version made keeps its records and learns the new columns. */
static void an_older_database_is_brought_up_to_date(void **state UNUSED)
{
    char old[] = "/tmp/a3s-unit-db-XXXXXX", path[64];
    autoptr(db) db = NULL;
    autostmt st = { 0 };
    sqlite3 *sql = NULL;
    struct err e;

    assert_non_null(mkdtemp(old));
    (void)snprintf(path, sizeof(path), "%s/state.db", old);
    assert_int_equal(sqlite3_open(path, &sql), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sql, schema_scripts[0], NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sql,
                                  "INSERT INTO images VALUES ('r', 'i', 'm', 1, 1);"
                                  "PRAGMA user_version = 1",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(sql), SQLITE_OK);
    assert_int_equal(db_open(old, &db, &e), 0);
    assert_int_equal(stmt_open(db, &st, &e, "SELECT reference, repo_digest FROM images", ""), 0);
    assert_int_equal(stmt_step(&st, &e), 1);
    assert_string_equal(stmt_text(&st, 0), "r");
    assert_string_equal(stmt_text(&st, 1), "");
    stmt_done(&st);
    st = (struct stmt){ 0 };
    assert_int_equal(fs_remove_tree(AT_FDCWD, old, &e), 0);
}

static void a_newer_database_is_refused(void **state UNUSED)
{
    struct db *db = NULL;
    struct err e;

    assert_int_equal(db_open(home, &db, &e), 0);
    assert_int_equal(db_exec(db, &e, "PRAGMA user_version = 9999", ""), 0);
    db_free(db);
    assert_int_equal(db_open(home, &db, &e), -ERR_UNSUPPORTED);
}

/* A database as version `version` left it, with `rows` in it. */
static void make_old(const char *dir, int version, const char *rows)
{
    char path[64], pragma[64];
    sqlite3 *sql;

    (void)snprintf(path, sizeof(path), "%s/state.db", dir);
    (void)snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %d", version);
    assert_int_equal(sqlite3_open(path, &sql), SQLITE_OK);
    for (int i = 0; i < version; i++)
        assert_int_equal(sqlite3_exec(sql, schema_scripts[i], NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sql, rows, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sql, pragma, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(sql), SQLITE_OK);
}

static void what_ps_prints_is_taken_from_old_specifications(void **state UNUSED)
{
    static const char *const want[] = { "a|sh -c x|{\"k\":\"v\"}|none|linux/amd64", "b|||none|",
                                        "c|||none|" };
    char old[] = "/tmp/a3s-unit-db-XXXXXX";
    autoptr(db) db = NULL;
    struct err e = { 0 };

    assert_non_null(mkdtemp(old));
    make_old(old, 2,
             "INSERT INTO boxes (id, name, state, image, image_id, spec, created_ns) VALUES"
             " ('a', 'a', 'created', '', '', '{\"cmd\":[\"-c\",\"x\"],\"labels\":{\"k\":\"v\"},"
             "\"entrypoint\":[\"sh\"],\"platform\":\"linux/amd64\"}', 1),"
             " ('b', 'b', 'created', '', '', '{}', 1), ('c', 'c', 'created', '', '', 'bad', 1)");
    assert_int_equal(db_open(old, &db, &e), 0);
    {
        autostmt st = { 0 };

        assert_int_equal(stmt_open(db, &st, &e,
                                   "SELECT id || '|' || command || '|' || labels || '|' ||"
                                   " network || '|' || platform FROM boxes ORDER BY id",
                                   ""),
                         0);
        for (size_t i = 0; i < ARRAY_LEN(want); i++) {
            assert_int_equal(stmt_step(&st, &e), 1);
            assert_string_equal(stmt_text(&st, 0), want[i]);
        }
    }
    assert_int_equal(fs_remove_tree(AT_FDCWD, old, &e), 0);
}

static void a_home_that_was_exchanged_is_noticed(void **state UNUSED)
{
    char dir[] = "/tmp/a3s-unit-db-XXXXXX", away[64];
    autoptr(db) db = NULL;
    struct err e;
    int fd;

    assert_non_null(mkdtemp(dir));
    (void)snprintf(away, sizeof(away), "%s.away", dir);
    assert_int_equal(db_open(dir, &db, &e), 0);
    fd = db_open_home(db, dir, &e);
    assert_true(fd >= 0);
    close_fd(&fd);
    assert_int_equal(rename(dir, away), 0);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(db_open_home(db, dir, &e), -ERR_STATE);
    assert_int_equal(fs_remove_tree(AT_FDCWD, dir, &e), 0);
    assert_int_equal(fs_remove_tree(AT_FDCWD, away, &e), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_transaction_changes_nothing),
        cmocka_unit_test(writers_wait_for_each_other),
        cmocka_unit_test(a_damaged_file_is_an_error_and_stays),
        cmocka_unit_test(an_older_database_is_brought_up_to_date),
        cmocka_unit_test(a_newer_database_is_refused),
        cmocka_unit_test(what_ps_prints_is_taken_from_old_specifications),
        cmocka_unit_test(a_home_that_was_exchanged_is_noticed),
    };
    struct err e;
    int r;

    if (!mkdtemp(home))
        return 1;
    r = cmocka_run_group_tests(tests, NULL, NULL);
    return fs_remove_tree(AT_FDCWD, home, &e) < 0 ? 1 : r;
}
