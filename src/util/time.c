#include "util/time.h"

#include <stdio.h>
#include <string.h>

uint64_t time_mono_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with this clock */
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

int64_t time_real_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail with this clock */
    return (int64_t)ts.tv_sec * (int64_t)NS_PER_S + ts.tv_nsec;
}

void time_rfc3339(int64_t real_ns, char ret[TIME_RFC3339_LEN])
{
    time_t sec = real_ns / (int64_t)NS_PER_S;
    long ns = (long)(real_ns % (int64_t)NS_PER_S);
    struct tm tm;

    if (ns < 0) {
        ns += (long)NS_PER_S;
        sec--;
    }
    (void)gmtime_r(&sec, &tm);
    (void)strftime(ret, TIME_RFC3339_LEN, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(ret + strlen(ret), TIME_RFC3339_LEN - strlen(ret), ".%09luZ",
                   (unsigned long)ns % NS_PER_S);
}
