/*
 * Redirects calls that one loaded object (the executable, libstdc++, an addon) makes to functions of another. Such calls go
 * through pointers, into which the dynamic linker wrote the functions' addresses. The relocation tables of each object list its
 * pointers, each with the symbol whose address it holds. A change of a pointer redirects the calls. In a forked child this does
 * not change the parent, because the child has its own copy of the pages.
 */
#define _GNU_SOURCE
#include "fork-helper.h"
#include "list.h"

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

/* The functions to replace, and the pointers to them that were found so far. */
struct search {
  const struct replacement *replacements;
  size_t count;
  struct call_slot_list *list;
};

static void *find_replacement(const struct search *search, const char *symbol) {
  for (size_t index = 0; index < search->count; index++) {
    if (strcmp(symbol, search->replacements[index].name) == 0) return search->replacements[index].function;
  }
  return NULL;
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
 * Returns the absolute form of an address in an object's dynamic section. glibc's dynamic linker makes these addresses absolute
 * when it loads the object. musl's leaves them relative to the object's start. In an executable that is not
 * position-independent both are the same.
 */
static uintptr_t resolve(const struct dl_phdr_info *object, ElfW(Addr) address) {
  return contains(object, address) ? address : object->dlpi_addr + address;
}

/* The parts of an object's dynamic section that list its pointers to symbols. */
struct relocations {
  const ElfW(Sym) *symbols;
  const char *names;
  /* First the relocations of the procedure linkage table (PLT), then all others. */
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
  const struct search *search = data;
  const ElfW(Dyn) *dynamic = find_dynamic_section(object);
  /* Skips this addon, because its replacements may call the functions that they replace. */
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
      void *replacement = find_replacement(search, symbol);
      if (replacement == NULL) continue;
      int error = LIST_RESERVE(search->list);
      if (error != 0) return error;
      void **address = (void **)(object->dlpi_addr + relocation->r_offset);
      search->list->items[search->list->count++] = (struct call_slot){.address = address, .replacement = replacement};
    }
  }
  return 0;
}

int relocations_find(const struct replacement *replacements, size_t count, struct call_slot_list *list) {
  struct search search = {.replacements = replacements, .count = count, .list = list};
  return dl_iterate_phdr(find_in_object, &search);
}

/*
 * Writes the replacements into the pointers. Each page is made writable first, because the linker made it read-only after it
 * had filled it in (RELRO). If another thread unloaded an object between the search and the fork, the object's pages are gone:
 * mprotect(2) fails, and the pointer is skipped.
 */
void relocations_apply(const struct call_slot_list *list) {
  uintptr_t page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
  for (size_t index = 0; index < list->count; index++) {
    const struct call_slot *slot = &list->items[index];
    uintptr_t page = (uintptr_t)slot->address & ~(page_size - 1);
    if (mprotect((void *)page, page_size, PROT_READ | PROT_WRITE) == 0) *slot->address = slot->replacement;
  }
}

void relocations_free(struct call_slot_list *list) {
  free(list->items);
  *list = (struct call_slot_list){0};
}
