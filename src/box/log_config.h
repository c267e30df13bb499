/*
 * --log-driver and --log-opt: docker's drivers json-file, syslog and none, docker's option names
 * and error texts. docs/logs.md is for users.
 *
 * The specification keeps what was given; everybody who needs it reads it here, so that nothing
 * is believed that was not checked.
 */
#pragma once

#include "box/spec.h"

enum log_kind { LOG_KIND_JSON_FILE, LOG_KIND_SYSLOG, LOG_KIND_NONE };

/* SYSLOG_UNIX is a datagram socket, or else a stream, whichever the path is. */
enum syslog_transport { SYSLOG_UNIX, SYSLOG_UNIXGRAM, SYSLOG_UDP, SYSLOG_TCP };
enum syslog_format { SYSLOG_RFC5424_MICRO, SYSLOG_RFC5424, SYSLOG_RFC3164 };

/* JSON of the attributes, at most; an entry must stay readable in one piece. */
#define LOG_ATTRS_MAX ((size_t)64 << 10)
#define LOG_FILES_MAX 1000 /* max-file */

struct log_config {
    enum log_kind kind;
    bool non_blocking;
    uint64_t buffer_bytes; /* of mode=non-blocking */
    /* json-file */
    uint64_t max_bytes; /* of one file; 0: no limit */
    uint64_t max_files; /* with the one that is written */
    bool compress;
    char *attrs; /* a JSON object; NULL: none were asked for */
    /* syslog */
    enum syslog_transport transport;
    enum syslog_format format;
    unsigned facility;
    char *host, *port; /* `host` is the path of a unix socket; NULL: /dev/log */
    char *tag;         /* expanded */
};

/* `id` and `name` of the box are what the tag may name. INVALID and UNSUPPORTED name the option.
 * The caller calls log_config_done(). */
int log_config_read(const struct box_spec *spec, const char *id, const char *name,
                    struct log_config *ret, struct err *e) MUST_CHECK;
void log_config_done(struct log_config *c);

/* ---- the files of json-file, in the box's logs/ ----
 *
 * container.json is written; container.json.N are older, the greater N the newer, and never
 * change but that container.json.N.gz takes the place of container.json.N. */

#define LOG_FILE     "container.json"
#define LOG_FILE_NEW "container.json.new" /* on its way to be LOG_FILE */
#define LOG_FILE_TMP "container.json.tmp" /* on its way to be a .gz */
#define LOG_NAME_LEN 40

/* false when it is not the name of an older file. */
bool log_file_parse(const char *name, uint64_t *ret_number, bool *ret_gz);
void log_file_name(uint64_t number, bool gz, char ret[LOG_NAME_LEN]);
