/*
 * Users' credentials, where docker keeps them.
 *
 *   $DOCKER_CONFIG/config.json when DOCKER_CONFIG is set, else
 *   $A3S_HOME/auth/config.json, then ~/.docker/config.json;
 *   then REGISTRY_USERNAME and REGISTRY_PASSWORD, for any registry.
 *
 * `auths`, `credHelpers` and `credsStore` are honoured; helpers are docker-credential-NAME in
 * PATH, and get and give secrets through pipes. Writing goes to the first file, 0600, under a
 * lock, replaced as a whole.
 */
#pragma once

#include "util/err.h"
#include "util/own.h"

#include <stdbool.h>
#include <stddef.h>

#define CREDS_MAX ((size_t)64 << 10) /* of one secret; tokens of cloud registries reach 4 KiB */

struct creds {
    char *user, *password; /* owned; NULL for none */
    char *identity;        /* an OAuth2 refresh token instead of a password; owned or NULL */
    char *token;           /* to be sent as it is ("registrytoken"); owned or NULL */
    bool from_env;         /* nothing was stored for this registry */
};

void creds_done(struct creds *c); /* wipes */
static inline bool creds_empty(const struct creds *c)
{
    return !c->user && !c->identity && !c->token;
}

/* The key of a registry in config.json: its host[:port], for docker.io
 * "https://index.docker.io/v1/". `host` as in references. */
const char *creds_key(const char *host);

/* Nothing stored is no error: *ret is empty. `env`: whether REGISTRY_USERNAME counts. */
int creds_find(const char *home, const char *host, bool env, struct creds *ret,
               struct err *e) MUST_CHECK;

/* Into the helper that is configured, or else the file. *ret_file says which file it is in
 * clear; NULL when a helper has it. The caller frees. */
int creds_store(const char *home, const char *host, const struct creds *c, char **ret_file,
                struct err *e) MUST_CHECK;

/* 1: they are gone; 0: there were none. */
int creds_erase(const char *home, const char *host, struct err *e) MUST_CHECK;
