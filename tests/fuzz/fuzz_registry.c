/* What registries send in headers and errors, and docker's config.json. The first byte chooses.
 */
#include "registry/auth.h"
#include "registry/challenge.h"
#include "registry/creds_file.h"
#include "registry/reply.h"
#include "registry/url.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void urls(const char *text)
{
    struct content_range range;
    struct err e = { 0 };
    struct origin o;
    char *got = NULL;
    uint64_t last;

    if (url_resolve("https://reg.example/v2/a/blobs/uploads/1", text, &got, &e) == 0 &&
        (strlen(got) > URL_MAX || url_origin(got, &o, &e) < 0))
        abort();
    free(got);
    got = NULL;
    if (link_next(text, &got, &e) > 0 && (!got || !*got))
        abort();
    free(got);
    if (content_range_parse(text, &range) && range.last < range.first)
        abort();
    if (upload_range_parse(text, &last) && last == UINT64_MAX)
        abort();
}

static void challenge(const char *text)
{
    struct challenge c = { .basic = false };
    struct err e = { 0 };

    if (challenge_parse(text, &c, &e) == 0)
        (void)!challenge_parse(text, &c, &e);
    if (c.realm && (!c.bearer || strlen(c.realm) > CHALLENGE_VALUE_MAX))
        abort();
    challenge_done(&c);
}

static void config(const char *text, size_t len)
{
    static const char *const hosts[] = { "docker.io", "reg.example", "localhost:5000" };
    struct err e = { 0 };
    json_t *j = NULL;

    if (creds_config_parse(text, len, &j, &e) < 0)
        return;
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        struct creds c = { .user = NULL };
        const char *helper;

        if (creds_config_auth(j, hosts[i], &c, &e) == 0)
            creds_done(&c);
        else if (!creds_empty(&c))
            abort();
        if (creds_config_helper(j, hosts[i], &helper, &e) == 0 && helper && strchr(helper, '/'))
            abort();
    }
    json_decref(j);
}

static void replies(const char *text, size_t len)
{
    struct http_request q;
    struct err e = { 0 };
    uint64_t life;
    char *token = NULL, clean[64];

    http_request_init(&q);
    q.status = 404;
    (void)str_add(&q.text, text, len);
    (void)reply_error("reg.example", &q, &e);
    for (const char *p = e.text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            abort();
    http_request_done(&q);
    text_clean(text, clean, sizeof(clean));
    if (token_parse(text, len, &token, &life, &e) == 0 && strpbrk(token, "\r\n "))
        abort();
    free(token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;

    if (size < 1)
        return 0;
    text = malloc(size);
    if (!text)
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    switch (data[0] % 4) {
    case 0:
        urls(text);
        break;
    case 1:
        challenge(text);
        break;
    case 2:
        config(text, size - 1);
        break;
    default:
        replies(text, size - 1);
    }
    free(text);
    return 0;
}
