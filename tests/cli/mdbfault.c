/* mdbfault.c - a library to preload: reading an index fails once, as on a disk with a bad sector.
 *
 * VF_FAULT_AT: the number of the reading transaction, from 1, that cannot begin. */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <lmdb.h>

typedef int begin_fn(MDB_env *, MDB_txn *, unsigned, MDB_txn **);

int mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **ret)
{
    static atomic_int begun;
    begin_fn *real = (begin_fn *)dlsym(RTLD_NEXT, "mdb_txn_begin");
    const char *at = getenv("VF_FAULT_AT");

    if (at && flags & MDB_RDONLY && atomic_fetch_add(&begun, 1) + 1 == atoi(at))
        return EIO;
    return real(env, parent, flags, ret);
}
