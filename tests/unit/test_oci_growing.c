#include "oci/growing.h"

#include "unit.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define SIZE 100000

struct pair {
    int reader, feeder, file;
    char content[SIZE];
};

static struct pair *pair_new(void)
{
    struct pair *p = calloc(1, sizeof(*p));
    int fds[2];

    assert_non_null(p);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    p->reader = fds[0];
    p->feeder = fds[1];
    p->file = memfd_create("growing", MFD_CLOEXEC);
    assert_true(p->file >= 0);
    for (size_t i = 0; i < SIZE; i++)
        p->content[i] = (char)(i * 7 + i / 256);
    return p;
}

static void pair_free(struct pair *p)
{
    close_fd(&p->reader);
    close_fd(&p->feeder);
    close_fd(&p->file);
    free(p);
}

/* Reads to the end; what came is compared with the content. */
static int read_all(struct pair *p, struct growing *g, uint64_t size, size_t *ret_n,
                    struct err *e)
{
    struct source_growing s;
    const void *data;
    ssize_t n;

    *ret_n = 0;
    assert_int_equal(source_growing_init(&s, g, 0, p->file, size, e), 0);
    while ((n = s.source.read(&s.source, &data, e)) > 0) {
        assert_true(*ret_n + (size_t)n <= SIZE);
        assert_memory_equal(data, p->content + *ret_n, (size_t)n);
        *ret_n += (size_t)n;
    }
    source_growing_done(&s);
    return n < 0 ? (int)n : 0;
}

static void *write_slowly(void *arg)
{
    struct pair *p = arg;
    struct feed f;
    struct err e;
    bool ok = feed_init(&f, p->feeder, 1, &e) == 0;

    for (size_t at = 0; ok && at < SIZE; at += SIZE / 10) {
        ok = pwrite(p->file, p->content + at, SIZE / 10, (off_t)at) == SIZE / 10;
        feed_grown(&f, 0, at + SIZE / 10, at + SIZE / 10 == SIZE);
        feed_flush(&f);
    }
    return ok ? p : NULL;
}

static void a_reader_waits_for_the_writer(void **state UNUSED)
{
    struct pair *p = pair_new();
    struct growing g;
    pthread_t writer;
    struct err e;
    void *ok;
    size_t n;

    assert_int_equal(growing_init(&g, p->reader, 1, &e), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_slowly, p), 0);
    assert_int_equal(read_all(p, &g, SIZE, &n, &e), 0);
    assert_int_equal(n, SIZE);
    assert_int_equal(pthread_join(writer, &ok), 0);
    assert_ptr_equal(ok, p);
    pair_free(p);
}

/* The file is longer than what was told: a resumed download rewrites it, say. */
static void nothing_is_read_beyond_what_was_told(void **state UNUSED)
{
    struct pair *p = pair_new();
    struct growing g;
    struct feed f;
    struct err e = { 0 };
    size_t n;

    assert_int_equal(pwrite(p->file, p->content, SIZE, 0), SIZE);
    assert_int_equal(growing_init(&g, p->reader, 1, &e), 0);
    assert_int_equal(feed_init(&f, p->feeder, 1, &e), 0);
    feed_grown(&f, 0, 1000, false);
    feed_flush(&f);
    close_fd(&p->feeder);
    assert_int_equal(read_all(p, &g, SIZE, &n, &e), -ERR_CANCELED);
    assert_int_equal(n, 1000);
    assert_int_equal(g.file, 0); /* to blame */
    pair_free(p);
}

static void the_size_must_be_right(void **state UNUSED)
{
    struct pair *p = pair_new();
    struct growing g;
    struct feed f;
    struct err e = { 0 };
    size_t n;

    assert_int_equal(pwrite(p->file, p->content, SIZE, 0), SIZE);
    assert_int_equal(growing_init(&g, p->reader, 1, &e), 0);
    assert_int_equal(feed_init(&f, p->feeder, 1, &e), 0);
    feed_grown(&f, 0, SIZE, true);
    assert_int_equal(read_all(p, &g, SIZE + 1, &n, &e), -ERR_CORRUPT);
    assert_int_equal(read_all(p, &g, SIZE - 1, &n, &e), -ERR_CORRUPT);
    assert_int_equal(read_all(p, &g, SIZE, &n, &e), 0);
    pair_free(p);
}

