#include "monitor/restart.h"

#include "box/policy.h"
#include "util/fd.h"
#include "util/own.h"
#include "util/spawn.h"
#include "util/time.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#define WORDS_MAX ((size_t)4 << 10) /* of a start that failed */

/* A box that was missing, until it has run for long enough. */
struct track {
    struct track *next;
    char id[ID_LEN];
    uint64_t delay_ns, due_ns;
    uint64_t up_ns; /* since when it is seen running; 0: it is not */
    bool busy;
};

struct start {
    struct restarts *owner; /* NULL: free */
    struct watch watch;     /* its pidfd */
    pid_t pid;
    int words; /* its stderr: memory */
    char id[ID_LEN];
    char *name;
};

struct restarts {
    struct restarts_options o;
    struct track *tracks;
    struct start starts[RESTARTS_AT_ONCE];
    unsigned busy;
};

int restarts_new(const struct restarts_options *o, struct restarts **ret, struct err *e)
{
    struct restarts *r = calloc(1, sizeof(*r));

    if (!r)
        return err_os(e, "monitor");
    r->o = *o;
    *ret = r;
    return 0;
}

unsigned restarts_busy(const struct restarts *r)
{
    return r->busy;
}

static struct track *find(struct restarts *r, const char *id)
{
    for (struct track *t = r->tracks; t; t = t->next)
        if (!strcmp(t->id, id))
            return t;
    return NULL;
}

static struct track *find_or_add(struct restarts *r, const char *id)
{
    struct track *t = find(r, id);

    if (t)
        return t;
    t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    (void)snprintf(t->id, sizeof(t->id), "%s", id);
    t->next = r->tracks;
    r->tracks = t;
    return t;
}

static void forget(struct start *s)
{
    struct restarts *r = s->owner;
    struct track *t = find(r, s->id);

    if (t)
        t->busy = false;
    loop_del(r->o.loop, &s->watch);
    close_fd(&s->watch.fd);
    close_fd(&s->words);
    free(s->name);
    *s = (struct start){ 0 };
    r->busy--;
}

/* What it said, as one line. */
static void read_words(const struct start *s, char *ret, size_t size)
{
    ssize_t n = pread(s->words, ret, size - 1, 0);

    ret[n > 0 ? n : 0] = '\0';
    for (char *p = ret; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
    for (size_t len = strlen(ret); len && ret[len - 1] == ' '; len--)
        ret[len - 1] = '\0';
}

static void on_end(struct watch *w, uint32_t events UNUSED)
{
    struct start *s = CONTAINER_OF(w, struct start, watch);
    struct restarts *r = s->owner;
    char words[WORDS_MAX];
    struct err e;
    int status;

    if (spawn_wait(s->pid, &status, &e) < 0)
        status = -1;
    read_words(s, words, sizeof(words));
    if (status == 0)
        fprintf(r->o.out, "monitor: box %s: started again\n", s->name);
    else
        fprintf(r->o.out, "monitor: box %s: not started: %s\n", s->name,
                *words ? words : "a3s-box start failed");
    (void)fflush(r->o.out); /* whether anybody reads it is not our business */
    forget(s);
    r->o.done(r->o.ctx);
}

static int spawn(struct restarts *r, struct start *s, struct err *e)
{
    const char *argv[] = { r->o.program, "start", "--by-policy", s->id, NULL };
    const struct spawn_fd fds[] = { { s->words, 2 } };
    const struct spawn how = { .argv = argv, .fds = fds, .fds_n = 1, .cwd = "/" };
    int rr;

    rr = spawn_start(&how, &s->pid, &s->watch.fd, e);
    return rr < 0 ? rr : loop_add(r->o.loop, &s->watch, EPOLLIN, e);
}

static void start(struct restarts *r, const struct box_overview_row *row, struct track *t,
                  uint64_t now_ns)
{
    struct start *s = r->starts;
    struct err e;
    int rr;

    while (s->owner)
        s++;
    *s = (struct start){ .owner = r,
                         .watch = { .fd = -1, .what = "start", .ready = on_end },
                         .words = memfd_create("words", MFD_CLOEXEC),
                         .name = strdup(row->name) };
    memcpy(s->id, row->id, sizeof(s->id));
    t->delay_ns = restart_delay_ns(t->delay_ns, 0);
    t->due_ns = now_ns + t->delay_ns;
    t->busy = true;
    r->busy++;
    rr = s->words < 0 || !s->name ? err_os(&e, "monitor") : spawn(r, s, &e);
    if (rr < 0) {
        fprintf(r->o.out, "monitor: box %s: %s\n", row->name, e.text);
        (void)fflush(r->o.out); /* as above */
        forget(s);
    }
}

/* It runs, or is gone, or nobody wants it to run any more. */
static bool is_settled(struct track *t, const struct box_overview_row *row, uint64_t now_ns)
{
    if (t->busy)
        return false;
    if (!row)
        return true;
    if (!box_state_is_live(row->state)) {
        t->up_ns = 0;
        return !row->missing;
    }
    t->up_ns = t->up_ns ? t->up_ns : now_ns;
    return now_ns - t->up_ns >= RESTART_GOOD_RUN;
}

static void drop_settled(struct restarts *r, const struct box_overview *seen, uint64_t now_ns)
{
    for (struct track **p = &r->tracks; *p;) {
        struct track *t = *p;

        if (!is_settled(t, box_overview_find(seen, t->id), now_ns)) {
            p = &t->next;
            continue;
        }
        *p = t->next;
        free(t);
    }
}

uint64_t restarts_look(struct restarts *r, const struct box_overview *seen, uint64_t now_ns)
{
    uint64_t next = 0;

    drop_settled(r, seen, now_ns);
    for (size_t i = 0; i < seen->n; i++) {
        struct track *t = seen->v[i].missing ? find_or_add(r, seen->v[i].id) : NULL;

        if (!t || t->busy)
            continue;
        if (t->due_ns <= now_ns && r->busy < RESTARTS_AT_ONCE)
            start(r, &seen->v[i], t, now_ns);
        else if (t->due_ns > now_ns && (!next || t->due_ns < next))
            next = t->due_ns;
    }
    return next;
}

void restarts_free(struct restarts *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < RESTARTS_AT_ONCE; i++)
        if (r->starts[i].owner)
            forget(&r->starts[i]); /* it goes on, and ends, without us */
    for (struct track *t = r->tracks, *next; t; t = next) {
        next = t->next;
        free(t);
    }
    free(r);
}
