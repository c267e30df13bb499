/*
 * Boxes as `ps` and `info` see them: what the record has in columns, without the specification,
 * whose JSON costs more to parse than all the rest.
 */
#pragma once

#include "box/box.h"

struct box_brief {
    char id[ID_LEN];
    enum box_state state;
    int64_t created_ns, started_ns, finished_ns; /* as in struct box */
    int exit_code;
    uint64_t restart_count;
    uint64_t image_bytes; /* of the image, unpacked; 0 when it is gone */
    const char *name, *error, *image, *image_id;
    const char *command;  /* entrypoint and command, words joined by blanks */
    const char *labels;   /* a JSON object with strings in it; "": none */
    const char *network;  /* "none", ... */
    const char *platform; /* "": the image's */
    const char *health;   /* box/policy.h; "": no check */
    char *text;           /* where the texts lie; owned */
};

struct box_list {
    struct box_brief *v; /* owned, with its texts */
    size_t n;
};

void box_list_done(struct box_list *list);

/* All boxes, newest first, reconciled as by box_find(). */
int box_list(struct db *db, const char *home, struct box_list *ret, struct err *e) MUST_CHECK;

/* Remove directories below boxes/ that no record names: a power cut may bring one back whose
 * removal had not reached the disk. Adds to *freed the bytes of the disk that they held. */
int box_sweep(struct db *db, const char *home, uint64_t *freed, struct err *e) MUST_CHECK;

/* The command line as one text. */
void box_command(const struct box_spec *spec, struct str *out);

/* The labels as a JSON object; "" when there are none. */
void box_labels(const struct box_spec *spec, struct str *out);