static void a_count_that_goes_down_is_refused(void **state UNUSED)
{
    struct pair *p = pair_new();
    const struct growth up = { .kind = GROWTH_BYTES, .bytes = 10 },
                        down = { .kind = GROWTH_BYTES, .bytes = 9 },
                        other = { .kind = GROWTH_BYTES, .file = 1, .bytes = 9 };
    struct growing g;
    struct err e = { 0 };
    size_t n;

    assert_int_equal(growing_init(&g, p->reader, 1, &e), 0);
    assert_int_equal(pwrite(p->file, p->content, SIZE, 0), SIZE);
    assert_int_equal(send(p->feeder, &up, sizeof(up), 0), sizeof(up));
    assert_int_equal(send(p->feeder, &down, sizeof(down), 0), sizeof(down));
    assert_int_equal(read_all(p, &g, SIZE, &n, &e), -ERR_INTERNAL);
    assert_int_equal(n, 10);
    assert_int_equal(growing_init(&g, p->reader, 1, &e), 0);
    assert_int_equal(send(p->feeder, &other, sizeof(other), 0), sizeof(other));
    assert_int_equal(read_all(p, &g, SIZE, &n, &e), -ERR_INTERNAL);
    pair_free(p);
}

/* Nobody reads: telling must not block, and afterwards the reader must know everything. */
static void a_full_socket_loses_nothing(void **state UNUSED)
{
    struct pair *p = pair_new();
    uint64_t bytes = 0;
    struct growing g;
    struct feed f;
    struct err e = { 0 };
    size_t told = 0;

    assert_int_equal(growing_init(&g, p->reader, 2, &e), 0);
    assert_int_equal(feed_init(&f, p->feeder, 2, &e), 0);
    while (!f.blocked) {
        bytes += 1 << 20;
        feed_grown(&f, 0, bytes, false);
        assert_true(++told < 1000000);
    }
    feed_grown(&f, 0, bytes + 1, true);
    feed_grown(&f, 1, 0, true);
    assert_true(f.blocked);
    while (f.blocked || !g.v[1].complete) {
        struct growth m;

        assert_int_equal(recv(p->reader, &m, sizeof(m), MSG_DONTWAIT), sizeof(m));
        g.v[m.file] = (struct grown){ m.bytes, m.kind == GROWTH_COMPLETE };
        feed_flush(&f);
    }
    assert_int_equal(g.v[0].bytes, bytes + 1);
    assert_true(g.v[0].complete);
    pair_free(p);
}

static void results_come_back(void **state UNUSED)
{
    struct pair *p = pair_new();
    struct err e = { 0 }, why = { .kind = ERR_CORRUPT, .os = 5, .text = "layer 7" };
    struct growth_msg m;
    struct growing g;
    struct feed f;

    assert_int_equal(growing_init(&g, p->reader, 8, &e), 0);
    assert_int_equal(feed_init(&f, p->feeder, 8, &e), 0);
    assert_int_equal(feed_read(&f, &m, &e), 0);
    growing_passed(&g, 3, 44);
    g.file = 7;
    assert_int_equal(growing_result(&g, &why, "", &e), 0);
    close_fd(&p->reader);
    assert_int_equal(feed_read(&f, &m, &e), 1);
    assert_int_equal(m.growth.kind, GROWTH_PASSED);
    assert_int_equal(m.growth.file, 3);
    assert_int_equal(m.growth.bytes, 44);
    assert_int_equal(feed_read(&f, &m, &e), 1);
    assert_int_equal(m.growth.kind, GROWTH_RESULT);
    assert_int_equal(m.result.kind, ERR_CORRUPT);
    assert_int_equal(m.result.file, 7);
    assert_string_equal(m.result.text, "layer 7");
    assert_int_equal(feed_read(&f, &m, &e), -ERR_UNAVAILABLE);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_waits_for_the_writer),
        cmocka_unit_test(nothing_is_read_beyond_what_was_told),
        cmocka_unit_test(the_size_must_be_right),
        cmocka_unit_test(a_count_that_goes_down_is_refused),
        cmocka_unit_test(a_full_socket_loses_nothing),
        cmocka_unit_test(results_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
