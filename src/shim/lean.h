/* A shim lives as long as its box and is idle most of that time. */
#pragma once

/* Give back what only the start needed: heap, and pages of code (SQLite's above all), together
 * two thirds of the resident memory. What is used again comes back by itself. */
void lean_after_start(void);
