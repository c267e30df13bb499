/* Names of boxes that nobody named. */
#pragma once

#include "util/err.h"

#define BOX_NAME_MAX 255

/* "brave_hopper"; from the `try`-th (0...) attempt on, longer and less likely to be taken. */
int box_invent_name(unsigned try, char ret[BOX_NAME_MAX + 1], struct err *e) MUST_CHECK;
