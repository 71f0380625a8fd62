/*
 * fork(2) copies one thread. Locks that others held stay locked in the child, work that others had begun stays unfinished,
 * and glibc's condition variables even wait inside pthread_cond_signal, for waiters that were there at the fork. A child
 * that runs into one of these would hang until its deadline.
 *
 * So the child's calls to the functions that lock, wake and wait are led elsewhere. In a process with one thread
 *   - every lock is free, whatever its state says. Most often it is the one around the queue through which V8 hands work to
 *     its worker threads, held by a worker that was just waking up. Should the owner have been in the middle of a change,
 *     the child crashes, as it may from other causes; the parent forks again.
 *   - to wake others is to do nothing: nobody is there.
 *   - to hand work to the thread pool is to leave it undone. libuv would start its threads anew and wait for them; an addon
 *     that hears of collections (node-memwatch) hands over some after each, and a snapshot begins with one.
 *   - to wait is to wait for ever, for V8 workers that take part in a collection, say. That ends the child at once, with an
 *     exit code that tells the parent to fork again: a heap in the middle of a collection is not worth a snapshot.
 *
 * The calls are found where the dynamic linker put the functions' addresses: every loaded object (the executable, libstdc++,
 * other addons) lists in its relocation tables which of its pointers hold the address of which symbol. These pointers lie
 * in memory that only the child sees changed.
 */
#define _GNU_SOURCE
#include "fork-helper.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define RELOCATION_CALL R_X86_64_JUMP_SLOT
#define RELOCATION_POINTER R_X86_64_GLOB_DAT
#elif defined(__aarch64__)
#define RELOCATION_CALL R_AARCH64_JUMP_SLOT
#define RELOCATION_POINTER R_AARCH64_GLOB_DAT
#else
#error "The relocation types of this processor are not known here."
#endif

/* From linux/futex.h, which is no part of musl's headers. */
#define FUTEX_WAIT 0
#define FUTEX_WAIT_BITSET 9
#define FUTEX_FLAGS (128 | 256)

/*
 * Since glibc 2.34 this has a newer version, and the linker would ask for that one. The old one is in every glibc, so that
 * the binary loads wherever Node.js does (2.28).
 */
#if defined(__GLIBC__) && defined(__x86_64__)
__asm__(".symver sem_trywait, sem_trywait@GLIBC_2.2.5");
#elif defined(__GLIBC__)
__asm__(".symver sem_trywait, sem_trywait@GLIBC_2.17");
#endif

/* ---- what the child calls instead -------------------------------------------------------------------------------- */

_Noreturn static void give_up(void) { _exit(CHILD_EXIT_WAITED_FOR_THREAD); }

/*
 * A wait with a time limit is over at once, as if the time had passed. Its caller may try again, as a spinning lock does,
 * and burn the processor for nothing: so many, of one child that has nobody to wait for, are a wait for ever.
 */
static int time_out(void) {
  static int timed_waits;
  if (++timed_waits > 1000) give_up();
  return ETIMEDOUT;
}

/* Takes the place of functions with one to four arguments; the calling conventions do not mind. */
static int do_nothing(void) { return 0; }

static int wait_for_condition(pthread_cond_t *condition, pthread_mutex_t *mutex) {
  (void)condition;
  (void)mutex;
  give_up();
}

static int wait_for_condition_until(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *time) {
  (void)condition;
  (void)mutex;
  (void)time;
  return time_out();
}

static int wait_for_condition_by_clock(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock,
                                       const struct timespec *time) {
  (void)clock;
  return wait_for_condition_until(condition, mutex, time);
}

static int wait_for_semaphore(sem_t *semaphore) {
  if (sem_trywait(semaphore) == 0) return 0;
  if (errno == EAGAIN) give_up();
  return -1;
}

static int wait_for_semaphore_until(sem_t *semaphore, const struct timespec *time) {
  (void)time;
  if (sem_trywait(semaphore) == 0) return 0;
  if (errno == EAGAIN) errno = time_out();
  return -1;
}

static int join_thread(pthread_t thread, void **result) {
  (void)thread;
  (void)result;
  give_up();
}

