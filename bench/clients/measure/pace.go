package measure

import (
	"runtime"
	"syscall"
	"time"
)

// Of prctl(2). The kernel wakes a thread up to 50 microseconds late unless it is told not to.
const prSetTimerSlack = 29

// Pace keeps one goroutine to its times. time.Sleep wakes it up to a millisecond late: then the client's own delay is
// measured, not the server's.
type Pace struct{ start time.Time }

// NewPace is for the goroutine that calls it, which keeps its thread. Times count from start.
func NewPace(start time.Time) Pace {
	runtime.LockOSThread()
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerSlack, 1, 0)
	return Pace{start}
}

// Until returns when it is due, or at once when that is over.
func (p Pace) Until(due time.Duration) {
	for early := due - time.Since(p.start); early > 0; early = due - time.Since(p.start) {
		pause := syscall.NsecToTimespec(int64(early))
		_ = syscall.Nanosleep(&pause, nil)
	}
}
