/* The init of a box for aarch64: x86_64.S says what it does. */
        .set    BASE, 0x400000
        .text
file:
        .byte   0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0
        .short  2, 183                          /* ET_EXEC, EM_AARCH64 */
        .long   1
        .quad   BASE + (start - file), headers - file, 0
        .long   0
        .short  64, 56, 2, 0, 0, 0
headers:
        .long   1, 5                            /* PT_LOAD, readable and executable */
        .quad   0, BASE, BASE, end - file, end - file, 65536
        .long   0x6474e551, 6                   /* PT_GNU_STACK: not executable */
        .quad   0, 0, 0, 0, 0, 16

        .set    SOCKET, 0                       // on the stack: two struct pollfd,
        .set    SIGNALS, 8
        .set    REPORT, 16                      // the report: pid, status, max RSS,
        .set    SCRATCH, 32                     // struct rusage, or what is read
        .set    MAX_RSS, 32                     // in struct rusage
start:
        sub     sp, sp, #256
        mov     x8, #167                        // prctl(PR_SET_DUMPABLE, 0)
        mov     x0, #4
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        mov     x4, #0
        svc     #0
        tbnz    x0, #63, leave
        mov     x8, #167                        // prctl(PR_SET_NAME, name)
        mov     x0, #15
        adr     x1, name
        svc     #0
        adr     x1, ready
        mov     x2, #5
        bl      tell
wait:
        mov     w9, #3
        mov     w10, #1                         // POLLIN
        mov     w11, #4
        stp     w9, w10, [sp, #SOCKET]
        stp     w11, w10, [sp, #SIGNALS]
        mov     x8, #73                         // ppoll(fds, 2, 0, 0, 0)
        mov     x0, sp
        mov     x1, #2
        mov     x2, #0
        mov     x3, #0
        mov     x4, #0
        svc     #0
        ldrh    w9, [sp, #SOCKET+6]
        cbz     w9, signals
        mov     x8, #207                        // recvfrom(3, scratch, 128, MSG_DONTWAIT, 0, 0)
        mov     x0, #3
        add     x1, sp, #SCRATCH
        mov     x2, #128
        mov     x3, #0x40
        mov     x4, #0
        mov     x5, #0
        svc     #0
        cmp     x0, #0
        b.gt    signals                         // nobody has anything to say to us
        cmn     x0, #11                         // EAGAIN
        b.ne    leave
signals:
        ldrh    w9, [sp, #SIGNALS+6]
        cbz     w9, wait
        mov     x8, #63                         // read(4, scratch, 128)
        mov     x0, #4
        add     x1, sp, #SCRATCH
        mov     x2, #128
        svc     #0
reap:
        mov     x8, #260                        // wait4(-1, &status, WNOHANG, rusage)
        mov     x0, #-1
        add     x1, sp, #REPORT+4
        mov     x2, #1
        add     x3, sp, #SCRATCH
        svc     #0
        cmp     x0, #0
        b.le    wait                            // none has ended, or there is none
        str     w0, [sp, #REPORT]
        ldr     x9, [sp, #SCRATCH+MAX_RSS]
        str     x9, [sp, #REPORT+8]
        add     x1, sp, #REPORT
        mov     x2, #16
        bl      tell
        b       reap
tell:
        mov     x8, #206                        // sendto(3, x1, x2, MSG_NOSIGNAL, 0, 0); waits for a slow reader
        mov     x0, #3
        mov     x3, #0x4000
        mov     x4, #0
        mov     x5, #0
        svc     #0
        tbnz    x0, #63, leave
        ret
leave:
        mov     x8, #94                         // exit_group(0): Linux ends all that is left in the box
        mov     x0, #0
        svc     #0
ready:  .ascii  "ready"
name:   .asciz  "pr-init"
end:
