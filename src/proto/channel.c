#include "proto/channel.h"

#include "util/cur.h"
#include "util/fd.h"
#include "util/time.h"

#include <assert.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

#define CHANNEL_MAGIC UINT32_C(0x61337331) /* "a3s1" */
#define HELLO_LEN     26
/* Above this no stream may add DATA: what is queued is latency for everybody else. The buffer
 * also holds up to as much that is already written, and control frames, which are small but not
 * held back: their number is bounded by what the peer makes us answer. */
#define OUT_HIGH ((size_t)256 << 10)
#define OUT_MAX  (3 * OUT_HIGH)
#define IN_CHUNK ((size_t)64 << 10)

struct stream {
    struct channel *ch;
    struct stream *next;
    const struct stream_ops *ops; /* NULL until accepted */
    void *user;
    uint32_t id;
    uint32_t credit;   /* bytes we may send */
    uint32_t window;   /* bytes the peer may send */
    uint32_t consumed; /* taken by the consumer, not yet given back as credit */
    bool fin_sent, fin_got, starved;
};

struct channel {
    struct watch watch; /* first: its address is ours */
    struct loop *loop;
    enum channel_side side;
    const struct channel_ops *ops;
    void *user;
    struct stream *streams; /* few are open at a time: exec sessions and shares */
    unsigned streams_n;
    uint32_t next_id;
    uint32_t woken_id; /* the stream whose writable() was called last */
    struct str out;    /* frames for the descriptor */
    size_t out_sent;   /* bytes of `out` already written */
    uint8_t
        head[CHANNEL_HEADER + HELLO_LEN]; /* a header, or a whole small frame, as it arrives */
    size_t head_len;
    uint32_t data_left; /* bytes of the current DATA frame still to come */
    struct stream *data_stream;
    bool hello_got, dead, freeing;
    bool deaf; /* the peer has closed; what it sent before is still read */
    char chunk[IN_CHUNK];
};

static void channel_fail(struct channel *ch, const struct err *why)
{
    if (ch->dead)
        return;
    ch->dead = true;
    loop_del(ch->loop, &ch->watch);
    while (ch->streams) {
        struct stream *s = ch->streams;

        ch->streams = s->next;
        if (s->ops)
            s->ops->closed(s, RESET_GONE);
        free(s);
    }
    ch->streams_n = 0;
    ch->data_stream = NULL;
    if (!ch->freeing)
        ch->ops->failed(ch, why);
}

static void channel_violation(struct channel *ch, const char *what)
{
    struct err e;

    (void)err_set(&e, ERR_CORRUPT, "channel: peer broke the protocol: %s", what);
    channel_fail(ch, &e);
}

/* ---- output ---------------------------------------------------------- */

static void rewatch(struct channel *ch)
{
    struct err e;

    if (ch->dead)
        return;
    if (loop_mod(ch->loop, &ch->watch, EPOLLIN | (channel_unsent(ch) ? EPOLLOUT : 0), &e) < 0)
        channel_fail(ch, &e);
}

static bool put_frame(struct channel *ch, enum frame_type type, uint32_t id, const void *data,
                      uint32_t len)
{
    uint8_t head[CHANNEL_HEADER] = { (uint8_t)type };

    if (ch->dead)
        return false;
    if (ch->deaf)
        return true; /* reading will come to the end, and end the channel */
    put_u32be(head + 4, id);
    put_u32be(head + 8, len);
    if (!str_reserve(&ch->out, sizeof(head) + len)) {
        channel_violation(ch, "it does not read");
        return false;
    }
    (void)str_add(&ch->out, head, sizeof(head));
    (void)str_add(&ch->out, data, len);
    rewatch(ch);
    return true;
}

static void put_u32_frame(struct channel *ch, enum frame_type type, uint32_t id, uint32_t value)
{
    uint8_t raw[4];

    put_u32be(raw, value);
    (void)put_frame(ch, type, id, raw, sizeof(raw));
}

size_t channel_unsent(const struct channel *ch)
{
    return ch->out.len - ch->out_sent;
}

