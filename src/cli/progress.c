#include "cli/progress.h"

#include "oci/ref.h"
#include "show/human.h"
#include "util/own.h"
#include "util/str.h"
#include "util/time.h"

#include <string.h>

#define LAYERS_MAX   1000 /* twice what a manifest may have */
#define BAR_MAX      50
#define RATE_STEP_NS (500 * NS_PER_MS) /* shorter ones only flicker */
#define LINE_MAX     400

struct bar {
    char id[16];
    char state[16];
    char note[80]; /* "Retrying in 2s", until the next event; "Mounted from a/b" */
    uint64_t bytes, total;
    uint64_t mark_ns, mark_bytes; /* where the rate is measured from */
    double rate;                  /* bytes per second */
};

struct progress {
    struct progress_options o;
    struct bar *v; /* owned */
    size_t n;
    unsigned drawn; /* lines that the cursor is below of */
    bool changed;
};

/* docker's words. */
static const struct state {
    const char *name, *text, *line;
    bool bar, final;
} states[] = {
    { "waiting", "Pulling fs layer", "Pulling fs layer", false, false },
    { "exists", "Already exists", "Already exists", false, true },
    { "downloading", "Downloading", NULL, true, false },
    { "downloaded", "Download complete", "Download complete", false, false },
    { "unpacking", "Extracting", NULL, true, false },
    { "done", "Pull complete", "Pull complete", false, true },
    /* Of a push. */
    { "preparing", "Preparing", "Preparing", false, false },
    { "pushing", "Pushing", NULL, true, false },
    { "pushed", "Pushed", "Pushed", false, true },
    { "present", "Layer already exists", "Layer already exists", false, true },
    { "mounted", "Mounted", NULL, false, true },
};

static const struct state *find_state(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        if (strcmp(states[i].name, name) == 0)
            return &states[i];
    return NULL;
}

int progress_new(const struct progress_options *o, struct progress **ret, struct err *e)
{
    struct progress *p = calloc(1, sizeof(*p));

    if (!p)
        return err_os(e, "progress");
    p->o = *o;
    *ret = p;
    return 0;
}

void progress_free(struct progress *p)
{
    if (!p)
        return;
    free(p->v);
    free(p);
}

static const char *text_of(const json_t *event, const char *key)
{
    const char *text = json_string_value(json_object_get(event, key));

    return text ? text : "";
}

static uint64_t number_of(const json_t *event, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(event, key));

    return n < 0 ? 0 : (uint64_t)n;
}

static struct bar *find_bar(struct progress *p, const char *id)
{
    struct bar *v;

    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->v[i].id, id) == 0)
            return &p->v[i];
    v = p->n < LAYERS_MAX ? realloc(p->v, (p->n + 1) * sizeof(*v)) : NULL;
    if (!v)
        return NULL;
    p->v = v;
    v[p->n] = (struct bar){ 0 };
    (void)snprintf(v[p->n].id, sizeof(v[p->n].id), "%s", id);
    return &v[p->n++];
}

/* A moving average: what people want to know is how long it will take. */
static void measure(struct bar *bar, uint64_t now_ns)
{
    double rate;

    if (bar->bytes < bar->mark_bytes || !bar->mark_ns) { /* a new state, or once again */
        bar->mark_ns = now_ns;
        bar->mark_bytes = bar->bytes;
        bar->rate = 0;
    }
    if (now_ns - bar->mark_ns < RATE_STEP_NS)
        return;
    rate = (double)(bar->bytes - bar->mark_bytes) * (double)NS_PER_S /
           (double)(now_ns - bar->mark_ns);
    bar->rate = bar->rate > 0 ? (bar->rate + rate) / 2 : rate;
    bar->mark_ns = now_ns;
    bar->mark_bytes = bar->bytes;
}

static void take_layer(struct progress *p, const json_t *event, uint64_t now_ns)
{
    const struct state *state = find_state(text_of(event, "state"));
    struct bar *bar = find_bar(p, text_of(event, "id"));

    if (!bar || !state)
        return;
    if (strcmp(bar->state, state->name) != 0) {
        (void)snprintf(bar->state, sizeof(bar->state), "%s", state->name);
        bar->mark_ns = 0;
        if (!p->o.bars && state->line)
            fprintf(p->o.out, "%s: %s\n", bar->id, state->line);
    }
    bar->note[0] = '\0';
    if (strcmp(state->name, "mounted") == 0)
        (void)snprintf(bar->note, sizeof(bar->note), "Mounted from %.60s",
                       text_of(event, "from"));
    if (bar->note[0] && !p->o.bars)
        fprintf(p->o.out, "%s: %s\n", bar->id, bar->note);
    bar->bytes = number_of(event, "bytes");
    bar->total = number_of(event, "total");
    measure(bar, now_ns);
    p->changed = true;
}

