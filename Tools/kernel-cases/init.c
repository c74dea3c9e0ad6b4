// The whole user space of the emulated machine: runs /kernel-cases for AVX-512, says how it ended and turns the machine
// off. AVX2 is what it may fail like: see main.c.
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/io.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

int main(void) {
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        execl("/kernel-cases", "kernel-cases", "-l", "avx2", "avx512", (char *)NULL);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) printf("kernel-cases cannot be run\n");
    printf("kernel-cases ended with status %d\n", status);
    fflush(stdout);
    tcdrain(STDOUT_FILENO);
    // Bochs stops when its port 0x8900 is told to.
    if (ioperm(0x8900, 1, 1) == 0) {
        for (const char *letter = "Shutdown"; *letter; letter++) outb((unsigned char)*letter, 0x8900);
    }
    reboot(RB_POWER_OFF);
    return 1;
}
