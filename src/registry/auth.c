#include "registry/auth.h"

#include "oci/json.h"
#include "registry/creds_file.h"
#include "registry/reply.h"
#include "util/time.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define TOKEN_REPLY_MAX ((size_t)256 << 10)
#define TOKEN_MAX       ((size_t)60 << 10) /* with the name it must fit into a header */
#define TOKEN_LIFE_S    60                 /* when the server does not say; docker's token spec */
#define TOKEN_MARGIN_S  10                 /* renewed so long before its end */

static void wipe(char **p)
{
    if (*p)
        explicit_bzero(*p, strlen(*p));
    free(*p);
    *p = NULL;
}

int auth_init(struct auth *a, struct http *http, const struct registry_limits *limits,
              const char *home, const char *host, struct err *e)
{
    *a = (struct auth){ .http = http, .limits = limits, .home = home, .host = strdup(host) };
    return a->host ? 0 : err_os(e, "authentication");
}

void auth_done(struct auth *a)
{
    for (size_t i = 0; i < a->scopes_n; i++)
        free(a->scopes[i]);
    free(a->host);
    wipe(&a->header);
    creds_done(&a->creds);
    challenge_done(&a->asked);
    *a = (struct auth){ .http = NULL };
}

int auth_add_scope(struct auth *a, const char *scope, struct err *e)
{
    if (a->scopes_n == AUTH_SCOPES_MAX)
        return err_set(e, ERR_LIMIT, "More than %d scopes", AUTH_SCOPES_MAX);
    a->scopes[a->scopes_n] = strdup(scope);
    if (!a->scopes[a->scopes_n])
        return err_os(e, "authentication");
    a->scopes_n++;
    return 0;
}

void auth_set_creds(struct auth *a, struct creds *own_creds)
{
    creds_done(&a->creds);
    a->creds = *own_creds;
    *own_creds = (struct creds){ .user = NULL };
    a->creds_known = true;
}

static int know_creds(struct auth *a, struct err *e)
{
    int r;

    if (a->creds_known)
        return 0;
    r = creds_find(a->home, a->host, a->env, &a->creds, e);
    a->creds_known = r == 0;
    return r;
}

static int set_header(struct auth *a, const char *scheme, const char *value, struct err *e)
{
    char *header = str_format("%s %s", scheme, value);

    if (!header)
        return err_set(e, ERR_LIMIT, "Out of memory");
    wipe(&a->header);
    a->header = header;
    a->renew_ns = 0;
    a->generation++;
    return 0;
}

/* "user:password" as base64; NULL without memory. The caller wipes and frees. */
static char *basic_value(const struct creds *c)
{
    char *pair = str_format("%s:%s", c->user, c->password ? c->password : ""), *value = NULL;

    if (pair)
        value = base64_encode(pair, strlen(pair));
    wipe(&pair);
    return value;
}

static int use_basic(struct auth *a, struct err *e)
{
    char *value;
    int r;

    if (!a->creds.user)
        return 0;
    value = basic_value(&a->creds);
    if (!value)
        return err_set(e, ERR_LIMIT, "Out of memory");
    r = set_header(a, "Basic", value, e);
    wipe(&value);
    return r < 0 ? r : 1;
}

/* ---- tokens ---------------------------------------------------------- */

static bool is_token68(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f)
            return false; /* nothing that ends a header line */
    return true;
}

int token_parse(const void *text, size_t len, char **ret_token, uint64_t *ret_life_s,
                struct err *e)
{
    const char *token = NULL;
    autojson *j = NULL;
    json_t *life;
    int r;

    r = json_parse(text, len, "token", &j, e);
    if (r == 0)
        r = json_get_str(j, "token", &token, e);
    if (r == 0 && !(token && *token))
        r = json_get_str(j, "access_token", &token, e);
    if (r < 0)
        return r;
    if (!token || !*token || strlen(token) > TOKEN_MAX || !is_token68(token))
        return err_set(e, ERR_CORRUPT, "the answer has no token that can be used");
    life = json_object_get(j, "expires_in");
    *ret_life_s = TOKEN_LIFE_S;
    if (json_is_integer(life) && json_integer_value(life) > 0 &&
        json_integer_value(life) < 365 * 86400)
        *ret_life_s = (uint64_t)json_integer_value(life);
    *ret_token = strdup(token);
    return *ret_token ? 0 : err_os(e, "token");
}

