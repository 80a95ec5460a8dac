#include "proc/proc.h"

void
failover_main(struct proc *p)
{
    proc_idle_main(p);
}