/* Returns false when the descriptor would block or the channel ended. */
static bool write_some(struct channel *ch)
{
    struct err e;
    ssize_t n;

    n = write(ch->watch.fd, ch->out.p + ch->out_sent, channel_unsent(ch));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
        ch->deaf = true;
        ch->out_sent = 0;
        str_done(&ch->out);
        return false;
    }
    if (n < 0) {
        (void)err_os(&e, "channel: write");
        channel_fail(ch, &e);
        return false;
    }
    ch->out_sent += (size_t)n;
    if (ch->out_sent == ch->out.len || ch->out_sent >= OUT_HIGH) {
        str_drop(&ch->out, ch->out_sent);
        ch->out_sent = 0;
    }
    return true;
}

/* A callback may close any stream, so the list is walked by id. */
static struct stream *stream_after(struct channel *ch, uint32_t id)
{
    struct stream *best = NULL;

    for (struct stream *s = ch->streams; s; s = s->next)
        if (s->id > id && (!best || s->id < best->id))
            best = s;
    return best;
}

/* Takes turns: the search goes on behind the stream that was woken last. */
static void wake_writers(struct channel *ch)
{
    for (unsigned left = ch->streams_n; left && !ch->dead && channel_unsent(ch) < OUT_HIGH;
         left--) {
        struct stream *s = stream_after(ch, ch->woken_id);

        if (!s)
            s = stream_after(ch, 0);
        if (!s)
            return;
        ch->woken_id = s->id;
        if (!s->starved || !s->credit || s->fin_sent)
            continue;
        s->starved = false;
        s->ops->writable(s);
    }
}

static void on_writable(struct channel *ch)
{
    while (!ch->dead && channel_unsent(ch) && write_some(ch))
        ;
    if (ch->dead)
        return;
    wake_writers(ch);
    rewatch(ch);
}

int channel_flush(struct channel *ch, int timeout_ms, struct err *e)
{
    uint64_t end_ns = time_mono_ns() + (uint64_t)timeout_ms * NS_PER_MS, now;

    while (!ch->dead && channel_unsent(ch)) {
        struct pollfd p = { .fd = ch->watch.fd, .events = POLLOUT };

        if (write_some(ch))
            continue;
        now = time_mono_ns();
        if (now >= end_ns)
            return err_set(e, ERR_TIMEOUT, "channel: peer does not read");
        if (poll(&p, 1, (int)((end_ns - now) / NS_PER_MS) + 1) < 0 && errno != EINTR)
            return err_os(e, "channel: poll");
    }
    return ch->dead ? err_set(e, ERR_UNAVAILABLE, "channel: closed") : 0;
}

int channel_send_hello(struct channel *ch, const struct channel_hello *hello, struct err *e)
{
    uint8_t raw[HELLO_LEN];

    put_u32be(raw, CHANNEL_MAGIC);
    put_u16be(raw + 4, hello->version);
    put_u32be(raw + 6, hello->features);
    put_u64be(raw + 10, hello->generation);
    put_u64be(raw + 18, hello->uptime_ns);
    if (!put_frame(ch, FRAME_HELLO, 0, raw, sizeof(raw)))
        return err_set(e, ERR_UNAVAILABLE, "channel: closed");
    return 0;
}

/* ---- streams --------------------------------------------------------- */

static struct stream *stream_find(struct channel *ch, uint32_t id)
{
    struct stream *s = ch->streams;

    while (s && s->id != id)
        s = s->next;
    return s;
}

static struct stream *stream_add(struct channel *ch, uint32_t id)
{
    struct stream *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    *s = (struct stream){ .ch = ch,
                          .next = ch->streams,
                          .id = id,
                          .credit = CHANNEL_WINDOW,
                          .window = CHANNEL_WINDOW };
    ch->streams = s;
    ch->streams_n++;
    return s;
}

static void stream_remove(struct stream *s)
{
    struct channel *ch = s->ch;
    struct stream **at = &ch->streams;

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    ch->streams_n--;
    if (ch->data_stream == s)
        ch->data_stream = NULL;
    free(s);
}

static void stream_close(struct stream *s, enum reset_reason why)
{
    if (s->ops)
        s->ops->closed(s, why);
    stream_remove(s);
}

int stream_open(struct channel *ch, uint32_t port, const struct stream_ops *ops, void *user,
                struct stream **ret, struct err *e)
{
    struct stream *s;

