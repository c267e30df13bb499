/* The processes of a box as `ps` would list them. */
#pragma once

#include "proto/config.h"

/* `args` are those of ps(1) that people give to `docker top`: none or -ef, ax, aux, -o LIST, -eo
 * LIST. UNSUPPORTED names what is not known. %MEM is of memory_bytes. Appends a table with tabs
 * (show_align()). */
int proc_table(const struct proc_list *procs, uint64_t memory_bytes, char *const *args,
               struct str *out, struct err *e) MUST_CHECK;
