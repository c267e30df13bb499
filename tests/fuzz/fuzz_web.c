/* What HTTP clients send to `monitor --metrics-addr`, and addresses. */
#include "monitor/web.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void address(const char *text)
{
    struct sockaddr_storage addr;
    char shown[WEB_ADDR_TEXT];
    socklen_t len = 0, again = 0;
    struct err e;

    if (web_addr_parse(text, &addr, &len, &e) < 0)
        return;
    web_addr_text(&addr, shown);
    if (web_addr_parse(shown, &addr, &again, &e) < 0 || again != len)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct web_request q = { .head = false };
    char *text = malloc(size + 1);
    int whole, part;

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    address(text);
    whole = web_request_parse(text, size, &q);
    if (whole > 0 && (q.path[0] != '/' || strlen(q.path) >= sizeof(q.path)))
        abort();
    /* what is no request yet may become one, but not the other way round */
    part = web_request_parse(text, size / 2, &q);
    if (part > 0 && whole <= 0)
        abort();
    free(text);
    return 0;
}
