/* The user's terminal, for sessions with -t and for passwords. */
#pragma once

#include "util/err.h"

#include <stdbool.h>

struct terminal; /* a terminal in raw mode */

/* Put the terminal `fd` into raw mode. Until terminal_restore() a small child of ours watches
 * over it: when this process is killed, by SIGKILL even, the child sets the terminal back. */
int terminal_raw(int fd, struct terminal **ret, struct err *e) MUST_CHECK;

/* The same, but only what is typed is not shown: signals work, lines are lines. */
int terminal_no_echo(int fd, struct terminal **ret, struct err *e) MUST_CHECK;

/* Set it back and free. NULL is fine. */
void terminal_restore(struct terminal *t);

/* False when fd is no terminal or does not know its size. */
bool terminal_size(int fd, uint16_t *ret_cols, uint16_t *ret_rows);