static bool add_escaped(struct str *s, const char *text)
{
    bool ok = true;

    for (; *text && ok; text++) {
        if (isalnum((unsigned char)*text) || strchr("-._~", *text))
            ok = str_addc(s, *text);
        else
            ok = str_addf(s, "%%%02X", (unsigned char)*text);
    }
    return ok;
}

static bool add_field(struct str *s, const char *name, const char *value)
{
    bool ok = true;

    if (s->len && s->p[s->len - 1] != '?' && s->p[s->len - 1] != '&')
        ok = str_addc(s, '&');
    return ok && str_adds(s, name) && str_addc(s, '=') && add_escaped(s, value);
}

/* "repository:NAME:" is the same in both: then ours asks for what is needed. */
static bool same_object(const char *a, const char *b)
{
    const char *colon = strrchr(a, ':');

    return colon && strncmp(a, b, (size_t)(colon - a) + 1) == 0;
}

static bool scope_is_new(const struct auth *a, const char *scope)
{
    if (!scope || !*scope || strchr(scope, ' '))
        return false;
    for (size_t i = 0; i < a->scopes_n; i++)
        if (same_object(a->scopes[i], scope))
            return false;
    return true;
}

/* `joined`: all scopes in one field (OAuth2), not a field for each. */
static bool add_scopes(const struct auth *a, struct str *s, bool joined)
{
    bool extra = scope_is_new(a, a->asked.scope), ok = true;
    autostr all = STR_INIT(URL_MAX);

    for (size_t i = 0; ok && i < a->scopes_n + extra; i++) {
        const char *scope = i < a->scopes_n ? a->scopes[i] : a->asked.scope;

        if (joined)
            ok = (!all.len || str_addc(&all, ' ')) && str_adds(&all, scope);
        else
            ok = add_field(s, "scope", scope);
    }
    return ok && (!all.len || add_field(s, "scope", str_c(&all)));
}

/* Says whose fault it is. */
static int blame(const struct auth *a, struct err *e)
{
    struct err why = *e;

    return err_set(e, why.kind, "Registry error: %s - %s", a->host, why.text);
}

static int check_realm(const struct auth *a, bool plain, struct err *e)
{
    bool secret = a->creds.user || a->creds.identity;
    struct origin o;
    int r;

    if (!a->asked.realm)
        return err_set(e, ERR_CORRUPT, "Registry error: %s - its challenge names no realm",
                       a->host);
    r = url_origin(a->asked.realm, &o, e);
    if (r < 0) {
        (void)err_ctx(e, "the realm of its challenge");
        return blame(a, e);
    }
    if (secret && !o.tls && !plain)
        return err_set(e, ERR_DENIED,
                       "Registry error: %s - its realm wants the credentials sent to %.100s in "
                       "plain http: refused",
                       a->host, o.host);
    return 0;
}

/* GET REALM?service=...&scope=..., with Basic when there is a password. */
static int ask_with_get(struct auth *a, struct http_request *q, struct err *e)
{
    autostr url = STR_INIT(URL_MAX);
    bool ok;

    ok =
        str_adds(&url, a->asked.realm) && str_addc(&url, strchr(a->asked.realm, '?') ? '&' : '?');
    if (ok && a->asked.service)
        ok = add_field(&url, "service", a->asked.service);
    ok = ok && add_scopes(a, &url, false);
    if (ok && a->creds.user) {
        char *value = basic_value(&a->creds);

        ok = add_field(&url, "account", a->creds.user) && value &&
             (q->authorization = str_format("Basic %s", value));
        wipe(&value);
    }
    q->method = HTTP_GET;
    q->url = ok ? str_take(&url) : NULL;
    return q->url ? 0 : err_set(e, ERR_LIMIT, "the realm of its challenge is too long");
}

/* POST REALM with an identity token (docker's "oauth2" token endpoint). */
static int ask_with_post(struct auth *a, struct http_request *q, struct str *form, struct err *e)
{
    bool ok;

    ok = add_field(form, "grant_type", "refresh_token") &&
         add_field(form, "client_id", "a3s-box") &&
         add_field(form, "refresh_token", a->creds.identity);
    if (ok && a->asked.service)
        ok = add_field(form, "service", a->asked.service);
    ok = ok && add_scopes(a, form, true) &&
         http_request_header(q, "Content-Type: application/x-www-form-urlencoded");
    q->method = HTTP_POST;
    q->body = form->p;
    q->body_len = form->len;
    q->url = strdup(a->asked.realm);
    return ok && q->url ? 0 : err_set(e, ERR_LIMIT, "Out of memory");
}

