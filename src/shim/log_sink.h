/*
 * Where a workload's output goes: one of the log drivers json-file (json_log.h,
 * log_files.h), syslog (syslog.h) and none.
 */
#pragma once

#include "box/box.h"
#include "shim/json_log.h"
#include "shim/syslog.h"

struct log_sink {
    struct log_config config;
    struct json_log json;
    struct log_files files;
    struct syslog syslog;
    char *helper; /* path of a3s-box-log */
};

/* The driver none until it is opened. */
void log_sink_init(struct log_sink *l);
/* `dirfd` is the box's directory. `failed` is called when the log cannot be written to at all
 * after all; the box should not start then. */
int log_sink_open(struct log_sink *l, struct loop *loop, const struct box *box, int dirfd,
                  void (*failed)(struct syslog *s, const struct err *why),
                  struct err *e) MUST_CHECK;
void log_sink_close(struct log_sink *l);

void log_sink_add(struct log_sink *l, enum json_log_stream stream, const void *data, size_t len);
/* The workload has ended: what is incomplete is complete now. It may be started again. */
void log_sink_end(struct log_sink *l);
/* Once per turn of the loop. Fails when entries begin to be lost: once, not for each. */
int log_sink_flush(struct log_sink *l, struct err *e) MUST_CHECK;
/* false: the workload should wait. */
bool log_sink_keeps_up(const struct log_sink *l);
/* Has everything been written, or given up? After log_sink_end() this becomes true. */
bool log_sink_idle(const struct log_sink *l);
/* How many entries were lost, and the errno. */
uint64_t log_sink_lost(const struct log_sink *l, int *ret_os);
/* The workload ended for good: nothing of ours may go on in the background. */
void log_sink_rest(struct log_sink *l);