    if (ch->dead)
        return err_set(e, ERR_UNAVAILABLE, "channel: closed");
    if (ch->streams_n >= CHANNEL_STREAMS_MAX)
        return err_set(e, ERR_LIMIT, "channel: %d streams are open", CHANNEL_STREAMS_MAX);
    if (ch->next_id > UINT32_MAX - 2)
        return err_set(e, ERR_LIMIT, "channel: out of stream numbers");
    s = stream_add(ch, ch->next_id);
    if (!s)
        return err_os(e, "channel: stream");
    ch->next_id += 2;
    stream_accept(s, ops, user);
    put_u32_frame(ch, FRAME_OPEN, s->id, port);
    if (ch->dead)
        return err_set(e, ERR_UNAVAILABLE, "channel: closed");
    *ret = s;
    return 0;
}

void stream_accept(struct stream *s, const struct stream_ops *ops, void *user)
{
    s->ops = ops;
    s->user = user;
}

void *stream_user(const struct stream *s)
{
    return s->user;
}

struct channel *stream_channel(const struct stream *s)
{
    return s->ch;
}

size_t stream_room(struct stream *s)
{
    size_t room;

    if (s->fin_sent || s->ch->dead)
        return 0;
    room = channel_unsent(s->ch) < OUT_HIGH ? s->credit : 0;
    if (!room)
        s->starved = true;
    return room;
}

size_t stream_send(struct stream *s, const void *data, size_t len)
{
    const char *p = data;
    size_t taken = 0;

    while (taken < len) {
        size_t n = stream_room(s);

        if (!n)
            break;
        if (n > len - taken)
            n = len - taken;
        if (n > CHANNEL_DATA_MAX)
            n = CHANNEL_DATA_MAX;
        s->credit -= (uint32_t)n;
        if (!put_frame(s->ch, FRAME_DATA, s->id, p + taken, (uint32_t)n))
            break;
        taken += n;
    }
    return taken;
}

char *stream_reserve(struct stream *s, size_t len)
{
    char *at;

    if (len > CHANNEL_DATA_MAX || len > stream_room(s) || s->ch->deaf)
        return NULL;
    at = str_reserve(&s->ch->out, CHANNEL_HEADER + len);
    return at ? at + CHANNEL_HEADER : NULL;
}

void stream_commit(struct stream *s, size_t len)
{
    struct str *out = &s->ch->out;
    uint8_t head[CHANNEL_HEADER] = { FRAME_DATA };

    put_u32be(head + 4, s->id);
    put_u32be(head + 8, (uint32_t)len);
    memcpy(out->p + out->len, head, sizeof(head));
    str_added(out, sizeof(head) + len);
    s->credit -= (uint32_t)len;
    rewatch(s->ch);
}

void stream_consumed(struct stream *s, size_t len)
{
    s->consumed += (uint32_t)len;
    /* In halves of a window: a CREDIT per DATA would double the number of frames. */
    if (s->fin_got || s->consumed < CHANNEL_WINDOW / 2)
        return;
    len = s->consumed;
    s->window += s->consumed;
    s->consumed = 0;
    put_u32_frame(s->ch, FRAME_CREDIT, s->id, (uint32_t)len);
}

void stream_finish(struct stream *s)
{
    if (s->fin_sent)
        return;
    s->fin_sent = true;
    (void)put_frame(s->ch, FRAME_FIN, s->id, NULL, 0);
    if (s->fin_got && !s->ch->dead)
        stream_close(s, 0);
}

void stream_reset(struct stream *s, enum reset_reason why)
{
    struct channel *ch = s->ch;
    uint32_t id = s->id;

    stream_remove(s);
    put_u32_frame(ch, FRAME_RESET, id, why);
}

/* ---- input ----------------------------------------------------------- */

static void on_hello(struct channel *ch, struct cur c)
{
    struct channel_hello hello;
    uint32_t magic;

    if (!cur_u32be(&c, &magic) || magic != CHANNEL_MAGIC || !cur_u16be(&c, &hello.version) ||
        !cur_u32be(&c, &hello.features) || !cur_u64be(&c, &hello.generation) ||
        !cur_u64be(&c, &hello.uptime_ns)) {
        channel_violation(ch, "bad HELLO");
        return;
    }
    if (hello.version != CHANNEL_VERSION) {
        channel_violation(ch, "it speaks another version");
        return;
    }
    ch->hello_got = true;
    ch->ops->hello(ch, &hello);
}

