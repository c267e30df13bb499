#include "shim/json_log.h"

#include "util/log.h"
#include "util/time.h"
#include "util/utf8.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* A batch is written when a turn of the loop ends, or in between when it has grown to this. */
#define BATCH ((size_t)256 << 10)
#define OUT_MAX                                                                                  \
    ((size_t)1 << 20) /* a batch and the longest entry: 6 bytes per byte of a line, attributes   \
                       */
#define KEEP_CAP ((size_t)64 << 10)
#define TAIL_MAX 96 /* of an entry: stream and time, without the attributes */

int json_log_open(struct json_log *log, int dirfd, const char *path, struct err *e)
{
    struct stat st;

    json_log_none(log);
    log->fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log->fd < 0)
        return err_os(e, "open %s", path);
    if (fstat(log->fd, &st) < 0)
        return err_os(e, "stat %s", path);
    log->size = st.st_size;
    return 0;
}

void json_log_none(struct json_log *log)
{
    *log = (struct json_log){
        .fd = -1,
        .out = STR_INIT(OUT_MAX),
        .line = { STR_INIT(JSON_LOG_LINE), STR_INIT(JSON_LOG_LINE) },
    };
}

void json_log_close(struct json_log *log)
{
    close_fd(&log->fd);
    str_done(&log->out);
    for (int i = 0; i < JSON_LOG_STREAMS; i++)
        str_done(&log->line[i]);
}

/* Bytes that docker's strings do not have as they are; it escapes for HTML too. Those above 0x7f
 * are looked at as UTF-8. */
static bool is_plain(uint8_t c)
{
    static const bool special[256] = {
        [0 ... 0x1f] = true, ['"'] = true, ['\\'] = true,          ['<'] = true,
        ['>'] = true,        ['&'] = true, [0x80 ... 0xff] = true,
    };

    return !special[c];
}

static char *put_text(char *to, const char *text, size_t len)
{
    memcpy(to, text, len);
    return to + len;
}

static char *put_special(char *to, uint8_t c)
{
    static const char digits[] = "0123456789abcdef";

    if (c == '"' || c == '\\') {
        *to++ = '\\';
        *to++ = (char)c;
        return to;
    }
    if (c == '\n')
        return put_text(to, "\\n", 2);
    if (c == '\r')
        return put_text(to, "\\r", 2);
    to = put_text(to, "\\u00", 4);
    *to++ = digits[c >> 4];
    *to++ = digits[c & 15];
    return to;
}

/* At most 6 bytes are written per byte read. */
static char *put_escaped(char *to, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t n = i;

        while (n < len && is_plain(p[n]))
            n++;
        to = put_text(to, (const char *)p + i, n - i);
        i = n;
        if (i == len)
            break;
        if (p[i] < 0x80) {
            to = put_special(to, p[i++]);
            continue;
        }
        n = utf8_len(p + i, len - i);
        if (n == 3 && p[i] == 0xe2 && p[i + 1] == 0x80 && (p[i + 2] & 0xfe) == 0xa8)
            to = put_text(to, p[i + 2] == 0xa8 ? "\\u2028" : "\\u2029", 6);
        else
            to = n ? put_text(to, (const char *)p + i, n) : put_text(to, "\\ufffd", 6);
        i += n ? n : 1;
    }
    return to;
}

static void write_batch(struct json_log *log, size_t len, uint64_t entries);

/* The end of an entry, the same for all that arrive together: between its two halves are the
 * attributes. */
struct tail {
    char stream[40], time[48];
};

static void make_tail(struct tail *ret, enum json_log_stream stream)
{
    char when[TIME_RFC3339_LEN];

    time_rfc3339(time_real_ns(), when);
    (void)snprintf(ret->stream, sizeof(ret->stream), "\\n\",\"stream\":\"%s\",",
                   stream == JSON_LOG_STDOUT ? "stdout" : "stderr");
    (void)snprintf(ret->time, sizeof(ret->time), "\"time\":\"%s\"}\n", when);
}

/* The entry behind the first `before` bytes is too much for the file: it begins the next one. */
static void next_file(struct json_log *log, size_t before)
{
    if (before)
        write_batch(log, before, log->out_n - 1);
    if (log->size > 0)
        log_files_rotate(log->files, &log->fd, &log->size);
}

