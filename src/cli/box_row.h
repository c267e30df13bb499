/* A box as a row of `ps`: the fields docker's templates know. */
#pragma once

#include "box/brief.h"
#include "show/table.h"

/* "{{.ID}}", ".Names", ".Label "k"" and so on; the default table of `ps`. */
extern const struct show_table box_table;

struct box_row_how {
    int64_t now_ns; /* real time */
    bool no_trunc;
    bool size;        /* fill Size: how much of the writable layer is used */
    const char *home; /* for size */
    uint32_t fields;  /* box_row_fields(): what need be filled; 0: everything */
};

/* The fields that a format can print. */
uint32_t box_row_fields(const struct show_list *list);

/* The caller owns the result; NULL without memory. */
json_t *box_row(const struct box_brief *box, const struct box_row_how *how);

/* "Up 3 minutes", "Exited (3) 2 days ago", "Created", "Dead (shim ended unexpectedly)". */
void box_status(const struct box_brief *box, int64_t now_ns, struct str *out);

/* Bytes of host disk that the writable layer takes; 0 when it is not there. */
uint64_t box_disk_used(const char *home, const char *id);
