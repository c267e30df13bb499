#include "guest/guest.h"

#include "util/log.h"

#include <string.h>

bool outlet_ready(const struct outlet *o)
{
    return o->queue.len == 0;
}

void outlet_flush(struct outlet *o)
{
    size_t n;

    if (!o->stream) {
        str_clear(&o->queue);
        return;
    }
    if (o->queue.len) {
        n = stream_send(o->stream, o->queue.p, o->queue.len);
        str_drop(&o->queue, n);
    }
    if (!o->stream) { /* the channel broke meanwhile */
        str_clear(&o->queue);
        return;
    }
    if (o->queue.len == 0 && o->finish)
        stream_finish(o->stream);
    else if (o->queue.len)
        (void)stream_room(o->stream); /* 0 here: asks for writable() */
}

void outlet_put(struct outlet *o, enum msg_type type, const void *payload, size_t len)
{
    if (!o->stream || o->finish)
        return;
    if (!msg_put(&o->queue, type, payload, len)) {
        log_error("message of type %d lost: its reader does not read", type);
        o->queue.failed = false;
    }
    outlet_flush(o);
}

void outlet_finish(struct outlet *o)
{
    o->finish = true;
    outlet_flush(o);
}

void outlet_done(struct outlet *o)
{
    str_done(&o->queue);
    *o = (struct outlet){ 0 };
}
