// The matrix of hogs in Go: what benches/src/questions/hogs.rs asks, for benches/src/go.rs.
//
// Arguments: hogs, habit (spin or sleep), then in milliseconds: poll, alone, settle, window, patience.
// Prints "listening ADDRESS" and waits for a line on standard input, which means that the client has its first echo. Then the
// same course: the tick alone, the hogs, the window. In the end it prints, times in microseconds of the monotonic clock:
//
//	done HOGS_AT WINDOW_START WINDOW_END WORK TICK_FROM TICK_TO TICK_FROM TICK_TO ...
//
// An open tick has +Inf as its end. It runs on two threads, as the other contestants (GOMAXPROCS).
package main

import (
	"bufio"
	"fmt"
	"math"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	tickSleep = time.Millisecond
	slice     = 500 * time.Microsecond
	steps     = 100_000
)

var (
	stepsPerSecond float64
	// Keeps the compiler from leaving out the work; nobody reads it.
	sink uint64
	// The common clock at the time `origin`: time.Time does not tell its monotonic part.
	originMicros = monotonicMicros()
	origin       = time.Now()
)

func monotonicMicros() float64 {
	const clockMonotonic = 1
	var at syscall.Timespec
	_, _, failed := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&at)), 0)
	if failed != 0 {
		panic(failed)
	}
	return float64(at.Sec)*1e6 + float64(at.Nsec)/1e3
}

func micros(at time.Time) float64 {
	return originMicros + float64(at.Sub(origin).Nanoseconds())/1e3
}

func work(count uint64) {
	value := uint64(1)
	for step := uint64(0); step < count; step++ {
		value = value*0x5851_F42D_4C95_7F2D + step
	}
	atomic.StoreUint64(&sink, value)
}

// The speed of an undisturbed core: the best of many runs.
func calibrate() {
	best := time.Hour
	for run := 0; run < 50; run++ {
		start := time.Now()
		work(steps)
		if time := time.Since(start); time < best {
			best = time
		}
	}
	stepsPerSecond = steps / best.Seconds()
}

// What a hog has done.
type done struct {
	sync.Mutex
	slices  time.Duration
	blocked time.Time
}

func (d *done) millis() float64 {
	d.Lock()
	defer d.Unlock()
	total := d.slices
	if !d.blocked.IsZero() {
		total += time.Since(d.blocked)
	}
	return total.Seconds() * 1e3
}

func spin(d *done, poll time.Duration) {
	for {
		for left := poll; left >= slice; left -= slice {
			work(uint64(slice.Seconds() * stepsPerSecond))
			d.Lock()
			d.slices += slice
			d.Unlock()
		}
		runtime.Gosched()
	}
}

// Blocks the thread, as std::thread::sleep does; time.Sleep would block the goroutine only.
func sleep(d *done, poll time.Duration) {
	for {
		since := time.Now()
		d.Lock()
		d.blocked = since
		d.Unlock()
		length := syscall.NsecToTimespec(poll.Nanoseconds())
		for syscall.Nanosleep(&length, &length) == syscall.EINTR {
			// The scheduler's signals interrupt it; the rest is in length.
		}
		d.Lock()
		d.blocked = time.Time{}
		d.slices += time.Since(since)
		d.Unlock()
		runtime.Gosched()
	}
}

func echo(connection *net.TCPConn) {
	defer connection.Close()
	connection.SetNoDelay(true)
	buffer := make([]byte, 1024)
	for {
		count, err := connection.Read(buffer)
		if err != nil || count == 0 {
			return
		}
		if _, err := connection.Write(buffer[:count]); err != nil {
			return
		}
	}
}

func serve(listener *net.TCPListener) {
	for {
		connection, err := listener.AcceptTCP()
		if err != nil {
			return
		}
		go echo(connection)
	}
}

// The log of the tick: each entry ends one sleep and begins the next.
type ticks struct {
	sync.Mutex
	stamps []time.Time
}

func (t *ticks) note() {
	t.Lock()
	t.stamps = append(t.stamps, time.Now())
	t.Unlock()
}

func (t *ticks) last() time.Time {
	t.Lock()
	defer t.Unlock()
	return t.stamps[len(t.stamps)-1]
}

func main() {
	runtime.GOMAXPROCS(2)
	number := func(at int) int {
		value, err := strconv.Atoi(os.Args[at])
		if err != nil {
			panic(err)
		}
		return value
	}
	millis := func(at int) time.Duration { return time.Duration(number(at)) * time.Millisecond }
	count, habit := number(1), os.Args[2]
	poll, alone, settle, window, patience := millis(3), millis(4), millis(5), millis(6), millis(7)
	calibrate()

	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		panic(err)
	}
	go serve(listener)
	fmt.Println("listening", listener.Addr())
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		panic(err)
	}

	log := &ticks{}
	log.note()
	go func() {
		for {
			time.Sleep(tickSleep)
			log.note()
		}
	}()
	time.Sleep(alone)

	hogsAt := time.Now()
	hogs := make([]*done, count)
	for index := range hogs {
		hogs[index] = &done{}
		if habit == "spin" {
			go spin(hogs[index], poll)
		} else {
			go sleep(hogs[index], poll)
		}
	}
	total := func() (time.Time, float64) {
		sum := 0.0
		for _, hog := range hogs {
			sum += hog.millis()
		}
		return time.Now(), sum
	}
	time.Sleep(settle)
	start, before := total()
	time.Sleep(window)
	end, after := total()
	for log.last().Before(end) && time.Since(log.last()) < tickSleep+patience {
		time.Sleep(time.Millisecond)
	}

	log.Lock()
	fmt.Printf("done %.3f %.3f %.3f %.3f", micros(hogsAt), micros(start), micros(end), (after-before)/end.Sub(start).Seconds())
	for index, stamp := range log.stamps {
		if !stamp.Before(end) {
			break
		}
		to := math.Inf(1)
		if index+1 < len(log.stamps) {
			to = micros(log.stamps[index+1])
		}
		fmt.Printf(" %.3f %.3f", micros(stamp), to)
	}
	fmt.Println()
	// The client may still wait for an echo; the other end decides when this process ends.
	bufio.NewReader(os.Stdin).ReadString('\n')
}