static void take_retry(struct progress *p, const json_t *event)
{
    struct bar *bar = find_bar(p, text_of(event, "id"));

    if (!bar)
        return;
    (void)snprintf(bar->note, sizeof(bar->note), "Retrying in %ju.%jus",
                   (uintmax_t)(number_of(event, "pause_ms") / 1000),
                   (uintmax_t)(number_of(event, "pause_ms") / 100 % 10));
    if (!p->o.bars)
        fprintf(p->o.out, "%s: %s\n", bar->id, bar->note);
    p->changed = true;
}

static void take_done(struct progress *p, const json_t *event)
{
    fprintf(p->o.out, "Digest: %s\nStatus: %s for %s\n", text_of(event, "digest"),
            json_is_true(json_object_get(event, "new")) ? "Downloaded newer image"
                                                        : "Image is up to date",
            ref_familiar_name(p->o.full));
    if (p->o.show_reference)
        fprintf(p->o.out, "%s\n", p->o.full);
}

void progress_event(struct progress *p, const json_t *event, uint64_t now_ns)
{
    const char *kind = text_of(event, "event"), *what = text_of(event, "what");

    if (strcmp(kind, "pulling") == 0)
        fprintf(p->o.out, "%s: Pulling from %s\n",
                strncmp(what, "sha256:", 7) == 0 ? p->o.full : what,
                text_of(event, "repository"));
    else if (strcmp(kind, "shared") == 0)
        fprintf(p->o.out, "Waiting for another pull of this image\n");
    else if (strcmp(kind, "layer") == 0)
        take_layer(p, event, now_ns);
    else if (strcmp(kind, "retry") == 0)
        take_retry(p, event);
    else if (strcmp(kind, "done") == 0)
        take_done(p, event);
}

static void add_bar(struct str *line, const struct bar *bar, uint16_t cols)
{
    /* "123456789012: Downloading [>] 123.4MB/123.4MB 12.3MB/s" needs 55 without the bar. */
    size_t width = cols > 60 + BAR_MAX ? BAR_MAX : cols > 70 ? (size_t)cols - 60 : 0;
    uint64_t total = bar->total ? bar->total : 1;
    size_t full = bar->bytes >= total
                      ? width
                      : (size_t)((double)bar->bytes / (double)total * (double)width);

    if (width) {
        (void)str_addc(line, '[');
        for (size_t i = 0; i < width; i++)
            (void)str_addc(line, i < full ? '=' : i == full ? '>' : ' ');
        (void)str_adds(line, "]  ");
    }
    human_size(bar->bytes, line);
    (void)str_addc(line, '/');
    human_size(bar->total, line);
    if (bar->rate > 0) {
        (void)str_adds(line, "  ");
        human_size((uint64_t)bar->rate, line);
        (void)str_adds(line, "/s");
    }
}

/* One line, cut to the terminal: a wrapped one would confuse the redrawing. */
static void draw_line(struct progress *p, const struct bar *bar, uint16_t cols)
{
    const struct state *state = find_state(bar->state);
    autostr line = STR_INIT(LINE_MAX);

    (void)str_addf(&line, "%s: ", bar->id);
    (void)str_adds(&line, bar->note[0] ? bar->note : state ? state->text : "");
    if (state && state->bar && !bar->note[0]) {
        (void)str_addc(&line, ' ');
        add_bar(&line, bar, cols);
    }
    fprintf(p->o.out, "\r\033[2K%.*s\n", cols > 1 ? cols - 1 : 1, str_c(&line));
}

static bool is_final(const struct bar *bar)
{
    const struct state *state = find_state(bar->state);

    return state && state->final;
}

void progress_draw(struct progress *p, uint16_t cols, uint16_t rows)
{
    unsigned room = rows > 3 ? rows - 2u : 1u, lines = 0;
    size_t finished = 0;
    bool all = p->n <= room;

    if (!p->o.bars || !p->changed || !p->n)
        return;
    p->changed = false;
    if (p->drawn)
        fprintf(p->o.out, "\033[%uA", p->drawn);
    for (size_t i = 0; i < p->n; i++) {
        finished += is_final(&p->v[i]);
        if (all || (!is_final(&p->v[i]) && lines + 1 < room)) {
            draw_line(p, &p->v[i], cols);
            lines++;
        }
    }
    if (!all) {
        fprintf(p->o.out, "\r\033[2K%zu of %zu layers complete\n", finished, p->n);
        lines++;
    }
    /* What an earlier drawing had more. */
    for (unsigned i = lines; i < p->drawn; i++)
        fprintf(p->o.out, "\r\033[2K\n");
    if (lines < p->drawn)
        fprintf(p->o.out, "\033[%uA", p->drawn - lines);
    p->drawn = lines;
}
