/*
 * The control channel: many byte streams over one virtio-serial port.
 *
 * Both ends, shim and guest, run this code. A frame is a 12-byte header, all
 * big-endian: type u8, flags u8 (0), reserved u16 (0), stream u32, length u32,
 * then `length` bytes. docs/protocols.md, section 1.
 *
 *   HELLO   stream 0, first frame of each side, and again after a restore
 *   OPEN    new stream; payload: port u32
 *   DATA    at most CHANNEL_DATA_MAX bytes, at most the credit that the peer gave
 *   CREDIT  payload: u32, further bytes the peer may send on this stream
 *   FIN     no more DATA from this side
 *   RESET   the stream is gone in both directions; payload: reason u32
 *
 * Streams opened by the host have odd numbers, those opened by the guest even
 * ones. A side may have CHANNEL_WINDOW bytes in flight per stream before the
 * first CREDIT. A receiver gives credit only for what its consumer has taken,
 * so a slow reader holds at most one window, and never blocks another stream.
 *
 * A protocol violation ends the channel (`failed`), never the process.
 */
#pragma once

#include "util/loop.h"
#include "util/str.h"

#define CHANNEL_VERSION     1
#define CHANNEL_HEADER      12
#define CHANNEL_DATA_MAX    UINT32_C(65536)
#define CHANNEL_WINDOW      (UINT32_C(512) << 10)
#define CHANNEL_STREAMS_MAX 1024 /* open at a time, each side's together */

/* Ports of the host -> guest direction; any other is AF_VSOCK loopback in the guest. On such a
 * stream the guest's first byte is CHANNEL_CONNECTED, sent when its connect() succeeded and
 * before any byte of the peer; when it failed there is a RESET (REFUSED) instead. */
#define CHANNEL_CONNECTED 0x2b /* '+' */
#define PORT_CONTROL      4088
#define PORT_EXEC         4089
#define PORT_PTY          4090
#define PORT_ATTEST       4091
#define PORT_SIDECAR      4092
#define PORT_PORT_FORWARD 4093
#define PORT_FILES        4094

enum frame_type {
    FRAME_HELLO = 1,
    FRAME_OPEN = 2,
    FRAME_DATA = 3,
    FRAME_CREDIT = 4,
    FRAME_FIN = 5,
    FRAME_RESET = 6,
};

enum reset_reason {
    RESET_CANCELED = 1, /* the side that used it has no more interest */
    RESET_REFUSED = 2,  /* nobody serves that port */
    RESET_LIMIT = 3,    /* too many streams */
    RESET_ERROR = 4,    /* I/O or protocol error of the layer above */
    RESET_GONE = 5,     /* local only: the channel itself ended */
};

struct channel_hello {
    uint16_t version;
    uint32_t features;   /* CHANNEL_FEATURE_*; both sides use the intersection */
    uint64_t generation; /* 0 at boot, +1 with each restore of the VM */
    uint64_t uptime_ns;  /* guest: since its kernel started; host: 0 */
};

struct channel;
struct stream;

/* All called from loop_turn() (or channel_input()). `data` must take all it is given: it holds at
 * most a window; tell with stream_consumed() what has gone on. After `closed` the stream is
 * freed: both sides finished (why 0) or it was reset. Callbacks may open, send, finish and reset.
 */
struct stream_ops {
    void (*data)(struct stream *s, const void *data, size_t len);
    void (*fin)(struct stream *s);
    void (*writable)(struct stream *s); /* stream_room() is again > 0 after having been 0 */
    void (*closed)(struct stream *s, enum reset_reason why);
};

struct channel_ops {
    void (*hello)(struct channel *ch, const struct channel_hello *peer);
    /* Somebody opens `port`: set ops with stream_accept() and return 0, or a reason to refuse. */
    int (*open)(struct channel *ch, struct stream *s, uint32_t port);
    /* The descriptor reached its end or failed, or the peer broke the protocol. All streams have
     * been closed with RESET_GONE. The owner frees the channel after loop_turn(), not in here. */
    void (*failed)(struct channel *ch, const struct err *why);
};

enum channel_side { CHANNEL_HOST, CHANNEL_GUEST };

/* `fd` is made non-blocking and watched; it stays the caller's. `user` is for the callbacks. */
int channel_new(struct loop *loop, int fd, enum channel_side side, const struct channel_ops *ops,
                void *user, struct channel **ret, struct err *e) MUST_CHECK;
/* Closes all streams with RESET_GONE. */
void channel_free(struct channel *ch);
void *channel_user(const struct channel *ch);
int channel_send_hello(struct channel *ch, const struct channel_hello *hello,
                       struct err *e) MUST_CHECK;
/* Bytes waiting for the descriptor; 0 means everything was handed to the kernel. */
size_t channel_unsent(const struct channel *ch);
/* Write what waits, blocking, for at most timeout_ms: for the last words before a power-off. */
int channel_flush(struct channel *ch, int timeout_ms, struct err *e) MUST_CHECK;

int stream_open(struct channel *ch, uint32_t port, const struct stream_ops *ops, void *user,
                struct stream **ret, struct err *e) MUST_CHECK;
void stream_accept(struct stream *s, const struct stream_ops *ops, void *user);
void *stream_user(const struct stream *s);
struct channel *stream_channel(const struct stream *s);

/* How many bytes stream_send() takes now: credit and the channel's output buffer permitting. */
size_t stream_room(struct stream *s);
/* Send at most stream_room() bytes; returns how many were taken. */
size_t stream_send(struct stream *s, const void *data, size_t len);
/* The same without a copy: where to put up to `len` bytes, at most stream_room() and
 * CHANNEL_DATA_MAX, or NULL; then send the first `len` > 0 of them. Nothing else may be done with
 * the channel in between; not to commit is fine. */
char *stream_reserve(struct stream *s, size_t len);
void stream_commit(struct stream *s, size_t len);
/* The consumer has taken `len` bytes that `data` delivered. */
void stream_consumed(struct stream *s, size_t len);
void stream_finish(struct stream *s);                       /* FIN, once; more is ignored */
void stream_reset(struct stream *s, enum reset_reason why); /* frees it; `closed` is not called */

/* For the fuzz targets and tests: bytes as if read from the descriptor. */
void channel_input(struct channel *ch, const void *data, size_t len);

DEFINE_AUTOPTR(channel)
