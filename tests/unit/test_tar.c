/* Tar archives as streams: written, packed, read, unpacked; and what a stranger may put in one.
 */
#include "util/fs.h"
#include "util/pack.h"
#include "util/unpack.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/* must be last */
#include <cmocka.h>

static char dir[] = "/tmp/a3s-test-tar-XXXXXX";
static int dir_fd = -1;

static int set_up(void **state UNUSED)
{
    struct err e;

    if (!mkdtemp(dir))
        return -1;
    dir_fd = fs_open_dir(AT_FDCWD, dir, &e);
    return dir_fd < 0 ? -1 : 0;
}

static int tear_down(void **state UNUSED)
{
    struct err e;
    int r = fs_remove_tree(AT_FDCWD, dir, &e);

    close_fd(&dir_fd);
    memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
    return r;
}

static int collect(void *ctx, const void *data, size_t len, struct err *e)
{
    struct str *out = ctx;

    return str_add(out, data, len) ? 0 : err_set(e, ERR_LIMIT, "too much");
}

/* An archive of members, with "x" as the data of files. */
static struct str archive_of(const struct tar_member *m, size_t n)
{
    struct str out = STR_INIT((size_t)8 << 20);
    struct tar_writer *w = calloc(1, sizeof(*w));
    struct err e;

    w->write = collect;
    w->ctx = &out;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(tar_write_member(w, &m[i], &e), 0);
        for (uint64_t k = 0; m[i].type == TAR_FILE && k < m[i].size; k++)
            assert_int_equal(tar_write_data(w, "x", 1, &e), 0);
        if (m[i].type == TAR_FILE)
            assert_int_equal(tar_write_pad(w, m[i].size, &e), 0);
    }
    assert_int_equal(tar_write_end(w, &e), 0);
    assert_int_equal(w->total, out.len);
    free(w);
    return out;
}

/* ---- members --------------------------------------------------------- */

struct seen {
    const struct tar_member *want;
    size_t n, bytes;
};

static int same_member(void *ctx, const struct tar_member *m, struct err *e UNUSED)
{
    struct seen *s = ctx;
    const struct tar_member *w = &s->want[s->n];

    assert_int_equal(m->type, w->type);
    assert_string_equal(m->name, w->name);
    if (w->target)
        assert_string_equal(m->target, w->target);
    assert_int_equal(m->size, w->size);
    assert_int_equal(m->mode, w->mode);
    assert_int_equal(m->uid, w->uid);
    assert_int_equal(m->gid, w->gid);
    assert_int_equal(m->mtime_s, w->mtime_s);
    assert_int_equal(m->mtime_ns, w->mtime_ns);
    assert_int_equal(m->major, w->major);
    assert_int_equal(m->minor, w->minor);
    assert_int_equal(m->xattrs.len, w->xattrs.len);
    if (w->xattrs.len)
        assert_memory_equal(m->xattrs.p, w->xattrs.p, w->xattrs.len);
    return 0;
}

static int count_data(void *ctx, const void *data UNUSED, size_t len, struct err *e UNUSED)
{
    ((struct seen *)ctx)->bytes += len;
    return 0;
}

static int next_one(void *ctx, struct err *e UNUSED)
{
    ((struct seen *)ctx)->n++;
    return 0;
}

static const struct tar_ops ops = { same_member, count_data, next_one };

