#include "proc/proc.h"

void
health_main(struct proc *p)
{
    proc_idle_main(p);
}
