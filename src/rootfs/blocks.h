/*
 * The data area of the image: blocks handed out one after the other, written as data streams in.
 *
 * Blocks are never handed out twice. Given back, they become holes of the sparse image file. The
 * file is only ever extended, so a block that was written in part ends with zeros.
 */
#pragma once

#include "util/err.h"
#include "util/own.h"

#include <stdbool.h>
#include <stdint.h>

#define BLOCK_SIZE 4096u

struct blocks {
    int fd;         /* borrowed */
    uint64_t next;  /* first block never handed out */
    uint64_t limit; /* no block from here on */
    char *buf;      /* owned; bytes waiting to be written at buf_at */
    size_t buf_len;
    uint64_t buf_at; /* byte position in the file */
};

int blocks_init(struct blocks *b, int fd, uint64_t first, uint64_t limit,
                struct err *e) MUST_CHECK;
void blocks_done(struct blocks *b);

/* `n` consecutive blocks. LIMIT when the image would get too large. */
int blocks_take(struct blocks *b, uint64_t n, uint64_t *ret_first, struct err *e) MUST_CHECK;

/* Write at a byte position inside blocks taken. Fast when positions go up. */
int blocks_write(struct blocks *b, uint64_t at, const void *data, size_t len,
                 struct err *e) MUST_CHECK;
int blocks_flush(struct blocks *b, struct err *e) MUST_CHECK;

/* Make a hole of them; only costs disk space when the host's file system cannot. */
void blocks_give(struct blocks *b, uint64_t first, uint64_t n);
