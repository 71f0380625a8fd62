/* Counts the CPU time that the main thread spends in garbage collections. */
#ifndef GC_TIME_H
#define GC_TIME_H

#include <stdbool.h>

/* Starts to count. Call it on the main thread. Idempotent. Returns false if this Node.js does not export the V8 functions. */
bool gc_time_watch(void);

/* Stops counting. Call it on the main thread. Does nothing if nothing is counted. */
void gc_time_unwatch(void);

/* Returns the CPU time of all collections counted so far, ms; NaN before the first gc_time_watch. Any thread may call it. */
double gc_time_ms(void);

#endif
