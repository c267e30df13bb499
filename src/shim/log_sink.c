#include "shim/log_sink.h"

#include "util/fs.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void log_sink_init(struct log_sink *l)
{
    *l = (struct log_sink){ .config.kind = LOG_KIND_NONE, .files.dirfd = -1 };
    json_log_none(&l->json);
    syslog_init(&l->syslog);
}

/* Beside our own program. The caller frees. */
static char *helper_path(void)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;

    if (n < 0)
        return NULL;
    self[n] = '\0';
    slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    return str_format("%s/a3s-box-log", self);
}

static int open_json(struct log_sink *l, struct loop *loop, int dirfd, struct err *e)
{
    int logs, r;

    r = json_log_open(&l->json, dirfd, BOX_JSON_LOG, e);
    l->json.attrs = l->config.attrs;
    if (r < 0 || !l->config.max_bytes)
        return r;
    logs = fs_open_dir(dirfd, "logs", e);
    r = logs < 0 ? logs : log_files_open(&l->files, logs, &l->config, e);
    if (r < 0)
        return r;
    l->json.files = &l->files;
    log_files_compress(&l->files, loop, l->helper);
    return 0;
}

int log_sink_open(struct log_sink *l, struct loop *loop, const struct box *box, int dirfd,
                  void (*failed)(struct syslog *s, const struct err *why), struct err *e)
{
    int r;

    r = log_config_read(&box->spec, box->id, box->name, &l->config, e);
    if (r < 0)
        return r;
    l->helper = helper_path();
    if (!l->helper)
        return err_os(e, "path of a3s-box-log");
    switch (l->config.kind) {
    case LOG_KIND_JSON_FILE:
        return open_json(l, loop, dirfd, e);
    case LOG_KIND_SYSLOG:
        l->syslog.failed = failed;
        return syslog_open(&l->syslog, loop, l->helper, &l->config, e);
    case LOG_KIND_NONE:
        break;
    }
    return 0;
}

void log_sink_close(struct log_sink *l)
{
    json_log_close(&l->json);
    log_files_close(&l->files);
    syslog_close(&l->syslog);
    log_config_done(&l->config);
    free(l->helper);
    log_sink_init(l);
}

void log_sink_add(struct log_sink *l, enum json_log_stream stream, const void *data, size_t len)
{
    switch (l->config.kind) {
    case LOG_KIND_JSON_FILE:
        json_log_add(&l->json, stream, data, len);
        break;
    case LOG_KIND_SYSLOG:
        syslog_add(&l->syslog, stream == JSON_LOG_STDERR ? SYSLOG_STDERR : SYSLOG_STDOUT, data,
                   len);
        break;
    case LOG_KIND_NONE:
        break;
    }
}

void log_sink_end(struct log_sink *l)
{
    json_log_end(&l->json);
    syslog_end(&l->syslog);
}

int log_sink_flush(struct log_sink *l, struct err *e)
{
    return json_log_flush(&l->json, e);
}

bool log_sink_keeps_up(const struct log_sink *l)
{
    return syslog_keeps_up(&l->syslog);
}

bool log_sink_idle(const struct log_sink *l)
{
    return syslog_idle(&l->syslog);
}

uint64_t log_sink_lost(const struct log_sink *l, int *ret_os)
{
    *ret_os = l->json.lost ? l->json.lost_os : l->syslog.lost_os;
    return l->json.lost + l->syslog.lost;
}

void log_sink_rest(struct log_sink *l)
{
    log_files_close(&l->files);
    l->json.files = NULL;
}
