/* The init of a box: process 1 of its pid namespace. Descriptor 3: the box socket; 4: a signalfd of SIGCHLD, which is blocked.
   It hides itself, says "ready", reports what it reaps as (pid, status, max RSS), and ends, and with it the box, when the socket does.
   This is the whole program, with its ELF header; init/assemble.py makes x86_64.elf of it. */
        .set    BASE, 0x400000
        .text
file:
        .byte   0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0
        .short  2, 62                           /* ET_EXEC, EM_X86_64 */
        .long   1
        .quad   BASE + (start - file), headers - file, 0
        .long   0
        .short  64, 56, 2, 0, 0, 0
headers:
        .long   1, 5                            /* PT_LOAD, readable and executable */
        .quad   0, BASE, BASE, end - file, end - file, 4096
        .long   0x6474e551, 6                   /* PT_GNU_STACK: not executable */
        .quad   0, 0, 0, 0, 0, 16

        .set    SOCKET, 0                       /* on the stack: two struct pollfd, */
        .set    SIGNALS, 8
        .set    REPORT, 16                      /* the report: pid, status, max RSS, */
        .set    SCRATCH, 32                     /* struct rusage, or what is read */
        .set    MAX_RSS, 32                     /* in struct rusage */
start:
        sub     $256, %rsp
        mov     $157, %eax                      /* prctl(PR_SET_DUMPABLE, 0) */
        mov     $4, %edi
        xor     %esi, %esi
        xor     %edx, %edx
        xor     %r10d, %r10d
        xor     %r8d, %r8d
        syscall
        test    %rax, %rax
        js      leave
        mov     $157, %eax                      /* prctl(PR_SET_NAME, name) */
        mov     $15, %edi
        lea     name(%rip), %rsi
        syscall
        lea     ready(%rip), %rsi
        mov     $5, %edx
        call    tell
wait:
        movl    $3, SOCKET(%rsp)
        movl    $1, SOCKET+4(%rsp)              /* POLLIN */
        movl    $4, SIGNALS(%rsp)
        movl    $1, SIGNALS+4(%rsp)
        mov     $7, %eax                        /* poll(fds, 2, -1) */
        mov     %rsp, %rdi
        mov     $2, %esi
        mov     $-1, %rdx
        syscall
        cmpw    $0, SOCKET+6(%rsp)
        je      signals
        mov     $45, %eax                       /* recvfrom(3, scratch, 128, MSG_DONTWAIT, 0, 0) */
        mov     $3, %edi
        lea     SCRATCH(%rsp), %rsi
        mov     $128, %edx
        mov     $0x40, %r10d
        xor     %r8d, %r8d
        xor     %r9d, %r9d
        syscall
        test    %rax, %rax
        jg      signals                         /* nobody has anything to say to us */
        cmp     $-11, %rax                      /* EAGAIN */
        jne     leave
signals:
        cmpw    $0, SIGNALS+6(%rsp)
        je      wait
        xor     %eax, %eax                      /* read(4, scratch, 128) */
        mov     $4, %edi
        lea     SCRATCH(%rsp), %rsi
        mov     $128, %edx
        syscall
reap:
        mov     $61, %eax                       /* wait4(-1, &status, WNOHANG, rusage) */
        mov     $-1, %rdi
        lea     REPORT+4(%rsp), %rsi
        mov     $1, %edx
        lea     SCRATCH(%rsp), %r10
        syscall
        test    %rax, %rax
        jle     wait                            /* none has ended, or there is none */
        mov     %eax, REPORT(%rsp)
        mov     SCRATCH+MAX_RSS(%rsp), %rax
        mov     %rax, REPORT+8(%rsp)
        lea     REPORT(%rsp), %rsi
        mov     $16, %edx
        call    tell
        jmp     reap
tell:
        mov     $44, %eax                       /* sendto(3, rsi, rdx, MSG_NOSIGNAL, 0, 0); waits for a slow reader */
        mov     $3, %edi
        mov     $0x4000, %r10d
        xor     %r8d, %r8d
        xor     %r9d, %r9d
        syscall
        test    %rax, %rax
        js      leave
        ret
leave:
        mov     $231, %eax                      /* exit_group(0): Linux ends all that is left in the box */
        xor     %edi, %edi
        syscall
ready:  .ascii  "ready"
name:   .asciz  "pr-init"
end:
