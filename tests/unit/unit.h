/* What every unit test includes last: cmocka and the headers it forgets. */
#pragma once

#include "util/attr.h"
#include "util/fd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
