/* test_pool_portable.c - the tests of test_pool.c over the pool that sleeps on condition variables, as
 * systems without futexes have it. Its functions come first, so the library's are not linked. */
#define PUNA_POOL_PORTABLE 1
#include "../../src/base/pool.c"

#include "test_pool.c"
