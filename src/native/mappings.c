/*
 * V8 marks the memory of its heaps MADV_DONTFORK, so that child_process.spawn, which forks before it executes, need not
 * copy the page tables of a large heap. A child that wants to go on as JavaScript needs that memory: without it it crashes
 * at the first object it touches.
 *
 * Which mappings carry the mark can be read in one place only, the VmFlags of /proc/self/smaps (dc: do not copy on fork).
 * The kernel walks the pages of every mapping to write that file, which costs about as much as the fork itself: paid so
 * that exactly these mappings, and no others, get their mark back. To leave them unmarked would make each later spawn of
 * the application as slow as our fork; to mark others would take memory from children that need it.
 */
#define _GNU_SOURCE
#include "fork-helper.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static int append(struct mapping_list *list, struct mapping mapping) {
  if (list->count == list->capacity) {
    size_t capacity = list->capacity == 0 ? 1024 : list->capacity * 2;
    struct mapping *items = reallocarray(list->items, capacity, sizeof *items);
    if (items == NULL) return ENOMEM;
    list->items = items;
    list->capacity = capacity;
  }
  list->items[list->count++] = mapping;
  return 0;
}

/* Reads a hexadecimal number and steps behind it. */
static uintptr_t take_hexadecimal(const char **text) {
  uintptr_t number = 0;
  for (;; (*text)++) {
    char digit = **text;
    if (digit >= '0' && digit <= '9') number = number * 16 + (uintptr_t)(digit - '0');
    else if (digit >= 'a' && digit <= 'f') number = number * 16 + (uintptr_t)(digit - 'a' + 10);
    else return number;
  }
}

/*
 * Reads the first line of a mapping, `7f5c3a000000-7f5c3a021000 rw-p 00000000 00:00 0`, with a path behind it if there is a
 * file. False for any other line: those begin with a name.
 */
static bool parse_first_line(const char *line, struct mapping *mapping, bool *private_anonymous) {
  const char *at = line;
  uintptr_t start = take_hexadecimal(&at);
  if (at == line || *at++ != '-') return false;
  uintptr_t end = take_hexadecimal(&at);
  if (strlen(at) < sizeof " rw-p 00000000 00:00 0" - 1) return false;
  char sharing = at[4];
  const char *file = strchr(at + 6, ' ');
  *mapping = (struct mapping){.start = start, .length = end - start};
  *private_anonymous = sharing == 'p' && file != NULL && strncmp(file, " 00:00 0", 8) == 0;
  return true;
}

int mappings_find_left_out(struct mapping_list *list) {
  FILE *smaps = fopen("/proc/self/smaps", "re");
  if (smaps == NULL) return errno;

  static const char flags_prefix[] = "VmFlags:";
  struct mapping mapping = {0};
  bool private_anonymous = false;
  bool flags_seen = false;
  char *line = NULL;
  size_t line_capacity = 0;
  int error = 0;
  while (error == 0 && getline(&line, &line_capacity, smaps) != -1) {
    if (strncmp(line, flags_prefix, sizeof flags_prefix - 1) == 0) {
      flags_seen = true;
      if (private_anonymous && strstr(line, " dc") != NULL) error = append(list, mapping);
    } else {
      (void)parse_first_line(line, &mapping, &private_anonymous);
    }
  }
  if (error == 0 && ferror(smaps)) error = EIO;
  /* A kernel, or something that passes for one, without VmFlags: the heap cannot be let in without harm. */
  if (error == 0 && !flags_seen) error = ENOTSUP;
  free(line);
  (void)fclose(smaps);
  return error;
}

/* Another thread may have unmapped a range meanwhile; then there is nothing left to advise, and the error says so. */
static void advise(const struct mapping_list *list, int advice) {
  for (size_t index = 0; index < list->count; index++) {
    const struct mapping *mapping = &list->items[index];
    (void)madvise((void *)mapping->start, mapping->length, advice);
  }
}

void mappings_let_in(const struct mapping_list *list) { advise(list, MADV_DOFORK); }

void mappings_leave_out(const struct mapping_list *list) { advise(list, MADV_DONTFORK); }

void mappings_free(struct mapping_list *list) {
  free(list->items);
  *list = (struct mapping_list){0};
}
