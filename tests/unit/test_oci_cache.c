#include "db/db.h"
#include "db/schema.h"
#include "oci/cache.h"
#include "util/fs.h"
#include "util/time.h"

#include "unit.h"

#include <fcntl.h>
#include <string.h>

static void set(const char *images, const char *rootfs, const char *ttl)
{
    assert_int_equal(setenv("A3S_IMAGE_CACHE_SIZE", images, 1), 0);
    assert_int_equal(setenv("A3S_ROOTFS_CACHE_SIZE", rootfs, 1), 0);
    assert_int_equal(setenv("A3S_ROOTFS_CACHE_TTL", ttl, 1), 0);
}

static void limits_come_from_the_environment(void **state UNUSED)
{
    struct cache_limits limits;
    struct err e = { 0 };

    set("", "", "");
    assert_int_equal(cache_limits_read(&limits, &e), 0);
    assert_int_equal(limits.images_bytes, (uint64_t)10 << 30);
    assert_int_equal(limits.rootfs_bytes, (uint64_t)10 << 30);
    assert_int_equal(limits.rootfs_ttl_ns, UINT64_C(720) * 3600 * NS_PER_S);
    set("500m", "1t", "12h");
    assert_int_equal(cache_limits_read(&limits, &e), 0);
    assert_int_equal(limits.images_bytes, 500 << 20);
    assert_int_equal(limits.rootfs_bytes, (uint64_t)1 << 40);
    assert_int_equal(limits.rootfs_ttl_ns, UINT64_C(12) * 3600 * NS_PER_S);
    set("1000", "2KB", "60");
    assert_int_equal(cache_limits_read(&limits, &e), 0);
    assert_int_equal(limits.images_bytes, 1000);
    assert_int_equal(limits.rootfs_bytes, 2048);
    assert_int_equal(limits.rootfs_ttl_ns, 60 * NS_PER_S);
}

static void refused(const char *images, const char *rootfs, const char *ttl, const char *words)
{
    struct cache_limits limits = { .images_bytes = 7 };
    struct err e = { 0 };

    set(images, rootfs, ttl);
    assert_int_equal(cache_limits_read(&limits, &e), -ERR_INVALID);
    if (!strstr(e.text, words))
        fail_msg("'%s' is not in '%s'", words, e.text);
    assert_int_equal(limits.images_bytes, 7);
}

static void bad_limits_name_the_variable_and_examples(void **state UNUSED)
{
    refused("ten", "", "",
            "A3S_IMAGE_CACHE_SIZE: 'ten' is not a size (for example 500m, 10g, 1t)");
    refused("10 g", "", "", "500m, 10g, 1t");
    refused("-1", "", "", "'-1'");
    refused("99999999999999t", "", "", "A3S_IMAGE_CACHE_SIZE");
    refused("", "x", "", "A3S_ROOTFS_CACHE_SIZE: 'x'");
    refused("", "", "soon", "A3S_ROOTFS_CACHE_TTL: 'soon'");
}

static int64_t number(struct db *db, const char *sql)
{
    autostmt st = { 0 };
    struct err e;

    assert_int_equal(stmt_open(db, &st, &e, sql, ""), 0);
    assert_int_equal(stmt_step(&st, &e), 1);
    return stmt_i64(&st, 0);
}

/* Images of a database that does not know when they were used count from when they came. */
static void older_databases_know_the_last_use(void **state UNUSED)
{
    char home[] = "/tmp/a3s-unit-cache-XXXXXX", path[64];
    autoptr(db) db = NULL;
    sqlite3 *sql = NULL;
    struct err e;

    assert_non_null(mkdtemp(home));
    (void)snprintf(path, sizeof(path), "%s/state.db", home);
    assert_int_equal(sqlite3_open(path, &sql), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sql, schema_scripts[0], NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sql,
                                  "INSERT INTO images VALUES ('r', 'i', 'm', 5, 1);"
                                  "INSERT INTO images VALUES ('s', 'i', 'm', 2, 3);"
                                  "INSERT INTO image_content VALUES ('i', 'm', 'c', 1, 1);"
                                  "INSERT INTO image_content VALUES ('dangling', 'm', 'c', 1, 1);"
                                  "PRAGMA user_version = 1",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(sql), SQLITE_OK);
    assert_int_equal(db_open(home, &db, &e), 0);
    assert_int_equal(number(db, "SELECT used_ns FROM image_content WHERE image_id = 'i'"), 5);
    assert_int_equal(number(db, "SELECT used_ns FROM image_content WHERE image_id = 'dangling'"),
                     0);
    assert_int_equal(image_used(db, "i", &e), 0);
    assert_true(number(db, "SELECT used_ns FROM image_content WHERE image_id = 'i'") > 5);
    assert_int_equal(fs_remove_tree(AT_FDCWD, home, &e), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_come_from_the_environment),
        cmocka_unit_test(bad_limits_name_the_variable_and_examples),
        cmocka_unit_test(older_databases_know_the_last_use),
    };

    return cmocka_run_group_tests_name("oci_cache", tests, NULL, NULL);
}
