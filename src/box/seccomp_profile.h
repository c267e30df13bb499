/*
 * Docker's seccomp profiles (`--security-opt seccomp=FILE`): JSON to rules. What libseccomp makes
 * of them is in seccomp.c, which only the shim links.
 *
 * A profile is the user's own file, so everything in it that would not take effect is an error
 * that names the rule: unknown members, actions, flags and capabilities. As with docker, names of
 * system calls that nobody knows are skipped, and so are rules for other architectures.
 */
#pragma once

#include "util/err.h"
#include "util/own.h"

#include <jansson.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>

#define SECCOMP_PROFILE_MAX ((size_t)1 << 20) /* docker's default profile has 17 KB */
#define SECCOMP_RULES_MAX   4096
#define SECCOMP_NAMES_MAX   16384 /* of all rules */
#define SECCOMP_ARGS_MAX    6

/* Rules for newer kernels ("minKernel") count up to this one, Debian 12's. */
#define SECCOMP_KERNEL_MAJOR 6
#define SECCOMP_KERNEL_MINOR 1

struct seccomp_rule {
    size_t at;           /* its number in the file */
    const json_t *names; /* array of strings, or one string; borrowed from the profile */
    uint32_t action;     /* SCMP_ACT_* */
    bool other;          /* for another architecture or kernel: checked, and left out */
    uint64_t need_caps, unless_caps;
    struct scmp_arg_cmp args[SECCOMP_ARGS_MAX];
    unsigned args_n;
    bool any_arg; /* several conditions on one argument: each is a rule of its own */
};

struct seccomp_profile {
    json_t *root; /* owned */
    uint32_t fallback;
    struct seccomp_rule *rules; /* owned */
    size_t rules_n, names_n;
    bool arch_x86, arch_x32, arch_arm; /* besides the machine's own */
};

/* INVALID and UNSUPPORTED say which rule. `text` need not end in NUL. */
int seccomp_profile_parse(const char *text, size_t len, struct seccomp_profile *ret,
                          struct err *e) MUST_CHECK;
void seccomp_profile_done(struct seccomp_profile *p);

/* "mount", for messages. */
const char *seccomp_rule_name(const struct seccomp_rule *rule, size_t i);