static void members_survive(void **state UNUSED)
{
    char long_name[2001];
    autostr xattrs = STR_INIT(0);
    struct tar_member m[] = {
        { .type = TAR_DIR, .name = "d/", .mode = 01777, .mtime_s = 5 },
        { .type = TAR_FILE, .name = "d/f", .size = 513, .mode = 04755, .uid = 1, .gid = 2097152 },
        { .type = TAR_FILE, .name = long_name, .mode = 0600, .uid = UINT32_MAX - 1 },
        { .type = TAR_LINK, .name = "hard", .target = long_name, .mtime_s = -1 },
        { .type = TAR_SYMLINK,
          .name = "\xc3\xa4",
          .target = "\xff",
          .mtime_s = -2,
          .mtime_ns = 5 },
        { .type = TAR_CHAR, .name = "null", .major = 1, .minor = 3, .mtime_s = 1, .mtime_ns = 1 },
        { .type = TAR_BLOCK_DEVICE, .name = "sda", .major = 8, .minor = 1000000 },
        { .type = TAR_FIFO, .name = "p", .mtime_s = INT64_C(1) << 40, .mtime_ns = 999999999 },
        { .type = TAR_FILE, .name = "attr", .size = 512 },
    };

    memset(long_name, 'n', sizeof(long_name) - 1);
    long_name[2000] = '\0';
    assert_true(tar_xattr_add(&xattrs, "user.a", "\0b\n", 3));
    assert_true(tar_xattr_add(&xattrs, "security.capability", "", 0));
    m[8].xattrs = xattrs;
    for (size_t piece = 1; piece < 5000; piece = piece * 7 + 1) { /* in pieces of any size */
        struct str data = archive_of(m, ARRAY_LEN(m));
        struct seen seen = { .want = m };
        struct tar_reader *r = NULL;
        struct err e;

        assert_int_equal(tar_reader_new(&ops, &seen, &r, &e), 0);
        for (size_t at = 0; at < data.len; at += piece)
            if (tar_read(r, data.p + at, data.len - at < piece ? data.len - at : piece, &e) < 0)
                fail_msg("%s", e.text);
        assert_int_equal(tar_read_end(r, &e), 0);
        assert_int_equal(seen.n, ARRAY_LEN(m));
        assert_int_equal(seen.bytes, 513 + 512);
        tar_reader_free(r);
        str_done(&data);
    }
}

static int take_any(void *ctx UNUSED, const struct tar_member *m UNUSED, struct err *e UNUSED)
{
    return 0;
}

static int read_all(const void *data, size_t len, struct err *e)
{
    static const struct tar_ops any = { take_any, count_data, next_one };
    struct seen seen = { 0 };
    struct tar_reader *r = NULL;
    int code;

    assert_int_equal(tar_reader_new(&any, &seen, &r, e), 0);
    code = tar_read(r, data, len, e);
    if (code == 0)
        code = tar_read_end(r, e);
    tar_reader_free(r);
    return code;
}

/* The checksum after a header was changed. */
static void seal(char *h)
{
    unsigned sum = 0;

    memset(h + 148, ' ', 8);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += (unsigned char)h[i];
    (void)snprintf(h + 148, 8, "%06o", sum);
}

static void bad_archives_are_refused(void **state UNUSED)
{
    struct tar_member m = { .type = TAR_FILE, .name = "name", .size = 100 };
    struct str good = archive_of(&m, 1);
    char bad[2048];
    struct err e;

    assert_int_equal(good.len, sizeof(bad));
    assert_int_equal(read_all(good.p, good.len, &e), 0);
    assert_int_equal(read_all(good.p, 1024, &e), 0); /* no end, but nothing is missing */
    assert_int_equal(read_all(good.p, 1000, &e), -ERR_CORRUPT);
    assert_int_equal(read_all(good.p, 511, &e), -ERR_CORRUPT);
    memcpy(bad, good.p, sizeof(bad));
    bad[0] = 'N';
    assert_int_equal(read_all(bad, sizeof(bad), &e), -ERR_CORRUPT); /* the checksum */
    memcpy(bad, good.p, sizeof(bad));
    memcpy(bad + 124, "12x4", 4);
    seal(bad);
    assert_int_equal(read_all(bad, sizeof(bad), &e), -ERR_CORRUPT); /* the size */
    memcpy(bad, good.p, sizeof(bad));
    memset(bad, 0, 100);
    seal(bad);
    assert_int_equal(read_all(bad, sizeof(bad), &e), -ERR_CORRUPT); /* no name */
    memcpy(bad, good.p, sizeof(bad));
    bad[156] = 'x'; /* a pax header of 100 times 'x' */
    seal(bad);
    assert_int_equal(read_all(bad, sizeof(bad), &e), -ERR_CORRUPT);
    memcpy(bad + 512, "9999999 path=", 13);
    assert_int_equal(read_all(bad, sizeof(bad), &e), -ERR_CORRUPT); /* longer than it is */
    bad[156] = 'S';
    seal(bad);
    assert_int_equal(read_all(bad, sizeof(bad), &e), -ERR_UNSUPPORTED);
    assert_int_equal(read_all("\x1f\x8b\x08", 3, &e), -ERR_CORRUPT);
    memset(bad, 0, sizeof(bad));
    memcpy(bad, "\x1f\x8b\x08", 3);
    assert_int_equal(read_all(bad, sizeof(bad), &e), -ERR_UNSUPPORTED);
    assert_non_null(strstr(e.text, "gzip"));
    str_done(&good);
}

