#include "cli/pull.h"

#include "cli/progress.h"
#include "cli/registry.h"
#include "cli/span.h"
#include "cli/terminal.h"
#include "db/counters.h"
#include "oci/ref.h"
#include "util/time.h"

#include <string.h>
#include <unistd.h>

#define DRAW_EVERY_NS (30 * NS_PER_MS) /* every layer has an event of its own */

struct pull_view {
    FILE *out;
    struct progress *progress; /* NULL: quiet */
    uint64_t drawn_ns;
};

static void draw(struct pull_view *v, uint64_t now)
{
    uint16_t cols = 80, rows = 24;

    (void)terminal_size(fileno(v->out), &cols, &rows);
    progress_draw(v->progress, cols, rows);
    v->drawn_ns = now;
}

static int on_event(void *ctx, const json_t *event, struct err *e UNUSED)
{
    const char *kind = json_string_value(json_object_get(event, "event"));
    struct pull_view *v = ctx;
    uint64_t now = time_mono_ns();

    if (!v->progress || !kind)
        return 0;
    if (strcmp(kind, "done") == 0)
        draw(v, now); /* below the bars as they are at the end */
    progress_event(v->progress, event, now);
    if (now - v->drawn_ns >= DRAW_EVERY_NS)
        draw(v, now);
    if (strcmp(kind, "done") != 0)
        (void)fflush(v->out); /* whether it worked is seen at the end */
    return 0;
}

static void fill_words(const char *reference, const struct pull_how *how, const char *ret[12])
{
    const struct {
        const char *name, *value;
    } options[] = {
        { "--platform", how->platform },
        { "--verify-key", how->verify_key },
        { "--verify-issuer", how->verify_issuer },
        { "--verify-identity", how->verify_identity },
    };
    size_t n = 0;

    ret[n++] = "pull";
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (!options[i].value)
            continue;
        ret[n++] = options[i].name;
        ret[n++] = options[i].value;
    }
    ret[n++] = reference;
    ret[n] = NULL;
}

/* The work itself, told of to those who watch. */
static int pull(struct cli *cli, const struct registry_job *job, const char *full, struct err *e)
{
    struct cli_span span;
    uint64_t took_ns;
    int r;

    cli_span_begin(&span);
    r = cli_registry(cli, job, e);
    took_ns = cli_span_end(&span, "image_pull", r, e);
    trace_text(&span.trace, span.span, "reference", full);
    if (r >= 0) {
        counter_add(cli->home, COUNTER_IMAGE_PULL);
        histogram_add(cli->home, HISTOGRAM_PULL, took_ns);
    }
    cli_span_send(cli, &span);
    return r;
}

int cli_pull(struct cli *cli, const char *reference, const struct pull_how *how, struct err *e)
{
    struct pull_view view = { .out = how->out };
    struct progress_options shown = { .out = how->out, .show_reference = how->show_reference };
    struct registry_job job = { .event = on_event, .ctx = &view };
    char full[REF_TEXT_MAX];
    const char *words[12];
    struct ref ref;
    int r;

    r = ref_parse(reference, &ref, e);
    if (r < 0)
        return r;
    if (ref.digest[0])
        ref.tag[0] = '\0'; /* the digest decides */
    ref_full(&ref, full);
    fill_words(reference, how, words);
    job.args = words;
    shown.full = full;
    shown.bars = isatty(fileno(how->out));
    if (!how->quiet)
        r = progress_new(&shown, &view.progress, e);
    if (r == 0)
        r = pull(cli, &job, full, e);
    if (r == 0 && how->quiet && how->show_reference)
        fprintf(how->out, "%s\n", full);
    progress_free(view.progress);
    cli_audit(cli, "image_pull", reference, r < 0 ? e : NULL);
    return r;
}
