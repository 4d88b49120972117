#include <pmixio/server.hpp>

int two();

int main() { return two(); }