/* ---- trees ----------------------------------------------------------- */

static int unpack_all(const struct str *data, const struct unpack_how *how, struct err *e)
{
    struct unpack *u = NULL;
    int r = unpack_new(how, &u, e);

    for (size_t at = 0; r == 0 && at < data->len; at += 777)
        r = unpack_data(u, data->p + at, data->len - at < 777 ? data->len - at : 777, e);
    if (r == 0)
        r = unpack_end(u, e);
    unpack_free(u);
    return r;
}

static void write_text(const char *name, const char *text)
{
    struct err e;

    assert_int_equal(fs_write_file(dir_fd, name, text, strlen(text), 0644, &e), 0);
}

static void a_tree_survives(void **state UNUSED)
{
    struct tar_writer *w = calloc(1, sizeof(*w));
    struct pack *p = calloc(1, sizeof(*p));
    autostr data = STR_INIT((size_t)8 << 20), text = STR_INIT(100);
    const struct timespec times[2] = { { .tv_sec = 7 },
                                       { .tv_sec = 1000, .tv_nsec = 123456789 } };
    struct unpack_how how = { .root_fd = dir_fd, .shown = "dst", .only = "copy" };
    char target[100] = "";
    struct stat a, b;
    struct err e;

    w->write = collect;
    w->ctx = &data;
    p->w = w;
    assert_int_equal(mkdirat(dir_fd, "src", 0755), 0);
    assert_int_equal(mkdirat(dir_fd, "src/ro", 0755), 0);
    write_text("src/ro/f", "content");
    assert_int_equal(linkat(dir_fd, "src/ro/f", dir_fd, "src/hard", 0), 0);
    assert_int_equal(symlinkat("/no/where", dir_fd, "src/sym"), 0);
    assert_int_equal(mkfifoat(dir_fd, "src/fifo", 0600), 0);
    assert_int_equal(utimensat(dir_fd, "src/ro/f", times, 0), 0);
    assert_int_equal(fchmodat(dir_fd, "src/ro", 0555, 0), 0);
    assert_int_equal(utimensat(dir_fd, "src/ro", times, 0), 0);
    assert_int_equal(pack_tree(p, dir_fd, "src", "copy", &e), 0);
    assert_int_equal(tar_write_end(w, &e), 0);
    pack_done(p);
    free(p);
    free(w);
    assert_int_equal(unpack_all(&data, &how, &e), 0);
    assert_int_equal(fs_read_file(dir_fd, "copy/ro/f", &text, &e), 0);
    assert_string_equal(text.p, "content");
    assert_int_equal(fstatat(dir_fd, "copy/hard", &a, 0), 0);
    assert_int_equal(fstatat(dir_fd, "copy/ro/f", &b, 0), 0);
    assert_int_equal(a.st_ino, b.st_ino);
    assert_int_equal(b.st_mtim.tv_nsec, 123456789);
    assert_int_equal(fstatat(dir_fd, "copy/ro", &a, 0), 0);
    assert_int_equal(a.st_mode & 07777, 0555);
    assert_int_equal(a.st_mtim.tv_sec, 1000);
    assert_int_equal(readlinkat(dir_fd, "copy/sym", target, sizeof(target)), 9);
    assert_int_equal(fstatat(dir_fd, "copy/fifo", &a, 0), 0);
    assert_true(S_ISFIFO(a.st_mode));
    /* once more over it: the same */
    assert_int_equal(unpack_all(&data, &how, &e), 0);
    how.only = "other";
    assert_int_equal(unpack_all(&data, &how, &e), -ERR_CORRUPT);
}

