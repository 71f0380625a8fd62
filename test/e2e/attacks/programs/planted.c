/* A library that another user has planted: it records, in the file MARK, who loaded it. */
#include <fcntl.h>
#include <unistd.h>

__attribute__((constructor)) static void loaded(void) {
  int fd = open(MARK, O_CREAT | O_WRONLY | O_APPEND, 0644);
  if (fd >= 0 && write(fd, "addon\n", 6) == 6) close(fd);
}
