#include <pmixio/server.hpp>

int two();
int two() { return 0; }
