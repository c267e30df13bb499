#include "show/human.h"

#include <string.h>
#include <time.h>
#include <wchar.h>

static void scaled(uint64_t bytes, double base, const char *const *units, int digits,
                   struct str *out)
{
    double n = (double)bytes;
    size_t i = 0;

    for (; n >= base && units[i + 1]; i++)
        n /= base;
    str_addf(out, "%.*g%s", digits, n, units[i]);
}

static const char *const decimal[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB", NULL };

void human_size(uint64_t bytes, struct str *out)
{
    scaled(bytes, 1000, decimal, 4, out);
}

void human_size_short(uint64_t bytes, struct str *out)
{
    scaled(bytes, 1000, decimal, 3, out);
}

void human_bytes(uint64_t bytes, struct str *out)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", NULL };

    scaled(bytes, 1024, units, 4, out);
}

void human_duration(int64_t ns, struct str *out)
{
    int64_t seconds = ns > 0 ? ns / 1000000000 : 0, minutes = seconds / 60;
    int64_t hours = (seconds + 1800) / 3600;

    if (seconds < 1)
        str_adds(out, "Less than a second");
    else if (seconds < 60)
        str_addf(out, seconds == 1 ? "1 second" : "%lld seconds", (long long)seconds);
    else if (minutes < 60)
        str_addf(out, minutes == 1 ? "About a minute" : "%lld minutes", (long long)minutes);
    else if (hours < 48)
        str_addf(out, hours == 1 ? "About an hour" : "%lld hours", (long long)hours);
    else if (hours < 24 * 7 * 2)
        str_addf(out, "%lld days", (long long)hours / 24);
    else if (hours < 24 * 30 * 2)
        str_addf(out, "%lld weeks", (long long)hours / 24 / 7);
    else if (hours < 24 * 365 * 2)
        str_addf(out, "%lld months", (long long)hours / 24 / 30);
    else
        str_addf(out, "%lld years", (long long)hours / 24 / 365);
}

void human_time(int64_t real_ns, struct str *out)
{
    time_t t = (time_t)(real_ns / 1000000000);
    struct tm tm;
    char text[64];

    if (!gmtime_r(&t, &tm) || !strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S +0000 UTC", &tm))
        text[0] = '\0';
    str_adds(out, text);
}

/* One character at s: its bytes, and the columns it takes. */
static size_t character(const char *s, size_t len, size_t *ret_width)
{
    mbstate_t state = { 0 };
    wchar_t c;
    size_t used;
    int width;

    *ret_width = 1;
    if ((unsigned char)*s < 0x80)
        return 1;
    used = mbrtowc(&c, s, len, &state);
    if (used == 0 || used > len)
        return 1;
    width = wcwidth(c);
    *ret_width = width < 0 ? 1 : (size_t)width;
    return used;
}

size_t human_width(const char *s, size_t len)
{
    size_t width = 0, one;

    for (size_t i = 0; i < len; width += one) {
        one = 1;
        i += (unsigned char)s[i] < 0x80 ? 1 : character(s + i, len - i, &one);
    }
    return width;
}

void human_ellipsis(const char *s, size_t width, struct str *out)
{
    size_t len = strlen(s), used = 0, i = 0, one;

    if (human_width(s, len) <= width) {
        str_adds(out, s);
        return;
    }
    while (i < len) {
        size_t n = character(s + i, len - i, &one);

        if (used + one + 1 > width)
            break;
        used += one;
        i += n;
    }
    str_add(out, s, i);
    if (width)
        str_adds(out, "\xe2\x80\xa6");
}
