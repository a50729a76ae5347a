package measure

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The kernel counts processor time in hundredths of a second.
const tick = 10 * time.Millisecond

// CPUOf is the user and system time of all threads of a process, on Linux: fields 14 and 15 of /proc/<pid>/stat. Of no
// process, 0, it is 0.
func CPUOf(pid int) (time.Duration, error) {
	if pid == 0 {
		return 0, nil
	}
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	afterName := string(content)[strings.LastIndexByte(string(content), ')')+2:]
	fields := strings.Fields(afterName)
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

// CPUOfSelf is the same of this process, finer.
func CPUOfSelf() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
