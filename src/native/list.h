/* A growing array: any struct with the members items, count and capacity. Not for a forked child: it allocates memory. */
#ifndef LIST_H
#define LIST_H

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#define LIST_FIRST_CAPACITY 256

/* Makes room for one more item. Returns 0; or ENOMEM, and then the list is unchanged. */
#define LIST_RESERVE(list) list_reserve((void **)&(list)->items, &(list)->capacity, (list)->count, sizeof *(list)->items)

static inline int list_reserve(void **items, size_t *capacity, size_t count, size_t item_size) {
  if (count < *capacity) return 0;
  size_t wanted = *capacity == 0 ? LIST_FIRST_CAPACITY : *capacity * 2;
  void *larger = reallocarray(*items, wanted, item_size);
  if (larger == NULL) return ENOMEM;
  *items = larger;
  *capacity = wanted;
  return 0;
}

#endif
