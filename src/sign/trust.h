/*
 * Which images may be used: $A3S_HOME/trust.json.
 *
 *     {
 *       "default": {"type": "accept"},
 *       "rules": {
 *         "registry.example.org":          {"type": "reject"},
 *         "registry.example.org/team":     {"type": "key", "keys": ["keys/team.pub"]},
 *         "registry.example.org/team/web": {"type": "keyless",
 *             "identities": [{"issuer": "https://accounts.example.org",
 *                             "identity": "release@example.org"}]}
 *       },
 *       "sigstore": {"roots": ["fulcio.pem"], "rekor_keys": ["rekor.pub"],
 *                    "ct_keys": ["ctfe.pub"]}
 *     }
 *
 * A scope is a registry, or a registry and the beginning of a repository's path, in full
 * ("docker.io/library/redis"); the longest that fits wins, else "default", else everything is
 * accepted. Without the file everything is accepted. A file that is damaged, that has a member we
 * do not know, or that names a file which cannot be read, is an error: nothing is accepted then.
 *
 *   accept   any image
 *   reject   no image
 *   key      signed by one of "keys" (PEM); with "rekor_keys", logged there, too
 *   keyless  signed with a certificate for one of "identities", issued by "roots", logged by one
 *            of "rekor_keys" (or time-stamped by one of "tsa_roots") while it was valid, itself
 *            logged by one of "ct_keys" ("ignore_sct": true: by nobody). What a rule does not
 * name comes from "sigstore", else from the files that cosign's variables name:
 *            SIGSTORE_ROOT_FILE, SIGSTORE_REKOR_PUBLIC_KEY, SIGSTORE_CT_LOG_PUBLIC_KEY_FILE,
 *            SIGSTORE_TSA_CERTIFICATE_FILE.
 *
 * Logs that know no time (Rekor v2) need "tsa_roots", too.
 *
 * "same_repository": true refuses a signature that was made for the same image in another
 * repository (its docker-reference); otherwise copies of a signed image are as good, as cosign
 * has it. File names are relative to $A3S_HOME.
 *
 * This half needs jansson only, so that the CLI can link it.
 */
#pragma once

#include "util/err.h"
#include "util/own.h"
#include "util/str.h"

#include <stdbool.h>

#define TRUST_FILE     "trust.json"
#define TRUST_LIST_MAX 64 /* of anything in a rule */

enum trust_kind {
    TRUST_ACCEPT,
    TRUST_REJECT,
    TRUST_KEY,
    TRUST_KEYLESS,
};

struct trust_file {
    char *name; /* owned */
    struct str text;
};

struct trust_files {
    struct trust_file *v; /* owned */
    size_t n;
};

struct trust_identity {
    char *issuer, *identity; /* owned */
};

struct trust_rule {
    enum trust_kind kind;
    char *scope; /* owned; what it came from, for messages */
    struct trust_identity *identities;
    size_t identities_n;
    struct trust_files keys, roots, rekor, ct, tsa;
    bool ignore_sct, same_repository;
};

void trust_rule_free(struct trust_rule *rule);
DEFINE_AUTOPTR(trust_rule)

/* The rule for a repository ("docker.io/library/redis"), with its files read. */
int trust_find(const char *home, const char *repository, struct trust_rule **ret,
               struct err *e) MUST_CHECK;

/* What --verify-key, and --verify-issuer with --verify-identity, demand on top. */
int trust_from_key(const char *path, struct trust_rule **ret, struct err *e) MUST_CHECK;
int trust_from_identity(const char *home, const char *issuer, const char *identity,
                        struct trust_rule **ret, struct err *e) MUST_CHECK;

/* The rule with everything that it names, as one text: equal texts, equal demands. `repository`
 * counts where the rule looks at it. The caller frees. */
char *trust_rule_text(const struct trust_rule *rule, const char *repository);

/* ---- what has been verified ---- */

/*
 * $A3S_HOME/trust/HEX.json: that the image with this manifest met a rule. The statement is
 * about content, so it stays true whoever removes or brings back the image. A rule that changes,
 * a key file included, is another rule: the image has to be verified again.
 */
int trust_remember(const char *home, const char *manifest_digest, const struct trust_rule *rule,
                   const char *repository, const char *how, struct err *e) MUST_CHECK;

/* Before a box is made of an image: 0, or DENIED with the reason when the policy does not allow
 * it, or wants a signature that nobody has verified. */
int trust_check_present(const char *home, const char *repository, const char *manifest_digest,
                        struct err *e) MUST_CHECK;

/* The same for an image of the store, by the name that it was asked for with. An image that was
 * asked for by its id has to satisfy the rule of every name it has; without a name, "default". */
struct image;
int trust_check_image(const char *home, const char *query, const struct image *img,
                      struct err *e) MUST_CHECK;

/* ---- for tests ---- */

/* The rule of a trust.json's text; files are not read. */
int trust_parse(const char *text, size_t len, const char *repository, struct trust_rule **ret,
                struct err *e) MUST_CHECK;