static int take_token(struct auth *a, const struct http_request *q, uint64_t asked_ns,
                      struct err *e)
{
    char *token = NULL;
    uint64_t life = 0, margin;
    int r;

    r = token_parse(str_c(&q->text), q->text.len, &token, &life, e);
    if (r == 0)
        r = set_header(a, "Bearer", token, e);
    wipe(&token);
    if (r < 0)
        return blame(a, e);
    margin = life / 4 < TOKEN_MARGIN_S ? life / 4 : TOKEN_MARGIN_S;
    a->renew_ns = asked_ns + (life - margin) * NS_PER_S;
    return 1;
}

/* No reply at all is the token server's fault, a refusal tells about the credentials. */
static int token_failed(const struct auth *a, const struct http_request *q, struct err *e)
{
    if (!q->failed)
        return reply_error(a->host, q, e);
    *e = q->error;
    (void)err_ctx(e, "token");
    return blame(a, e);
}

static int ask_for_token(struct auth *a, bool plain, struct err *e)
{
    struct str form = STR_INIT(CREDS_MAX * 4);
    uint64_t asked_ns = time_mono_ns();
    struct http_request q;
    int r;

    r = check_realm(a, plain, e);
    if (r < 0)
        return r;
    http_request_init(&q);
    q.text_max = TOKEN_REPLY_MAX;
    r = a->creds.identity ? ask_with_post(a, &q, &form, e) : ask_with_get(a, &q, e);
    if (r == 0)
        r = http_run_patiently(a->http, &q, a->limits, e);
    if (r == 0 && (q.failed || q.status != 200)) {
        r = token_failed(a, &q, e);
    } else if (r == 0) {
        r = take_token(a, &q, asked_ns, e);
    }
    if (form.p)
        explicit_bzero(form.p, form.cap);
    str_done(&form);
    if (q.text.p)
        explicit_bzero(q.text.p, q.text.cap);
    http_request_done(&q);
    return r;
}

/* ---- challenges ------------------------------------------------------ */

static int read_challenge(struct auth *a, const struct http_request *q, struct err *e)
{
    struct challenge c = { .basic = false };
    const char *value;
    int r = 0;

    for (unsigned i = 0; r == 0 && (value = http_reply_header(q, "WWW-Authenticate", i)); i++)
        r = challenge_parse(value, &c, e);
    if (r < 0) {
        challenge_done(&c);
        return blame(a, e);
    }
    challenge_done(&a->asked);
    a->asked = c;
    return 0;
}

static int get_access(struct auth *a, bool plain, struct err *e)
{
    int r;

    r = know_creds(a, e);
    if (r < 0)
        return r;
    if (a->creds.token) {
        r = set_header(a, "Bearer", a->creds.token, e);
        return r < 0 ? r : 1;
    }
    if (a->asked.bearer)
        return ask_for_token(a, plain, e);
    if (a->asked.basic)
        return use_basic(a, e);
    return a->asked.other[0] ? err_set(e, ERR_DENIED,
                                       "Registry error: %s - it asks for an authentication "
                                       "scheme that is not known here: %s",
                                       a->host, a->asked.other)
                             : 0;
}

int auth_answer(struct auth *a, const struct http_request *q, unsigned sent, bool plain,
                struct err *e)
{
    bool first = a->generation == 0;
    int r;

    if (sent != a->generation)
        return 1; /* another request has got a newer token meanwhile */
    r = read_challenge(a, q, e);
    if (r < 0)
        return r;
    /* The same password would be refused the same way. */
    if (!first && !a->asked.bearer)
        return 0;
    /* Nor would a token that was right, but not enough. */
    if (!first && a->asked.error && strcmp(a->asked.error, "insufficient_scope") == 0)
        return 0;
    return get_access(a, plain, e);
}

int auth_prepare(struct auth *a, bool plain, struct err *e)
{
    int r;

    if (!a->header || !a->renew_ns || time_mono_ns() < a->renew_ns)
        return 0;
    r = ask_for_token(a, plain, e);
    return r < 0 ? r : 0;
}
