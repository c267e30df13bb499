/* What a message looks like: RFC 5424, section 6, and RFC 3164, section 4. */
#include "shim/syslog.h"

#include "util/time.h"

#include <string.h>

#define SEVERITY_ERR  3
#define SEVERITY_INFO 6
#define APP_NAME_MAX  48 /* RFC 5424 */
#define MSGID_MAX     32
#define TAG_MAX       32 /* RFC 3164 */

/* PRINTUSASCII: what is none becomes '_'; nothing becomes '-'. */
static void add_word(struct str *to, const char *text, size_t most)
{
    if (!*text)
        (void)str_addc(to, '-'); /* checked at the end, as the rest */
    for (size_t i = 0; text[i] && i < most; i++)
        (void)str_addc(to, text[i] > ' ' && text[i] <= '~' ? text[i] : '_');
}

/* "2026-11-22T13:33:16.120000Z", or without the fraction. */
static void add_time(struct str *to, int64_t real_ns, bool micro)
{
    char when[TIME_RFC3339_LEN];

    time_rfc3339(real_ns, when);
    (void)str_addf(to, "%.*sZ", micro ? 26 : 19, when);
}

static void add_time_3164(struct str *to, int64_t real_ns)
{
    static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    time_t t = (time_t)(real_ns / (int64_t)NS_PER_S);
    struct tm tm = { 0 };

    (void)localtime_r(&t, &tm);
    (void)str_addf(to, "%s %2d %02d:%02d:%02d", months[tm.tm_mon % 12], tm.tm_mday, tm.tm_hour,
                   tm.tm_min, tm.tm_sec);
}

bool syslog_format(const struct log_config *c, const char *host, pid_t pid,
                   const struct syslog_text *t, struct str *to)
{
    unsigned pri = c->facility * 8 + (t->stream == SYSLOG_STDERR ? SEVERITY_ERR : SEVERITY_INFO);

    (void)str_addf(to, c->format == SYSLOG_RFC3164 ? "<%u>" : "<%u>1 ", pri);
    if (c->format == SYSLOG_RFC3164)
        add_time_3164(to, t->real_ns);
    else
        add_time(to, t->real_ns, c->format == SYSLOG_RFC5424_MICRO);
    (void)str_addc(to, ' ');
    add_word(to, host, 255);
    (void)str_addc(to, ' ');
    if (c->format == SYSLOG_RFC3164) {
        add_word(to, c->tag, TAG_MAX);
        (void)str_addf(to, "[%d]: ", (int)pid);
    } else {
        add_word(to, c->tag, APP_NAME_MAX);
        (void)str_addf(to, " %d ", (int)pid);
        add_word(to, c->tag, MSGID_MAX);
        (void)str_adds(to, " - "); /* no structured data */
    }
    return str_add(to, t->text, t->len);
}
