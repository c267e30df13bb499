#include "registry/pull.h"

#include "util/time.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define EVERY_NS (50 * NS_PER_MS) /* what an eye can follow */
#define ID_LEN   12

/* A line that is lost for lack of memory is a bar that stands still, no more. */
static void put(json_t *own_line)
{
    if (!own_line)
        return;
    (void)json_dumpf(own_line, stdout, JSON_COMPACT);
    (void)fputc('\n', stdout);
    json_decref(own_line);
}

void event_pulling(const struct ref *ref)
{
    put(json_pack("{s:s, s:s, s:s}", "event", "pulling", "what",
                  ref->digest[0] ? ref->digest : ref->tag, "repository",
                  ref->name + ref->path_at));
    (void)fflush(stdout); /* nobody there to read: then nobody is to be told */
}

void event_shared(void)
{
    put(json_pack("{s:s}", "event", "shared"));
    (void)fflush(stdout);
}

static const char *state_name(enum layer_state state)
{
    switch (state) {
    case LAYER_WAITING:
        return "waiting";
    case LAYER_EXISTS:
        return "exists";
    case LAYER_DOWNLOADING:
        return "downloading";
    case LAYER_DOWNLOADED:
        return "downloaded";
    case LAYER_UNPACKING:
        return "unpacking";
    case LAYER_DONE:
        return "done";
    }
    return "";
}

static void put_layer(const struct pull_layer *layer)
{
    uint64_t bytes = layer->state == LAYER_UNPACKING ? layer->unpacked : layer->bytes;

    put(json_pack("{s:s, s:s#, s:s, s:I, s:I}", "event", "layer", "id",
                  layer->digest + strlen("sha256:"), ID_LEN, "state", state_name(layer->state),
                  "bytes", (json_int_t)bytes, "total", (json_int_t)layer->size));
}

void event_layers(struct pull_layers *p, enum event_when when)
{
    uint64_t now = time_mono_ns();

    if (when == EVENT_SOON && now - p->told_ns < EVERY_NS)
        return;
    p->told_ns = now;
    for (size_t i = 0; i < p->n; i++) {
        if (p->v[i].changed)
            put_layer(&p->v[i]);
        p->v[i].changed = false;
    }
    (void)fflush(stdout);
}

void event_retry(const struct pull_layer *layer, uint64_t pause_ms, const char *why)
{
    put(json_pack("{s:s, s:s#, s:I, s:s}", "event", "retry", "id",
                  layer->digest + strlen("sha256:"), ID_LEN, "pause_ms", (json_int_t)pause_ms,
                  "why", why));
    (void)fflush(stdout);
}

void event_done(const char *reference, const char *digest, const char *id, bool fresh)
{
    put(json_pack("{s:s, s:s, s:s, s:s, s:b}", "event", "done", "reference", reference, "digest",
                  digest, "id", id, "new", (int)fresh));
    (void)fflush(stdout);
}