static void make_big(const char *name, size_t size)
{
    autofree char *text = malloc(size);
    struct err e;

    assert_non_null(text);
    for (size_t i = 0; i < size; i++)
        text[i] = (char)(i * 31 + i / 4093);
    assert_int_equal(fs_write_file(dir_fd, name, text, size, 0644, &e), 0);
}

static void copy_past_the_cache(size_t size)
{
    struct tar_writer *w = calloc(1, sizeof(*w));
    struct pack *p = calloc(1, sizeof(*p));
    autostr data = STR_INIT((size_t)8 << 20), a = STR_INIT((size_t)8 << 20),
            b = STR_INIT((size_t)8 << 20);
    const struct unpack_how how = { .root_fd = dir_fd, .shown = "dst", .direct = true };
    struct err e;

    w->write = collect;
    w->ctx = &data;
    p->w = w;
    p->direct = true;
    make_big("big", size);
    write_text("small", "after it");
    assert_int_equal(pack_one(p, dir_fd, "big", "copy", &e), 0);
    assert_int_equal(pack_one(p, dir_fd, "small", "small", &e), 0);
    assert_int_equal(tar_write_end(w, &e), 0);
    pack_done(p);
    free(p);
    free(w);
    assert_int_equal(unlinkat(dir_fd, "small", 0), 0);
    assert_int_equal(unpack_all(&data, &how, &e), 0);
    assert_int_equal(fs_read_file(dir_fd, "big", &a, &e), 0);
    assert_int_equal(fs_read_file(dir_fd, "copy", &b, &e), 0);
    assert_int_equal(b.len, size);
    assert_memory_equal(a.p, b.p, size);
    str_clear(&a);
    assert_int_equal(fs_read_file(dir_fd, "small", &a, &e), 0);
    assert_string_equal(a.p, "after it");
}

/* Whole blocks, a rest, less than a tar's block too many or too few. */
static void big_files_survive(void **state UNUSED)
{
    const size_t sizes[] = { BULK_MIN - 1, BULK_MIN, BULK_MIN + 3 * BULK_BLOCK,
                             BULK_MIN + BULK_BLOCK - 1, BULK_MIN + 5 * BULK_BLOCK + 4097 };

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        copy_past_the_cache(sizes[i]);
}

