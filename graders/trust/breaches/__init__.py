"""What a sandbox promises, and for each promise the code that tries, inside a worker, to break it.

Each function is sent as text to a worker (see `selfcheck`), so it imports what it needs itself. `told` holds what somebody
who knows this machine would know: paths, process ids, addresses. It returns what it could do and should not have been able to.
"""

from graders.trust.breaches.files import (
    devices,
    read_another_submission,
    read_seed,
    read_solutions,
    terminal,
    write_outside,
)
from graders.trust.breaches.machine import (
    kernel_calls,
    memory,
    memory_of_the_kernel,
    memory_that_stays,
    memory_untouched,
    namespaces,
    processes,
    time_,
)
from graders.trust.breaches.neighbours import keyring, network, other_processes, services

ALL = (
    read_solutions, read_seed, read_another_submission, write_outside, network, services, other_processes, keyring, devices,
    namespaces, kernel_calls, memory, memory_untouched, memory_of_the_kernel, memory_that_stays, processes, time_, terminal,
)  # fmt: skip
MEMORY = {memory, memory_untouched, memory_of_the_kernel}
BESIDE_OTHERS = {network, keyring, namespaces, kernel_calls, memory, memory_of_the_kernel, processes, time_}
PROMISED = {"namespaces": set(ALL), "landlock": set(ALL), "process": BESIDE_OTHERS}
NEED_THE_FILTER = {network, keyring, namespaces, kernel_calls, *MEMORY}
NEED_IT_BESIDE_OTHERS = {write_outside, services, other_processes, terminal}
