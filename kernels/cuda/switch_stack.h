// How the processor leaves one stack and goes on with another: what a called function must keep goes to the old stack, and what
// was kept on the new one comes back. Included by on_cpu.cpp, inside its namespace.
#pragma once

#if defined(__x86_64__)
extern "C" void switch_stack(void** save, void* load);
// What a called function must keep (rbp, rbx, r12 to r15) goes to the old stack and comes back from the new one.
asm(R"(
.text
.type switch_stack, @function
switch_stack:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size switch_stack, . - switch_stack
)");
const int KEPT = 6;
#elif defined(__aarch64__)
extern "C" void switch_stack(void** save, void* load);
// x19 to x30 and d8 to d15, the return address (x30) among them.
asm(R"(
.text
.type switch_stack, %function
switch_stack:
    sub sp, sp, #160
    stp x19, x20, [sp]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
.size switch_stack, . - switch_stack
)");
#else
#error "on_cpu.cpp switches stacks on x86-64 and aarch64: add this processor's switch"
#endif
