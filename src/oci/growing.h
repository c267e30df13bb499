/*
 * Files that one process downloads while another one reads them.
 *
 * The two share a SOCK_SEQPACKET socket pair. The downloader tells how far each file has come;
 * the reader reads no further, and waits in recv() when it needs more. A file's count only ever
 * goes up, so what could not be sent is simply replaced by what is true later: the download never
 * waits for the reader. Back come how far the reader is, and at the end one result.
 *
 * Files are numbered. Both ends are programs of the same build on the same machine.
 */
#pragma once

#include "oci/digest.h"
#include "rootfs/source.h"

#include <stdbool.h>

#define GROWING_FILES_MAX 512 /* as many as a manifest has layers */
#define GROWTH_NO_FILE    UINT32_MAX
#define GROWING_NAME_LEN  16

/* What file number i is called in the directory that both ends use. */
void growing_name(size_t i, char ret[GROWING_NAME_LEN]);

enum growth_kind {
    GROWTH_BYTES = 1, /* to the reader: so many bytes of the file are there */
    GROWTH_COMPLETE,  /* to the reader: these are all */
    GROWTH_READ,      /* to the downloader: so many bytes have been used */
    GROWTH_PASSED,    /* to the downloader: the file is what it should be, and done with */
    GROWTH_RESULT,    /* to the downloader: the end; a struct growth_result follows */
};

struct growth {
    uint32_t kind; /* enum growth_kind */
    uint32_t file;
    uint64_t bytes;
};

/* kind is ERR_NONE, and id is the image's; or it is what failed, and `file` says over which
 * file, or is GROWTH_NO_FILE. */
struct growth_result {
    uint32_t kind; /* enum err_kind */
    uint32_t file;
    int32_t os;
    char text[ERR_TEXT_MAX];
    char id[DIGEST_LEN + 1];
};

struct growth_msg {
    struct growth growth;
    struct growth_result result; /* with GROWTH_RESULT only */
};

/* The reader's end. */

struct grown {
    uint64_t bytes;
    bool complete;
};

struct growing {
    int socket;    /* borrowed */
    uint32_t file; /* the one being read, or GROWTH_NO_FILE: to blame for a failure */
    struct grown v[GROWING_FILES_MAX];
    size_t n;
};

/* LIMIT for more than GROWING_FILES_MAX files. */
int growing_init(struct growing *g, int socket, size_t n, struct err *e) MUST_CHECK;

/* The content of file number `file`, from its start. CORRUPT when it ends before or behind
 * `size`; CANCELED when the downloader is gone. */
struct source_growing {
    struct source source;
    struct growing *growing; /* borrowed */
    uint32_t file;
    int fd; /* borrowed */
    uint64_t size, at, told;
    char *buf; /* owned */
};

int source_growing_init(struct source_growing *s, struct growing *g, uint32_t file, int fd,
                        uint64_t size, struct err *e) MUST_CHECK;
void source_growing_done(struct source_growing *s);

/* Tell that a file is done with. Nobody listening is no error: who is gone is noticed when more
 * is needed. */
void growing_passed(struct growing *g, uint32_t file, uint64_t bytes);

/* The last message: of an error when `why` has one, else of the image `id`. */
int growing_result(struct growing *g, const struct err *why, const char *id,
                   struct err *e) MUST_CHECK;

/* The downloader's end. */

struct feed_file {
    uint64_t bytes, sent;
    bool complete, complete_sent;
};

struct feed {
    int socket; /* borrowed; made non-blocking */
    struct feed_file v[GROWING_FILES_MAX];
    size_t n;
    bool blocked; /* the socket had no room: call feed_flush() when it has */
};

int feed_init(struct feed *f, int socket, size_t n, struct err *e) MUST_CHECK;

/* Note how far a file is, and tell it when it is worth it and the socket has room. */
void feed_grown(struct feed *f, size_t file, uint64_t bytes, bool complete);

/* Tell everything that has not been told, as far as there is room. */
void feed_flush(struct feed *f);

/* The next message, 0 when there is none now, 1 when *ret is set; UNAVAILABLE when the reader has
 * gone without a result. */
int feed_read(struct feed *f, struct growth_msg *ret, struct err *e) MUST_CHECK;
