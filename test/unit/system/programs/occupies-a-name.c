/*
 * Occupies the name of a turn as another user, by sockets that the kernel's list does not show as that user's.
 *
 *   occupies-a-name NAME UID LENGTH connected          the socket is connected, so that the list does not show one that listens
 *   occupies-a-name NAME UID LENGTH handed PROGRAM     PROGRAM, whose set-user-ID bit makes it run as its owner, keeps the descriptors
 *   occupies-a-name wait                               PROGRAM: prints "ready", and waits
 *
 * LENGTH is that of the name with the zeros before and behind it: Node.js 20 fills it up to 108, later versions do not.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void occupy(const char *name, size_t length, int is_connected, const struct sockaddr_un *other) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memcpy(address.sun_path + 1, name, strlen(name));
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(fd, (struct sockaddr *)&address, offsetof(struct sockaddr_un, sun_path) + length) != 0) exit(2);
  int failed = is_connected ? connect(fd, (const struct sockaddr *)other, sizeof *other) : listen(fd, 5);
  if (failed != 0) exit(3);
}

int main(int count, char **arguments) {
  if (count > 4) {
    const char *name = arguments[1];
    int is_connected = strcmp(arguments[4], "connected") == 0;
    if (setuid((uid_t)atoi(arguments[2])) != 0) return 4;
    struct sockaddr_un other = {.sun_family = AF_UNIX};
    snprintf(other.sun_path + 1, sizeof other.sun_path - 1, "other-%d", getpid());
    int listens = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(listens, (struct sockaddr *)&other, sizeof other) != 0 || listen(listens, 5) != 0) return 5;
    occupy(name, (size_t)atoi(arguments[3]), is_connected, &other);
    if (!is_connected) {
      execl(arguments[5], arguments[5], "wait", NULL);
      return 6;
    }
  }
  puts("ready");
  fflush(stdout);
  pause();
  return 0;
}