/* `tail` begins with the \n of a whole line. */
static void add_entry(struct json_log *log, const struct tail *tail, const void *data, size_t len,
                      bool whole_line)
{
    const char *stream = tail->stream + (whole_line ? 0 : 2);
    size_t attrs_len = log->attrs ? strlen(log->attrs) : 0, before;
    char *start, *to;

    if (log->out.len >= BATCH)
        write_batch(log, log->out.len, log->out_n);
    before = log->out.len;
    start = str_reserve(&log->out, 6 * len + attrs_len + TAIL_MAX + 32);
    if (!start) {
        log->lost++;
        log->lost_os = ENOMEM;
        log->out.failed = false; /* what is in it is whole */
        return;
    }
    to = put_text(start, "{\"log\":\"", 8);
    to = put_escaped(to, data, len);
    to = put_text(to, stream, strlen(stream));
    if (log->attrs) {
        to = put_text(to, "\"attrs\":", 8);
        to = put_text(to, log->attrs, attrs_len);
        *to++ = ',';
    }
    to = put_text(to, tail->time, strlen(tail->time));
    str_added(&log->out, (size_t)(to - start));
    log->out_n++;
    if (log->files && (uint64_t)log->size + log->out.len > log->files->max_bytes)
        next_file(log, before);
}

/* Adds to the incomplete line, and cuts it when it is too long. */
static void add_piece(struct json_log *log, struct str *line, const struct tail *tail,
                      const char *p, size_t len)
{
    while (len) {
        size_t n = JSON_LOG_LINE - line->len;

        if (n > len)
            n = len;
        if (!str_add(line, p, n)) {
            log->lost++;
            log->lost_os = ENOMEM;
            str_done(line);
            line->failed = false;
        }
        p += n;
        len -= n;
        if (line->len == JSON_LOG_LINE) {
            add_entry(log, tail, line->p, line->len, false);
            str_clear(line);
        }
    }
}

void json_log_add(struct json_log *log, enum json_log_stream stream, const void *data, size_t len)
{
    struct str *line = &log->line[stream];
    const char *p = data, *newline;
    struct tail tail;

    if (log->fd < 0)
        return;
    make_tail(&tail, stream);
    while (len && (newline = memchr(p, '\n', len))) {
        size_t n = (size_t)(newline - p);

        if (line->len || n >= JSON_LOG_LINE) {
            add_piece(log, line, &tail, p, n);
            add_entry(log, &tail, str_c(line), line->len, true);
            str_clear(line);
        } else {
            add_entry(log, &tail, p, n, true);
        }
        p = newline + 1;
        len -= n + 1;
    }
    add_piece(log, line, &tail, p, len);
}

void json_log_end(struct json_log *log)
{
    struct tail tail;

    for (int i = 0; i < JSON_LOG_STREAMS; i++) {
        make_tail(&tail, (enum json_log_stream)i);
        if (log->line[i].len)
            add_entry(log, &tail, log->line[i].p, log->line[i].len, false);
        str_done(&log->line[i]);
    }
}

/* Returns 0, or the errno; then the file is as long as before. */
static int write_all(struct json_log *log, const char *p, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = write(log->fd, p + done, len - done);
        int os = n == 0 ? ENOSPC : errno;

        if (n < 0 && os == EINTR)
            continue;
        if (n <= 0) {
            if (ftruncate(log->fd, log->size) < 0) /* an entry that is cut off is no JSON */
                log_warn("log: an entry stays cut off: %s", strerror(errno));
            return os;
        }
        done += (size_t)n;
    }
    log->size += (off_t)len;
    return 0;
}

static bool write_marker(struct json_log *log)
{
    char when[TIME_RFC3339_LEN], text[256];
    int n;

    time_rfc3339(time_real_ns(), when);
    n = snprintf(text, sizeof(text),
                 "{\"log\":\"[a3s-box: %llu log entries were lost here: %s]\\n\","
                 "\"stream\":\"stderr\",\"time\":\"%s\"}\n",
                 (unsigned long long)log->lost, strerror(log->lost_os), when);
    return n > 0 && (size_t)n < sizeof(text) && write_all(log, text, (size_t)n) == 0;
}

/* The first `len` bytes of what waits: `entries` whole ones. */
static void write_batch(struct json_log *log, size_t len, uint64_t entries)
{
    int os = 0;

    if (log->lost && write_marker(log))
        log->lost = 0;
    if (log->lost)
        os = log->lost_os;
    else
        os = write_all(log, log->out.p, len);
    if (os) {
        log->lost += entries;
        log->lost_os = os;
    }
    log->out_n -= entries;
    if (log->out.cap > KEEP_CAP && len == log->out.len)
        str_done(&log->out);
    else
        str_drop(&log->out, len);
}

int json_log_flush(struct json_log *log, struct err *e)
{
    /* Without a new entry the marker for lost ones can wait. */
    if (log->fd >= 0 && log->out.len)
        write_batch(log, log->out.len, log->out_n);
    if (!log->lost) {
        log->lost_told = false;
        return 0;
    }
    if (log->lost_told)
        return 0;
    log->lost_told = true;
    return err_os_at(e, log->lost_os, "workload's log: entries are being lost");
}