static void on_open(struct channel *ch, uint32_t id, uint32_t port)
{
    struct stream *s;
    int why;

    if (id == 0 || (id & 1) == (ch->side == CHANNEL_HOST) || stream_find(ch, id)) {
        channel_violation(ch, "OPEN with a bad stream number");
        return;
    }
    s = ch->streams_n < CHANNEL_STREAMS_MAX ? stream_add(ch, id) : NULL;
    if (!s) {
        put_u32_frame(ch, FRAME_RESET, id, RESET_LIMIT);
        return;
    }
    why = ch->ops->open(ch, s, port);
    assert(why || s->ops);
    if (why)
        stream_reset(s, (enum reset_reason)why);
}

static void on_credit(struct channel *ch, struct stream *s, uint32_t more)
{
    if (more == 0 || more > CHANNEL_WINDOW || s->credit > CHANNEL_WINDOW - more) {
        channel_violation(ch, "CREDIT beyond the window");
        return;
    }
    s->credit += more;
    if (s->starved && !s->fin_sent && channel_unsent(ch) < OUT_HIGH) {
        s->starved = false;
        s->ops->writable(s);
    }
}

static void on_fin(struct channel *ch, struct stream *s)
{
    uint32_t id = s->id;

    if (s->fin_got) {
        channel_violation(ch, "two FINs");
        return;
    }
    s->fin_got = true;
    s->ops->fin(s);
    if (ch->dead)
        return;
    s = stream_find(ch, id);
    if (s && s->fin_sent)
        stream_close(s, 0);
}

/* A complete frame other than DATA. Frames for a stream that we have reset cross ours: ignored.
 */
static void on_small_frame(struct channel *ch, enum frame_type type, uint32_t id, struct cur c)
{
    struct stream *s = stream_find(ch, id);
    uint32_t value = 0;

    switch (type) {
    case FRAME_HELLO:
        on_hello(ch, c);
        return;
    case FRAME_OPEN:
        if (cur_u32be(&c, &value))
            on_open(ch, id, value);
        return;
    case FRAME_CREDIT:
        if (s && cur_u32be(&c, &value))
            on_credit(ch, s, value);
        return;
    case FRAME_FIN:
        if (s)
            on_fin(ch, s);
        return;
    case FRAME_RESET:
        if (s && cur_u32be(&c, &value))
            stream_close(s, value >= RESET_CANCELED && value <= RESET_ERROR
                                ? (enum reset_reason)value
                                : RESET_ERROR);
        return;
    case FRAME_DATA:
        return; /* goes the other way */
    }
}

/* What the header says must be possible before anything is done with it. */
static bool check_header(struct channel *ch, uint8_t type, uint32_t len)
{
    static const uint32_t lengths[] = {
        [FRAME_HELLO] = HELLO_LEN, [FRAME_OPEN] = 4, [FRAME_CREDIT] = 4,
        [FRAME_RESET] = 4,         [FRAME_FIN] = 0,
    };

    if (ch->head[1] || ch->head[2] || ch->head[3])
        channel_violation(ch, "reserved bits are set");
    else if (type < FRAME_HELLO || type > FRAME_RESET)
        channel_violation(ch, "unknown frame type");
    else if (!ch->hello_got && type != FRAME_HELLO)
        channel_violation(ch, "no HELLO");
    else if (type == FRAME_DATA ? len == 0 || len > CHANNEL_DATA_MAX : len != lengths[type])
        channel_violation(ch, "frame length");
    return !ch->dead;
}

static void begin_data(struct channel *ch, uint32_t id, uint32_t len)
{
    struct stream *s = stream_find(ch, id);

    if (s && (s->fin_got || len > s->window)) {
        channel_violation(ch, s->fin_got ? "DATA after FIN" : "DATA beyond the credit");
        return;
    }
    if (s)
        s->window -= len;
    ch->data_stream = s;
    ch->data_left = len;
}

static uint32_t head_u32(const struct channel *ch, size_t at)
{
    struct cur c = cur_of(ch->head + at, 4);
    uint32_t v = 0;

    (void)cur_u32be(&c, &v); /* four bytes are there */
    return v;
}