/* What one archive leads to: the kind of the failure, 0 when it is unpacked in dst. */
static int outcome(const struct tar_member *m, size_t n, const char *only)
{
    struct str data = archive_of(m, n);
    autofd int dst = openat(dir_fd, "dst", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct err e = { 0 };
    int r = unpack_all(&data,
                       &(struct unpack_how){ .root_fd = dst, .shown = "/dst", .only = only }, &e);

    str_done(&data);
    return r < 0 ? (int)e.kind : 0;
}

static void nothing_leaves_the_destination(void **state UNUSED)
{
    autostr text = STR_INIT(100);
    struct stat st;
    struct err e;

    assert_int_equal(mkdirat(dir_fd, "dst", 0755), 0);
    write_text("victim", "whole");
    assert_int_equal(outcome(&(struct tar_member){ TAR_FILE, "../victim" }, 1, NULL),
                     ERR_INVALID);
    assert_int_equal(outcome(&(struct tar_member){ TAR_FILE, "a/../../victim" }, 1, NULL),
                     ERR_INVALID);
    assert_int_equal(outcome(&(struct tar_member){ TAR_FILE, "/abs" }, 1, NULL), 0);
    assert_int_equal(fstatat(dir_fd, "dst/abs", &st, 0), 0);
    const struct tar_member through[] = { { TAR_SYMLINK, "up", ".." },
                                          { TAR_FILE, "up/victim" } };
    assert_int_not_equal(outcome(through, 2, NULL), 0);
    const struct tar_member inside[] = { { TAR_DIR, "in" },
                                         { TAR_SYMLINK, "in/l", "." },
                                         { TAR_FILE, "in/l/f" } };
    assert_int_not_equal(outcome(inside, 3, NULL), 0);
    const struct tar_member link_out[] = { { TAR_LINK, "l", "../victim" } };
    assert_int_equal(outcome(link_out, 1, NULL), ERR_INVALID);
    const struct tar_member link_through[] = { { TAR_LINK, "l", "up/victim" } };
    assert_int_not_equal(outcome(link_through, 1, NULL), 0);
    /* with a name that was asked for, nothing beside it */
    write_text("dst/secret", "s");
    assert_int_equal(outcome(&(struct tar_member){ TAR_FILE, "secret" }, 1, "a"), ERR_CORRUPT);
    assert_int_equal(outcome(&(struct tar_member){ TAR_FILE, "ab" }, 1, "a"), ERR_CORRUPT);
    assert_int_equal(outcome(&(struct tar_member){ TAR_LINK, "a", "secret" }, 1, "a"),
                     ERR_CORRUPT);
    assert_int_equal(outcome(&(struct tar_member){ TAR_FILE, "a" }, 1, "a"), 0);
    assert_int_equal(fs_read_file(dir_fd, "victim", &text, &e), 0);
    assert_string_equal(text.p, "whole");
}

static void a_directory_and_a_file_do_not_replace_each_other(void **state UNUSED)
{
    const struct tar_member file = { TAR_FILE, "d" }, directory = { TAR_DIR, "f" };
    const struct tar_member dot = { TAR_DIR, "./" }, root = { TAR_FILE, "." };

    assert_int_equal(mkdirat(dir_fd, "dst", 0755), 0);
    assert_int_equal(mkdirat(dir_fd, "dst/d", 0755), 0);
    write_text("dst/f", "f");
    assert_int_equal(outcome(&file, 1, NULL), ERR_INVALID);
    assert_int_equal(outcome(&directory, 1, NULL), ERR_INVALID);
    assert_int_equal(outcome(&dot, 1, NULL), 0);
    assert_int_equal(outcome(&root, 1, NULL), ERR_INVALID);
}

static void set_user_id_is_for_who_asks(void **state UNUSED)
{
    const struct tar_member m = { .type = TAR_FILE, .name = "s", .mode = 06755 };
    struct str data = archive_of(&m, 1);
    struct unpack_how how = { .root_fd = dir_fd, .shown = "/" };
    struct stat st;
    struct err e;

    assert_int_equal(unpack_all(&data, &how, &e), 0);
    assert_int_equal(fstatat(dir_fd, "s", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    how.special = true;
    assert_int_equal(unpack_all(&data, &how, &e), 0);
    assert_int_equal(fstatat(dir_fd, "s", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 06755);
    str_done(&data);
}

static void a_device_is_for_its_owner(void **state UNUSED)
{
    const struct tar_member m = {
        .type = TAR_CHAR, .name = "null", .mode = 0666, .major = 1, .minor = 3
    };
    struct str data = archive_of(&m, 1);
    struct unpack_how how = { .root_fd = dir_fd, .shown = "/" };
    struct stat st;
    struct err e;

    if (geteuid() != 0)
        skip(); /* only root makes devices */
    assert_int_equal(unpack_all(&data, &how, &e), 0);
    assert_int_equal(fstatat(dir_fd, "null", &st, 0), 0);
    assert_int_equal(st.st_mode, S_IFCHR | 0600);
    how.special = true;
    assert_int_equal(unpack_all(&data, &how, &e), 0);
    assert_int_equal(fstatat(dir_fd, "null", &st, 0), 0);
    assert_int_equal(st.st_mode, S_IFCHR | 0666);
    str_done(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_survive),
        cmocka_unit_test(bad_archives_are_refused),
        cmocka_unit_test_setup_teardown(a_tree_survives, set_up, tear_down),
        cmocka_unit_test_setup_teardown(big_files_survive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_leaves_the_destination, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_directory_and_a_file_do_not_replace_each_other, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(set_user_id_is_for_who_asks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_device_is_for_its_owner, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
