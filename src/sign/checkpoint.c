/* Signed checkpoints of a log. */
#include "sign/b64.h"
#include "sign/openssl.h"
#include "sign/tlog.h"
#include "util/cur.h"
#include "util/parse.h"

#include <string.h>

#define SIGNATURES_MAX 16
#define DASH           "\xe2\x80\x94 " /* em dash and a space begin a signature line */
#define HINT_LEN       4

/* A line without its end; false when there is no complete one. */
static bool line_next(struct span *text, struct span *ret)
{
    const char *p = text->p;
    const char *end = text->len ? memchr(p, '\n', text->len) : NULL;

    if (!end)
        return false;
    *ret = (struct span){ .p = p, .len = (size_t)(end - p) };
    text->len -= ret->len + 1;
    text->p = end + 1;
    return true;
}

static int damaged(struct err *e)
{
    return err_set(e, ERR_CORRUPT, "The transparency log's checkpoint is damaged");
}

static bool read_size(struct span line, uint64_t *ret)
{
    char text[24] = "";
    struct err ignored = { 0 };

    if (line.len >= sizeof(text) || (line.len > 1 && *(const char *)line.p == '0'))
        return false;
    memcpy(text, line.p, line.len);
    return parse_u64(text, 1, INT64_MAX, ret, &ignored) >= 0;
}

static bool read_root(struct span line, uint8_t ret[SIGN_HASH_LEN])
{
    autostr bytes = STR_INIT(SIGN_HASH_LEN);

    if (!b64_decode(line.p, line.len, &bytes) || bytes.len != SIGN_HASH_LEN)
        return false;
    memcpy(ret, bytes.p, SIGN_HASH_LEN);
    return true;
}

int checkpoint_parse(const char *text, size_t len, struct checkpoint *ret, struct err *e)
{
    struct span rest = { .p = text, .len = len }, origin, line;
    struct checkpoint c;

    if (len > TLOG_CHECKPOINT_MAX || memchr(text, '\0', len))
        return damaged(e);
    if (!line_next(&rest, &origin) || !origin.len || !line_next(&rest, &line) ||
        !read_size(line, &c.size) || !line_next(&rest, &line) || !read_root(line, c.root))
        return damaged(e);
    do { /* other lines mean nothing to us, but are signed */
        if (!line_next(&rest, &line))
            return damaged(e);
    } while (line.len);
    c.text_len = len - rest.len - 1;
    *ret = c;
    return 0;
}

bool checkpoint_key_id(const struct sign_key *key, struct span name, uint8_t ret[SIGN_HASH_LEN])
{
    autostr text = STR_INIT(TLOG_CHECKPOINT_MAX + 64);
    uint8_t raw[32];
    size_t len = sizeof(raw);

    if (EVP_PKEY_get_base_id(key->pkey) != EVP_PKEY_ED25519 ||
        EVP_PKEY_get_raw_public_key(key->pkey, raw, &len) != 1)
        return false;
    str_add(&text, name.p, name.len);
    str_add(&text, "\n\x01", 2);
    return str_add(&text, raw, len) && sign_hash(span_of(&text), ret);
}

/* Ed25519 keys are named as notes name them, others by the start of their log id. */
static bool hint_fits(const struct sign_key *key, struct span name, const uint8_t *hint)
{
    uint8_t id[SIGN_HASH_LEN];

    if (checkpoint_key_id(key, name, id))
        return memcmp(id, hint, HINT_LEN) == 0 || memcmp(key->id, hint, HINT_LEN) == 0;
    return memcmp(key->id, hint, HINT_LEN) == 0;
}

/* Rekor names itself in the signature as at the start of the origin ("NAME - TREE"). */
static bool name_fits(struct span name, struct span signed_text)
{
    const char *p = signed_text.p;

    return name.len < signed_text.len && memcmp(p, name.p, name.len) == 0 &&
           (p[name.len] == '\n' || strncmp(p + name.len, " - ", 3) == 0);
}

/* "— name base64(hint, signature)" */
static bool line_verifies(struct span line, struct span signed_text, const struct sign_key *key)
{
    const char *p = line.p, *space;
    size_t dash = strlen(DASH), left;
    autostr bytes = STR_INIT(HINT_LEN + SIGNATURE_MAX);
    struct span name;

    if (line.len <= dash || memcmp(p, DASH, dash) != 0)
        return false;
    left = line.len - dash;
    space = memchr(p + dash, ' ', left);
    if (!space || space == p + dash)
        return false;
    name = (struct span){ .p = p + dash, .len = (size_t)(space - p) - dash };
    left -= name.len + 1;
    if (!name_fits(name, signed_text) || !b64_decode(space + 1, left, &bytes) ||
        bytes.len <= HINT_LEN || !hint_fits(key, name, (const uint8_t *)bytes.p))
        return false;
    return sign_key_verifies(
        key, signed_text, (struct span){ .p = bytes.p + HINT_LEN, .len = bytes.len - HINT_LEN });
}

bool checkpoint_signed_by(const char *text, size_t len, const struct checkpoint *c,
                          const struct sign_key *key)
{
    struct span signed_text = { .p = text, .len = c->text_len };
    struct span rest = { .p = text + c->text_len + 1, .len = len - c->text_len - 1 };
    struct span line;

    for (unsigned i = 0; i < SIGNATURES_MAX && line_next(&rest, &line); i++)
        if (line_verifies(line, signed_text, key))
            return true;
    return false;
}
