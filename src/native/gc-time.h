/* The main thread's CPU time in garbage collections. */
#ifndef GC_TIME_H
#define GC_TIME_H

#include <stdbool.h>

/* Begins to count, on the main thread. Idempotent. False where this Node.js does not export what is needed. */
bool gc_time_watch(void);

/* Ends the count, on the main thread. Does nothing when nothing is counted. */
void gc_time_unwatch(void);

/* CPU time in collections since the count began, ms; NaN before. From any thread. */
double gc_time_ms(void);

#endif
