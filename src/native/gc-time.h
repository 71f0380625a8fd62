/* The CPU time that the main thread has spent in garbage collections. */
#ifndef GC_TIME_H
#define GC_TIME_H

#include <stdbool.h>

/* Begins to count, on the main thread. Idempotent. False where this Node.js does not export what is needed. */
bool gc_time_watch(void);

/* On the main thread. Does nothing when nothing is counted. */
void gc_time_unwatch(void);

/* Time since the count began, ms; NaN before. From any thread. */
double gc_time_ms(void);

#endif
