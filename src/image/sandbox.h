/*
 * What a3s-box-image gives up before it looks at a stranger's bytes.
 *
 * Always: new privileges, ambient capabilities, core dumps, more memory than a big image needs,
 * and, by seccomp, starting programs, sockets, tracing, mounting and kernel administration.
 * Where the kernel has Landlock (ABI 2: renames between directories): every file but A3S_HOME
 * and, read-only, the system's libraries and settings.
 */
#pragma once

#include "util/err.h"

/* Descriptors that are open stay usable. Fails only when the kernel refuses what it has. */
int sandbox_enter(const char *home, struct err *e) MUST_CHECK;

/* The seccomp part of it; left out by sandbox_enter() under sanitizers, which need such calls. */
int sandbox_deny_calls(struct err *e) MUST_CHECK;
