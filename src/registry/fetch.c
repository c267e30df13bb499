#include "registry/remote_internal.h"

#include "registry/reply.h"
#include "util/time.h"

#include <string.h>

#define PROGRESS_BYTES                                                                           \
    ((uint64_t)1 << 20) /* a transfer that came so far is not a failing one                      \
                         */

enum slot_state { SLOT_FREE, SLOT_WAITING, SLOT_RUNNING };

/* One transfer. */
struct slot {
    enum slot_state state;
    struct fetch *fetch; /* borrowed */
    size_t item;
    size_t side;
    struct http_request q;
    struct tries tries;
    uint64_t wake_ns;
    uint64_t told;     /* of the item's offset, to `grew` */
    uint64_t begun_at; /* the offset this try began at */
    uint64_t high;     /* the offset that the count of tries was last forgiven at */
    unsigned restarts;
    uint64_t first, n; /* what the reply carries */
    bool no_range;     /* the registry ignored or refused the range */
};

struct fetch {
    struct remote *remote;
    struct remote_fetch *f;
    struct slot slots[REMOTE_PARALLEL_MAX];
    size_t slots_n, next;
};

static struct remote_fetch_item *item_of(const struct slot *s)
{
    return &s->fetch->f->items[s->item];
}

static struct side *side_of(const struct slot *s)
{
    return &s->fetch->remote->sides[s->side];
}

/* ---- the reply ------------------------------------------------------- */

static int wrong_reply(const struct slot *s, struct err *e, const char *why)
{
    return err_set(e, ERR_CORRUPT, "Registry error: %s - blob %.19s: %s", side_of(s)->name,
                   item_of(s)->digest, why);
}

/* 206: it must be what was asked for, or the beginning of that. */
static bool begin_range(struct slot *s, struct http_request *q, struct err *e)
{
    const char *value = http_reply_header(q, "Content-Range", 0);
    const struct remote_fetch_item *item = item_of(s);
    struct content_range c;

    if (!value || !content_range_parse(value, &c)) {
        (void)wrong_reply(s, e, "206 without a Content-Range");
        return false;
    }
    if (c.first != item->offset || c.last >= item->size ||
        (c.has_total && c.total != item->size)) {
        (void)wrong_reply(s, e, "its Content-Range is not what was asked for");
        return false;
    }
    q->body_max = c.last - c.first + 1;
    return true;
}

static bool begin(void *ctx, struct http_request *q, struct err *e)
{
    struct slot *s = ctx;
    const struct remote_fetch_item *item = item_of(s);

    if (q->status == 206)
        return begin_range(s, q, e);
    if (item->offset > 0) { /* it does not do ranges: stop, tell, and begin again */
        s->no_range = true;
        return false;
    }
    q->body_max = item->size;
    return true;
}

static bool sink(void *ctx, const void *data, size_t len, struct err *e)
{
    struct slot *s = ctx;
    struct remote_fetch_item *item = item_of(s);
    const char *p = data;

    while (len) {
        ssize_t n = pwrite(item->fd, p, len, (off_t)item->offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            (void)err_os_at(e, n < 0 ? errno : ENOSPC, "blob %.19s: write", item->digest);
            return false;
        }
        p += n;
        len -= (size_t)n;
        item->offset += (uint64_t)n;
    }
    return true;
}

/* ---- one slot -------------------------------------------------------- */

static int start(struct slot *s, struct err *e)
{
    struct fetch *x = s->fetch;
    struct remote_fetch_item *item = item_of(s);
    autofree char *where = str_format("blobs/%s", item->digest);
    struct http_request *q = &s->q;
    int r;

    if (!where)
        return err_os(e, "registry");
    http_request_done(q);
    q->begin = begin;
    q->sink = sink;
    q->ctx = s;
    s->begun_at = item->offset;
    if (item->offset &&
        !http_request_header(q, "Range: bytes=%llu-", (unsigned long long)item->offset))
        return err_os(e, "registry");
    r = side_prepare(side_of(s), q, where, &s->tries, e);
    if (r == 0)
        r = http_start(x->remote->http, q, e);
    s->state = SLOT_RUNNING;
    return r;
}

static void wait_for(struct slot *s, uint64_t pause_ms)
{
    s->state = SLOT_WAITING;
    s->wake_ns = pause_ms ? time_mono_ns() + pause_ms * NS_PER_MS : 0;
}

static int finished(struct slot *s, struct err *e)
{
    struct remote_fetch *f = s->fetch->f;

    item_of(s)->done = true;
    s->state = SLOT_FREE;
    return f->ops->done ? f->ops->done(f->ctx, s->item, e) : 0;
}

/* From 0, without a range. */
static int restart(struct slot *s, struct err *e)
{
    struct remote_fetch *f = s->fetch->f;

    if (s->begun_at == 0 || ++s->restarts > side_of(s)->auth.limits->attempts)
        return wrong_reply(s, e, "it refuses to send it in parts");
    s->no_range = false;
    item_of(s)->offset = s->told = 0;
    wait_for(s, 0);
    return f->ops->restarted ? f->ops->restarted(f->ctx, s->item, e) : 0;
}

static int tell(struct slot *s, struct err *e)
{
    struct remote_fetch *f = s->fetch->f;
    uint64_t offset = item_of(s)->offset;

    if (s->state != SLOT_RUNNING || offset == s->told)
        return 0;
    s->told = offset;
    return f->ops->grew ? f->ops->grew(f->ctx, s->item, e) : 0;
}