/* What the kernel would do with this wait. The word has changed already: it returns. Otherwise it sleeps. */
static long wait_on_futex(const uint32_t *word, uint32_t expected, const struct timespec *timeout) {
  if (__atomic_load_n(word, __ATOMIC_SEQ_CST) != expected) {
    errno = EAGAIN;
  } else {
    if (timeout == NULL) give_up();
    errno = time_out();
  }
  return -1;
}

/* Abseil, inside V8 since Node 26, and the standard library of Rust bring locks of their own, made of bare futexes. */
static long call_kernel(long number, ...) {
  long arguments[6];
  va_list list;
  va_start(list, number);
  for (size_t index = 0; index < 6; index++) arguments[index] = va_arg(list, long);
  va_end(list);

  if (number == SYS_futex) {
    int command = (int)arguments[1] & ~FUTEX_FLAGS;
    if (command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET) {
      return wait_on_futex((const uint32_t *)arguments[0], (uint32_t)arguments[2], (const struct timespec *)arguments[3]);
    }
  }
  /* Our own call: lone_thread_find_calls leaves this object out. */
  return syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

/* A pointer to a function through a pointer to data, as dlsym(3) does it. */
#define REPLACEMENT(name, function) \
  { name, (void *)(uintptr_t)(function) }

static const struct {
  const char *name;
  void *function;
} replacements[] = {
    REPLACEMENT("pthread_mutex_lock", do_nothing),
    REPLACEMENT("pthread_mutex_trylock", do_nothing),
    REPLACEMENT("pthread_mutex_timedlock", do_nothing),
    REPLACEMENT("pthread_mutex_clocklock", do_nothing),
    REPLACEMENT("pthread_mutex_unlock", do_nothing),
    REPLACEMENT("pthread_rwlock_rdlock", do_nothing),
    REPLACEMENT("pthread_rwlock_tryrdlock", do_nothing),
    REPLACEMENT("pthread_rwlock_wrlock", do_nothing),
    REPLACEMENT("pthread_rwlock_trywrlock", do_nothing),
    REPLACEMENT("pthread_rwlock_unlock", do_nothing),
    REPLACEMENT("pthread_cond_signal", do_nothing),
    REPLACEMENT("pthread_cond_broadcast", do_nothing),
    REPLACEMENT("pthread_cond_wait", wait_for_condition),
    REPLACEMENT("pthread_cond_timedwait", wait_for_condition_until),
    REPLACEMENT("pthread_cond_clockwait", wait_for_condition_by_clock),
    REPLACEMENT("sem_wait", wait_for_semaphore),
    REPLACEMENT("sem_timedwait", wait_for_semaphore_until),
    REPLACEMENT("pthread_join", join_thread),
    REPLACEMENT("syscall", call_kernel),
    REPLACEMENT("uv_queue_work", do_nothing),
    REPLACEMENT("napi_queue_async_work", do_nothing),
};

/* ---- where it is called from -------------------------------------------------------------------------------------- */

static void *find_replacement(const char *symbol) {
  for (size_t index = 0; index < sizeof replacements / sizeof replacements[0]; index++) {
    if (strcmp(symbol, replacements[index].name) == 0) return replacements[index].function;
  }
  return NULL;
}

static int append(struct call_slot_list *list, struct call_slot slot) {
  if (list->count == list->capacity) {
    size_t capacity = list->capacity == 0 ? 256 : list->capacity * 2;
    struct call_slot *items = reallocarray(list->items, capacity, sizeof *items);
    if (items == NULL) return ENOMEM;
    list->items = items;
    list->capacity = capacity;
  }
  list->items[list->count++] = slot;
  return 0;
}

static bool contains(const struct dl_phdr_info *object, uintptr_t address) {
  for (size_t index = 0; index < object->dlpi_phnum; index++) {
    const ElfW(Phdr) *segment = &object->dlpi_phdr[index];
    uintptr_t start = object->dlpi_addr + segment->p_vaddr;
    if (segment->p_type == PT_LOAD && address >= start && address - start < segment->p_memsz) return true;
  }
  return false;
}

/*
 * An address in the dynamic section. glibc's linker has made it absolute when it loaded the object, musl's leaves it
 * relative to where the object lies; in an executable that is not position-independent the two are one.
 */
static uintptr_t resolve(const struct dl_phdr_info *object, ElfW(Addr) address) {
  return contains(object, address) ? address : object->dlpi_addr + address;
}

/* The parts of an object's dynamic section that say which of its pointers hold which symbol. */
struct relocations {
  const ElfW(Sym) *symbols;
  const char *names;
  /* Those of the procedure linkage table, and all others. */
  struct {
    const ElfW(Rela) *items;
    size_t count;
  } tables[2];
};

static const ElfW(Dyn) *find_dynamic_section(const struct dl_phdr_info *object) {
  for (size_t index = 0; index < object->dlpi_phnum; index++) {
    const ElfW(Phdr) *segment = &object->dlpi_phdr[index];
    if (segment->p_type == PT_DYNAMIC) return (const ElfW(Dyn) *)(object->dlpi_addr + segment->p_vaddr);
  }
  return NULL;
}

static struct relocations read_dynamic_section(const struct dl_phdr_info *object, const ElfW(Dyn) *entry) {
  struct relocations found = {0};
  for (; entry->d_tag != DT_NULL; entry++) {
    uintptr_t address = resolve(object, entry->d_un.d_ptr);
    switch (entry->d_tag) {
      case DT_SYMTAB: found.symbols = (const ElfW(Sym) *)address; break;
      case DT_STRTAB: found.names = (const char *)address; break;
      case DT_JMPREL: found.tables[0].items = (const ElfW(Rela) *)address; break;
      case DT_PLTRELSZ: found.tables[0].count = entry->d_un.d_val / sizeof(ElfW(Rela)); break;
      case DT_RELA: found.tables[1].items = (const ElfW(Rela) *)address; break;
      case DT_RELASZ: found.tables[1].count = entry->d_un.d_val / sizeof(ElfW(Rela)); break;
      default: break;
    }
  }
  return found;
}

static int find_in_object(struct dl_phdr_info *object, size_t size, void *data) {
  (void)size;
  struct call_slot_list *list = data;
  const ElfW(Dyn) *dynamic = find_dynamic_section(object);
  if (dynamic == NULL || contains(object, (uintptr_t)&find_in_object)) return 0;

  struct relocations relocations = read_dynamic_section(object, dynamic);
  if (relocations.symbols == NULL || relocations.names == NULL) return 0;
  for (size_t table = 0; table < 2; table++) {
    if (relocations.tables[table].items == NULL) continue;
    for (size_t index = 0; index < relocations.tables[table].count; index++) {
      const ElfW(Rela) *relocation = &relocations.tables[table].items[index];
      uint64_t type = ELF64_R_TYPE(relocation->r_info);
      if (type != RELOCATION_CALL && type != RELOCATION_POINTER) continue;
      const char *symbol = relocations.names + relocations.symbols[ELF64_R_SYM(relocation->r_info)].st_name;
      void *replacement = find_replacement(symbol);
      if (replacement == NULL) continue;
      void **address = (void **)(object->dlpi_addr + relocation->r_offset);
      int error = append(list, (struct call_slot){.address = address, .replacement = replacement});
      if (error != 0) return error;
    }
  }
  return 0;
}

int lone_thread_find_calls(struct call_slot_list *list) { return dl_iterate_phdr(find_in_object, list); }

/*
 * The linker has made the page read-only once it had filled it in (RELRO). An object that another thread unloaded between
 * the search and the fork is not there any more, and mprotect says so.
 */
void lone_thread_replace_calls(const struct call_slot_list *list) {
  uintptr_t page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
  for (size_t index = 0; index < list->count; index++) {
    const struct call_slot *slot = &list->items[index];
    uintptr_t page = (uintptr_t)slot->address & ~(page_size - 1);
    if (mprotect((void *)page, page_size, PROT_READ | PROT_WRITE) == 0) *slot->address = slot->replacement;
  }
}

void lone_thread_free(struct call_slot_list *list) {
  free(list->items);
  *list = (struct call_slot_list){0};
}
