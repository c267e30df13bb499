/* The life of PID 1. */
#pragma once

/* Never returns while the machine runs; the return value is what main() exits with, which makes
 * the kernel panic. */
int init_main(void);
