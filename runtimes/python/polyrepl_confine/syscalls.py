"""System calls by name, with their numbers on the two machines that we have a filter for; None: the machine has no such call."""

from __future__ import annotations

X86_64, AARCH64 = "x86_64", "aarch64"

_TABLE = """
ptrace 101 117            mount 165 40              umount2 166 39            pivot_root 155 41         chroot 161 51
swapon 167 224            swapoff 168 225           reboot 169 142            sethostname 170 161       setdomainname 171 162
init_module 175 105       delete_module 176 106     finit_module 313 273      quotactl 179 60           quotactl_fd 443 443
lookup_dcookie 212 18     kexec_load 246 104        kexec_file_load 320 294   bpf 321 280               perf_event_open 298 241
userfaultfd 323 282       keyctl 250 219            add_key 248 217           request_key 249 218       unshare 272 97
setns 308 268             process_vm_readv 310 270  process_vm_writev 311 271 kcmp 312 272              open_by_handle_at 304 265
name_to_handle_at 303 264 fanotify_init 300 262     fanotify_mark 301 263     move_pages 279 239        migrate_pages 256 238
mbind 237 235             set_mempolicy 238 237     syslog 103 116            acct 163 89               settimeofday 164 170
clock_settime 227 112     adjtimex 159 171          clock_adjtime 305 266     iopl 172 -                ioperm 173 -
modify_ldt 154 -          vmsplice 278 75           uselib 134 -              ustat 136 -               sysfs 139 -
_sysctl 156 -             nfsservctl 180 42         vhangup 153 58            mount_setattr 442 442     move_mount 429 429
open_tree 428 428         fsopen 430 430            fsconfig 431 431          fsmount 432 432           fspick 433 433
pidfd_getfd 438 438       process_madvise 440 440   process_mrelease 448 448  memfd_secret 447 447      statmount 457 457
listmount 458 458         lsm_set_self_attr 460 460 set_mempolicy_home_node 450 450
io_uring_setup 425 425    io_uring_enter 426 426    io_uring_register 427 427 clone3 435 435
clone 56 220              ioctl 16 29               personality 135 92        socket 41 198             socketpair 53 199
sendto 44 206             sendmsg 46 211            sendmmsg 307 269          fcntl 72 25
prlimit64 302 261         setpriority 141 140       ioprio_set 251 30         sched_setscheduler 144 119
sched_setparam 142 118    sched_setattr 314 274     setsockopt 54 208         fallocate 285 47
"""

NEWEST = 462
"""The newest call that the filter has an opinion on (mseal). From 424 on the numbers of all machines agree."""

_REFUSED = """
ptrace mount umount2 pivot_root chroot swapon swapoff reboot sethostname setdomainname init_module delete_module finit_module
quotactl quotactl_fd lookup_dcookie kexec_load kexec_file_load bpf perf_event_open userfaultfd keyctl add_key request_key unshare
setns process_vm_readv process_vm_writev kcmp open_by_handle_at name_to_handle_at fanotify_init fanotify_mark move_pages
migrate_pages mbind set_mempolicy set_mempolicy_home_node syslog acct settimeofday clock_settime adjtimex clock_adjtime iopl
ioperm modify_ldt vmsplice uselib ustat sysfs _sysctl nfsservctl vhangup mount_setattr move_mount open_tree fsopen fsconfig
fsmount fspick pidfd_getfd process_madvise process_mrelease memfd_secret statmount listmount lsm_set_self_attr
"""
REFUSED = tuple(_REFUSED.split())
"""Calls that fail with EPERM."""

UNKNOWN = ("io_uring_setup", "io_uring_enter", "io_uring_register", "clone3")
"""Calls that fail with ENOSYS: programs then use what came before them. libuv takes threads; glibc takes clone, whose flags can be read."""


def numbers(machine: str) -> dict[str, int]:
    """The numbers of all calls above that this machine has."""
    column = {X86_64: 1, AARCH64: 2}[machine]
    words = _TABLE.split()
    rows = [words[start : start + 3] for start in range(0, len(words), 3)]
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}
