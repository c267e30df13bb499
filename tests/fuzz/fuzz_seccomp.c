/* Docker's seccomp profiles. What parses is made into a program, unless that would take long. */
#include "box/seccomp_profile.h"
#include "box/security.h"
#include "util/str.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct seccomp_profile p = { 0 };
    autostr text = STR_INIT(0);
    struct bytes program = { 0 };
    struct err e;
    bool small;

    if (seccomp_profile_parse((const char *)data, len, &p, &e) < 0)
        return 0;
    small = p.names_n < 64;
    seccomp_profile_done(&p);
    if (small && str_add(&text, data, len) && seccomp_compile(str_c(&text), 1, &program, &e) == 0)
        free(program.p);
    return 0;
}
