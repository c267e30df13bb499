/* Inside sign/ only. */
#pragma once

#include "oci/json.h"
#include "sign/trust.h"

/* trust.json as JSON, every rule of it checked. */
int trust_document(const char *text, size_t len, json_t **ret, struct err *e) MUST_CHECK;
/* The rule for a repository; files are named, not read. */
int trust_choose(const json_t *document, const char *repository, struct trust_rule **ret,
                 struct err *e) MUST_CHECK;
/* Add the names of document's "sigstore" to a keyless rule where it names none itself. */
int trust_complete(const json_t *document, struct trust_rule *rule, struct err *e) MUST_CHECK;

int trust_files_push(struct trust_files *files, const char *name, struct err *e) MUST_CHECK;
int trust_identity_push(struct trust_rule *rule, const char *issuer, const char *identity,
                        struct err *e) MUST_CHECK;
int trust_rule_new(enum trust_kind kind, const char *scope, struct trust_rule **ret,
                   struct err *e) MUST_CHECK;
