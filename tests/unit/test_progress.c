#include "cli/progress.h"
#include "util/own.h"
#include "util/time.h"

#include "unit.h"

#define FULL "docker.io/library/x:1"

struct screen {
    FILE *out;
    char *text; /* owned */
    size_t len, seen;
    struct progress *progress;
};

static struct screen *screen_new(bool bars)
{
    struct screen *s = calloc(1, sizeof(*s));
    struct progress_options o = { .bars = bars, .full = FULL, .show_reference = true };
    struct err e;

    assert_non_null(s);
    s->out = o.out = open_memstream(&s->text, &s->len);
    assert_non_null(s->out);
    assert_int_equal(progress_new(&o, &s->progress, &e), 0);
    return s;
}

static void screen_free(struct screen *s)
{
    progress_free(s->progress);
    (void)fclose(s->out);
    free(s->text);
    free(s);
}

static void event(struct screen *s, const char *json, uint64_t ms)
{
    json_t *o = json_loads(json, 0, NULL);

    assert_non_null(o);
    progress_event(s->progress, o, (1000 + ms) * NS_PER_MS);
    json_decref(o);
}

#define LAYER(id, state, bytes)                                                                  \
    "{\"event\":\"layer\",\"id\":\"" id "\",\"state\":\"" state "\",\"bytes\":" bytes            \
    ",\"total\":1000}"

static void expect(struct screen *s, const char *text)
{
    (void)fflush(s->out);
    assert_string_equal(s->text + s->seen, text);
    s->seen = s->len;
}

static void plain_lines_are_dockers(void **state UNUSED)
{
    struct screen *s = screen_new(false);

    event(s, "{\"event\":\"pulling\",\"what\":\"1\",\"repository\":\"library/x\"}", 0);
    event(s, LAYER("a", "waiting", "0"), 0);
    event(s, LAYER("b", "exists", "1000"), 0);
    event(s, LAYER("a", "downloading", "10"), 1);
    event(s, LAYER("a", "downloading", "20"), 2);
    event(s, "{\"event\":\"retry\",\"id\":\"a\",\"pause_ms\":1500,\"why\":\"x\"}", 2);
    event(s, "{\"event\":\"of another version\"}", 2);
    event(s, LAYER("a", "downloaded", "1000"), 3);
    event(s, LAYER("a", "unpacking", "500"), 4);
    event(s, LAYER("a", "done", "1000"), 5);
    event(s, "{\"event\":\"done\",\"digest\":\"sha256:d\",\"new\":true}", 6);
    progress_draw(s->progress, 80, 24); /* nothing */
    expect(s, "1: Pulling from library/x\n"
              "a: Pulling fs layer\n"
              "b: Already exists\n"
              "a: Retrying in 1.5s\n"
              "a: Download complete\n"
              "a: Pull complete\n"
              "Digest: sha256:d\n"
              "Status: Downloaded newer image for x:1\n" FULL "\n");
    screen_free(s);
}

static void what_is_there_is_up_to_date(void **state UNUSED)
{
    struct screen *s = screen_new(false);

    event(s, "{\"event\":\"pulling\",\"what\":\"sha256:d\",\"repository\":\"library/x\"}", 0);
    event(s, "{\"event\":\"done\",\"digest\":\"sha256:d\",\"new\":false}", 0);
    expect(s, FULL ": Pulling from library/x\n"
                   "Digest: sha256:d\n"
                   "Status: Image is up to date for x:1\n" FULL "\n");
    screen_free(s);
}

static void bars_are_redrawn_in_place(void **state UNUSED)
{
    struct screen *s = screen_new(true);

    event(s, LAYER("a", "waiting", "0"), 0);
    event(s, LAYER("b", "downloading", "0"), 0);
    progress_draw(s->progress, 75, 24);
    expect(s, "\r\033[2Ka: Pulling fs layer\n"
              "\r\033[2Kb: Downloading [>              ]  0B/1kB\n");
    progress_draw(s->progress, 75, 24); /* nothing has changed */
    event(s, LAYER("b", "downloading", "500"), 1000);
    progress_draw(s->progress, 75, 24);
    expect(s, "\033[2A\r\033[2Ka: Pulling fs layer\n"
              "\r\033[2Kb: Downloading [=======>       ]  500B/1kB  500B/s\n");
    event(s, LAYER("b", "done", "1000"), 1100);
    progress_draw(s->progress, 12, 24); /* narrower: cut, not wrapped */
    expect(s, "\033[2A\r\033[2Ka: Pulling \n\r\033[2Kb: Pull com\n");
    screen_free(s);
}

static void more_layers_than_lines(void **state UNUSED)
{
    struct screen *s = screen_new(true);

    event(s, LAYER("a", "exists", "1000"), 0);
    event(s, LAYER("b", "waiting", "0"), 0);
    event(s, LAYER("c", "waiting", "0"), 0);
    event(s, LAYER("d", "waiting", "0"), 0);
    progress_draw(s->progress, 80, 5);
    expect(s, "\r\033[2Kb: Pulling fs layer\n"
              "\r\033[2Kc: Pulling fs layer\n"
              "\r\033[2K1 of 4 layers complete\n");
    event(s, LAYER("b", "done", "1000"), 0);
    event(s, LAYER("c", "done", "1000"), 0);
    progress_draw(s->progress, 80, 5);
    expect(s, "\033[3A\r\033[2Kd: Pulling fs layer\n"
              "\r\033[2K3 of 4 layers complete\n"
              "\r\033[2K\n\033[1A");
    screen_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_lines_are_dockers),
        cmocka_unit_test(what_is_there_is_up_to_date),
        cmocka_unit_test(bars_are_redrawn_in_place),
        cmocka_unit_test(more_layers_than_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