/* Move up to `want` bytes of the frame into `head`. Returns how many bytes were used up. */
static size_t collect(struct channel *ch, size_t want, const uint8_t *p, size_t len)
{
    size_t n = want - ch->head_len;

    if (n > len)
        n = len;
    memcpy(ch->head + ch->head_len, p, n);
    ch->head_len += n;
    return n;
}

static size_t input_header(struct channel *ch, const uint8_t *p, size_t len)
{
    size_t used = 0;
    uint32_t id, body;

    if (ch->head_len < CHANNEL_HEADER) {
        used = collect(ch, CHANNEL_HEADER, p, len);
        if (ch->head_len < CHANNEL_HEADER || !check_header(ch, ch->head[0], head_u32(ch, 8)))
            return used;
    }
    id = head_u32(ch, 4);
    body = head_u32(ch, 8);
    if (ch->head[0] == FRAME_DATA) {
        ch->head_len = 0;
        begin_data(ch, id, body);
        return used;
    }
    used += collect(ch, CHANNEL_HEADER + body, p + used, len - used);
    if (ch->head_len == CHANNEL_HEADER + body) {
        ch->head_len = 0;
        on_small_frame(ch, (enum frame_type)ch->head[0], id,
                       cur_of(ch->head + CHANNEL_HEADER, body));
    }
    return used;
}

static size_t input_data(struct channel *ch, const uint8_t *p, size_t len)
{
    struct stream *s = ch->data_stream;

    if (len > ch->data_left)
        len = ch->data_left;
    ch->data_left -= (uint32_t)len;
    if (s)
        s->ops->data(s, p, len);
    return len;
}

void channel_input(struct channel *ch, const void *data, size_t len)
{
    const uint8_t *p = data;

    while (len && !ch->dead) {
        size_t n = ch->data_left ? input_data(ch, p, len) : input_header(ch, p, len);

        p += n;
        len -= n;
    }
}

/* A guest gets a page at a time: as many as have come are passed on together. An end or an error
 * behind them shows again next time. */
static ssize_t fill_chunk(struct channel *ch)
{
    size_t all = 0;
    ssize_t n;

    do {
        n = read(ch->watch.fd, ch->chunk + all, sizeof(ch->chunk) - all);
        all += n > 0 ? (size_t)n : 0;
    } while (n > 0 && all < sizeof(ch->chunk) && ch->side == CHANNEL_GUEST);
    return all ? (ssize_t)all : n;
}

static void on_readable(struct channel *ch)
{
    struct err e;
    ssize_t n = fill_chunk(ch);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        channel_input(ch, ch->chunk, (size_t)n);
        return;
    }
    if (n == 0)
        (void)err_set(&e, ERR_UNAVAILABLE, "channel: closed by the peer");
    else
        (void)err_os(&e, "channel: read");
    channel_fail(ch, &e);
}

static void on_ready(struct watch *w, uint32_t events)
{
    struct channel *ch = CONTAINER_OF(w, struct channel, watch);

    if (events & EPOLLOUT)
        on_writable(ch);
    if (!ch->dead && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        on_readable(ch);
}

/* ---- life ------------------------------------------------------------ */

int channel_new(struct loop *loop, int fd, enum channel_side side, const struct channel_ops *ops,
                void *user, struct channel **ret, struct err *e)
{
    autoptr(channel) ch = calloc(1, sizeof(*ch));
    int r;

    if (!ch)
        return err_os(e, "channel");
    ch->watch = (struct watch){ .fd = fd, .what = "channel", .ready = on_ready };
    ch->loop = loop;
    ch->side = side;
    ch->ops = ops;
    ch->user = user;
    ch->next_id = side == CHANNEL_HOST ? 1 : 2;
    ch->out = (struct str)STR_INIT(OUT_MAX);
    r = fd_nonblock(fd, true, e);
    if (r < 0)
        return r;
    r = loop_add(loop, &ch->watch, EPOLLIN, e);
    if (r < 0)
        return r;
    *ret = take_ptr(ch);
    return 0;
}

void channel_free(struct channel *ch)
{
    struct err gone;

    if (!ch)
        return;
    ch->freeing = true;
    (void)err_set(&gone, ERR_CANCELED, "channel: closed");
    channel_fail(ch, &gone);
    str_done(&ch->out);
    free(ch);
}

void *channel_user(const struct channel *ch)
{
    return ch->user;
}
