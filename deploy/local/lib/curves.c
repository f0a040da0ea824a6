// Loaded before mysqld. MySQL 8.0.15 names no curve, and OpenSSL 1.0.2, which it was built with, then offers no ECDHE
// (https://bugs.mysql.com/bug.php?id=82935); rustls speaks nothing else. Builds with a later OpenSSL have it by
// themselves. This lets the library choose one, as they do.
#define _GNU_SOURCE
#include <dlfcn.h>

enum { SET_ECDH_AUTO = 94 }; // SSL_CTRL_SET_ECDH_AUTO of OpenSSL 1.0.2

void *SSL_CTX_new(const void *method) {
  void *(*make)(const void *) = (void *(*)(const void *))dlsym(RTLD_NEXT, "SSL_CTX_new");
  long (*control)(void *, int, long, void *) = (long (*)(void *, int, long, void *))dlsym(RTLD_NEXT, "SSL_CTX_ctrl");
  void *context = make ? make(method) : 0;
  if (context && control) control(context, SET_ECDH_AUTO, 1, 0);
  return context;
}
