/* What flags_*.c share. */
#pragma once

#include "cli/flags_box.h"

int flags_no_memory(struct err *e);
/* err_ctx() with docker's words around the value. */
int flags_bad(const char *flag, const char *value, struct err *e);
/* A copy of `text`; NULL for an empty one and for NULL. */
int flags_copy(char **ret, const char *text, struct err *e) MUST_CHECK;
