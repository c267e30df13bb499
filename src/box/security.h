/* Parts of box_security() (box/lifecycle.h); private to src/box. */
#pragma once

#include "box/spec.h"

#define CAPS_DEFAULT UINT64_C(0xa80425fb) /* docker's */
#define CAP_N        41                   /* up to CAP_CHECKPOINT_RESTORE */

/* "NET_ADMIN", "CAP_NET_ADMIN", any case; INVALID otherwise. */
int cap_number(const char *name, unsigned *ret, struct err *e) MUST_CHECK;

/* The capabilities of the workload: docker's defaults, --cap-add, --cap-drop, --privileged. */
int caps_of(const struct box_spec *spec, uint64_t *ret, struct err *e) MUST_CHECK;

/* What --security-opt says. */
struct security_options {
    bool unconfined; /* no seccomp filter */
    const char
        *profile; /* a seccomp profile in JSON; borrowed from the spec; NULL: the default */
    bool no_new_privs;
    bool open_systempaths; /* nothing masked, nothing read-only in /proc and /sys */
};

/* Checks profiles, too. apparmor= and label= are accepted: there is neither in the
 * guest, as on a host without them. */
int security_options(const struct box_spec *spec, struct security_options *ret,
                     struct err *e) MUST_CHECK;

/* The default profile for these capabilities as struct sock_filter[]; owned by the caller. */
int seccomp_default(uint64_t caps, struct bytes *ret, struct err *e) MUST_CHECK;
/* A profile in docker's JSON, likewise. */
int seccomp_compile(const char *text, uint64_t caps, struct bytes *ret, struct err *e) MUST_CHECK;