/* A reply that ended before the end of the blob, and does not know it. */
static void mark_short(struct slot *s)
{
    struct http_request *q = &s->q;
    const struct remote_fetch_item *item = item_of(s);

    if (q->failed || !reply_good(q) || item->offset == item->size)
        return;
    q->failed = q->transient = true;
    (void)err_set(&q->error, ERR_UNAVAILABLE, "blob %.19s ended after %llu of %llu bytes",
                  item->digest, (unsigned long long)item->offset, (unsigned long long)item->size);
}

/* This one does not have it, or does not get it across: the next mirror, or the end. */
static int give_up(struct slot *s, struct err *e)
{
    struct err why = { 0 };

    if (s->q.failed && (s->q.error.os || strncmp(s->q.error.text, "Registry error:", 15) == 0))
        why = s->q.error; /* our own disk, or told in full already */
    else
        (void)reply_error(side_of(s)->name, &s->q, &why);
    if (s->side + 1 < s->fetch->remote->sides_n && !why.os) {
        s->side++;
        s->tries = (struct tries){ .attempt = 1 };
        wait_for(s, 0);
        return 0;
    }
    *e = why;
    return -(int)e->kind;
}

static int judge(struct slot *s, struct err *e)
{
    struct remote_fetch *f = s->fetch->f;
    struct remote_fetch_item *item = item_of(s);
    enum verdict v;
    int r;

    if (s->no_range || (!s->q.failed && s->q.status == 416))
        return restart(s, e);
    if (reply_good(&s->q) && item->offset == item->size)
        return finished(s, e);
    mark_short(s);
    if (item->offset >= s->high + PROGRESS_BYTES) {
        s->tries.attempt = 1;
        s->high = item->offset;
    }
    r = side_judge(side_of(s), &s->q, &s->tries, &v, e);
    if (r < 0)
        return r;
    if (v == VERDICT_ANSWERED)
        return give_up(s, e);
    wait_for(s, v == VERDICT_LATER ? s->tries.pause_ms : 0);
    if (v == VERDICT_LATER && f->ops->retrying) {
        struct err why = { 0 };

        (void)reply_error(side_of(s)->name, &s->q, &why);
        f->ops->retrying(f->ctx, s->item, s->tries.pause_ms, &why);
    }
    return 0;
}

/* ---- all of them ----------------------------------------------------- */

/* The next item that wants bytes; false when there is none. */
static int fill(struct fetch *x, struct slot *s, struct err *e)
{
    while (s->state == SLOT_FREE && x->next < x->f->n) {
        struct remote_fetch_item *item = &x->f->items[x->next];

        s->item = x->next++;
        if (item->done)
            continue;
        if (item->offset > item->size)
            return err_set(e, ERR_INTERNAL, "blob %.19s: offset behind its end", item->digest);
        s->side = x->remote->current;
        s->tries = (struct tries){ .attempt = 1 };
        s->told = s->high = item->offset;
        s->restarts = 0;
        s->no_range = false;
        if (item->offset == item->size) {
            int r = finished(s, e);

            if (r < 0)
                return r;
            continue;
        }
        wait_for(s, 0);
    }
    return 0;
}

/* Everything that can be done now. *ret_deadline: when there is more without the network. */
static int turn(struct fetch *x, uint64_t *ret_deadline, bool *ret_busy, struct err *e)
{
    uint64_t now = time_mono_ns();
    int r = 0;

    *ret_deadline = 0;
    *ret_busy = false;
    for (size_t i = 0; r == 0 && i < x->slots_n; i++) {
        struct slot *s = &x->slots[i];

        r = tell(s, e);
        if (r == 0 && s->state == SLOT_RUNNING && s->q.done)
            r = judge(s, e);
        if (r == 0)
            r = fill(x, s, e);
        if (r == 0 && s->state == SLOT_WAITING && s->wake_ns <= now)
            r = start(s, e);
        *ret_busy = *ret_busy || s->state != SLOT_FREE;
        if (s->state == SLOT_WAITING && (!*ret_deadline || s->wake_ns < *ret_deadline))
            *ret_deadline = s->wake_ns ? s->wake_ns : 1;
    }
    return r;
}

static bool any_ready(const struct remote_fetch *f)
{
    for (size_t i = 0; i < f->waits_n; i++)
        if (f->waits[i].revents)
            return true;
    return false;
}

int remote_fetch(struct remote *r, struct remote_fetch *f, struct err *e)
{
    unsigned parallel = f->parallel ? f->parallel : r->limits.parallel;
    struct fetch *x = calloc(1, sizeof(*x));
    uint64_t deadline = 0;
    bool busy = false;
    int rc;

    if (!x)
        return err_os(e, "registry");
    *x = (struct fetch){ .remote = r, .f = f };
    x->slots_n = parallel < REMOTE_PARALLEL_MAX ? parallel : REMOTE_PARALLEL_MAX;
    for (size_t i = 0; i < x->slots_n; i++) {
        x->slots[i].fetch = x;
        http_request_init(&x->slots[i].q);
    }
    for (;;) {
        rc = turn(x, &deadline, &busy, e);
        if (rc < 0 || !busy)
            break;
        rc = http_step(r->http, deadline, f->waits, f->waits_n, e);
        if (rc == 0 && f->ops->ready && any_ready(f))
            rc = f->ops->ready(f->ctx, f->waits, f->waits_n, e);
        if (rc < 0)
            break;
    }
    for (size_t i = 0; i < x->slots_n; i++)
        http_request_done(&x->slots[i].q);
    free(x);
    return rc;
}
