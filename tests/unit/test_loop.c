#include "util/loop.h"
#include "util/own.h"
#include "util/time.h"

#include "unit.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

static struct loop *the_loop; /* of the test that is running */

struct source {
    struct watch w;
    struct source *victim;
    int ran;
};

static void on_ready(struct watch *w, uint32_t events UNUSED)
{
    struct source *s = CONTAINER_OF(w, struct source, w);

    s->ran++;
    loop_del(the_loop, &s->victim->w);
    (void)close(s->victim->w.fd);
    memset(s->victim, 0xee, sizeof(*s->victim));
}

static void a_handler_may_free_what_is_still_pending(void **state UNUSED)
{
    struct source a = { .w = { .what = "a", .ready = on_ready } }, b = a;
    struct err e;

    assert_int_equal(loop_new(&the_loop, &e), 0);
    a.w.fd = eventfd(1, EFD_CLOEXEC);
    b.w.fd = eventfd(1, EFD_CLOEXEC);
    a.victim = &b;
    b.victim = &a;
    assert_int_equal(loop_add(the_loop, &a.w, EPOLLIN, &e), 0);
    assert_int_equal(loop_add(the_loop, &b.w, EPOLLIN, &e), 0);
    assert_int_equal(loop_turn(the_loop, 0, &e), 1); /* one killed the other */
    loop_free(the_loop);
}

struct tick {
    struct timer t;
    int *order, number;
};

static void on_tick(struct timer *t)
{
    struct tick *tick = CONTAINER_OF(t, struct tick, t);

    *tick->order = *tick->order * 10 + tick->number;
}

static void timers_fire_in_order_and_once(void **state UNUSED)
{
    int order = 0;
    struct tick a = { { .fired = on_tick }, &order, 1 }, b = { { .fired = on_tick }, &order, 2 },
                c = { { .fired = on_tick }, &order, 3 };
    struct err e;

    assert_int_equal(loop_new(&the_loop, &e), 0);
    loop_timer(the_loop, &b.t, 2 * NS_PER_MS);
    loop_timer(the_loop, &a.t, 1 * NS_PER_MS);
    loop_timer(the_loop, &c.t, 3 * NS_PER_MS);
    loop_timer_cancel(the_loop, &c.t);
    while (order != 12)
        assert_true(loop_turn(the_loop, 1000, &e) >= 0);
    assert_false(a.t.armed || b.t.armed || c.t.armed);
    loop_free(the_loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handler_may_free_what_is_still_pending),
        cmocka_unit_test(timers_fire_in_order_and_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
