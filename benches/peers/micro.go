// The questions of benches/src/questions/ that goroutines have an equivalent of, for benches/src/go.rs.
//
// "micro QUESTION full" answers one question on two threads (GOMAXPROCS) and prints its figures on one line, in the order and the
// units of the table; "micro QUESTION smoke" only tries it. The sizes are those of the Rust workloads, which say what is asked; each
// is run once as warm-up. "micro list" prints the names. "micro serve BUFFER" is an echo server that reads so many bytes at once: it
// prints "listening ADDRESS" and ends with its standard input.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	yields    = 200
	inOnePoll = 100
	never     = 10 * time.Second
	steps     = 100_000
)

var isSmoke bool

// What the echo server reads at most at once.
var bufferSize = 1024

func pick(full, smoke int) int {
	if isSmoke {
		return smoke
	}
	return full
}

func check(holds bool) {
	if !holds {
		panic("the result is wrong")
	}
}

func quantile(values []float64, rank float64) float64 {
	sort.Float64s(values)
	return values[int(float64(len(values)-1)*rank+0.5)]
}

func median(values []float64) float64 {
	sort.Float64s(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

// The median time of an operation in nanoseconds.
func perOperation(times, operations int, workload func() time.Duration) []float64 {
	workload()
	values := make([]float64, pick(times, 1))
	for at := range values {
		values[at] = float64(workload().Nanoseconds()) / float64(operations)
	}
	return []float64{median(values)}
}

// ---- spawn

func spawnAndJoin(tasks int) func() time.Duration {
	return func() time.Duration {
		start := time.Now()
		outputs := make([]int, tasks)
		var all sync.WaitGroup
		all.Add(tasks)
		for index := 0; index < tasks; index++ {
			index := index
			go func() {
				outputs[index] = index
				all.Done()
			}()
		}
		all.Wait()
		for index, output := range outputs {
			check(index == output)
		}
		return time.Since(start)
	}
}

func link(left int, end chan struct{}) {
	go func() {
		if left == 0 {
			end <- struct{}{}
		} else {
			link(left-1, end)
		}
	}()
}

func chain(tasks int) time.Duration {
	start := time.Now()
	end := make(chan struct{}, 1)
	link(tasks, end)
	<-end
	return time.Since(start)
}

func fork(leaves int) int {
	if leaves == 1 {
		return 1
	}
	half := make(chan int, 1)
	go func() { half <- fork(leaves / 2) }()
	rest := fork(leaves - leaves/2)
	return rest + <-half
}

func tree(leaves int) func() time.Duration {
	return func() time.Duration {
		start := time.Now()
		check(fork(leaves) == leaves)
		return time.Since(start)
	}
}

// ---- wake

func pingPairs(pairs int) time.Duration {
	start := time.Now()
	outputs := make([]chan int, pairs)
	for index := range outputs {
		index, output := index, make(chan int, 1)
		outputs[index] = output
		go func() {
			ping, pong := make(chan int, 1), make(chan int, 1)
			go func() { pong <- <-ping }()
			ping <- index
			output <- <-pong
		}()
	}
	for index, output := range outputs {
		check(<-output == index)
	}
	return time.Since(start)
}

func roundTrips(trips int) time.Duration {
	ping, pong, ended := make(chan int, 1), make(chan int, 1), make(chan struct{})
	go func() {
		for value := range ping {
			pong <- value
		}
		close(ended)
	}()
	start := time.Now()
	for value := 0; value < trips; value++ {
		ping <- value
		check(<-pong == value)
	}
	took := time.Since(start)
	close(ping)
	<-ended
	return took
}

func ping100Pairs(trips int) time.Duration {
	start := time.Now()
	inParallel(100, func() { roundTrips(trips) })
	return time.Since(start)
}

func inParallel(tasks int, task func()) {
	var all sync.WaitGroup
	all.Add(tasks)
	for index := 0; index < tasks; index++ {
		go func() {
			task()
			all.Done()
		}()
	}
	all.Wait()
}

func yieldStorm(tasks int) time.Duration {
	start := time.Now()
	inParallel(tasks, func() {
		for count := 0; count < yields; count++ {
			runtime.Gosched()
		}
	})
	return time.Since(start)
}

// The waker is a goroutine bound to a thread of its own, the nearest to a thread outside.
func remoteWake(tasks int) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	wakers := make([]chan struct{}, tasks)
	var waiting sync.WaitGroup
	waiting.Add(tasks)
	left := int64(tasks)
	ended := make(chan struct{})
	for index := range wakers {
		wake := make(chan struct{}, 1)
		wakers[index] = wake
		go func() {
			waiting.Done()
			<-wake
			if atomic.AddInt64(&left, -1) == 0 {
				close(ended)
			}
		}()
	}
	waiting.Wait()
	start := time.Now()
	for _, wake := range wakers {
		wake <- struct{}{}
	}
	<-ended
	return time.Since(start)
}

// ---- timers

func dropped(tasks, sleeps int) time.Duration {
	start := time.Now()
	inParallel(tasks, func() {
		for count := 0; count < sleeps/inOnePoll; count++ {
			for count := 0; count < inOnePoll; count++ {
				check(time.NewTimer(never).Stop())
			}
			runtime.Gosched()
		}
	})
	return time.Since(start)
}

func pending(tasks, timeouts int) time.Duration {
	start := time.Now()
	inParallel(tasks, func() {
		for count := 0; count < timeouts; count++ {
			timer := time.NewTimer(never)
			runtime.Gosched()
			check(timer.Stop())
		}
	})
	return time.Since(start)
}

func churn(workload func(tasks, sleeps int) time.Duration) []float64 {
	sleeps := pick(100_000, 100)
	workload(2, sleeps)
	var one, two []float64
	for count := 0; count < pick(7, 1); count++ {
		one = append(one, float64(workload(1, sleeps).Nanoseconds())/float64(sleeps))
		two = append(two, float64(workload(2, sleeps).Nanoseconds())/float64(sleeps))
	}
	return []float64{median(one), median(two), median(two) / median(one)}
}

func lateness(duration time.Duration) float64 {
	start := time.Now()
	time.Sleep(duration)
	return float64((time.Since(start) - duration).Nanoseconds()) / 1e3
}

func late(all []float64) []float64 {
	early := 0
	for _, late := range all {
		if late < 0 {
			early++
		}
	}
	return []float64{median(all), quantile(all, 0.99), float64(early)}
}

func mass(tasks int) []float64 {
	before := cpuTime()
	all := make([]float64, tasks)
	var ended sync.WaitGroup
	ended.Add(tasks)
	seed := uint64(0x9E37_79B9_7F4A_7C15)
	for index := range all {
		seed = seed*0x5851_F42D_4C95_7F2D + 1
		index, duration := index, time.Duration(100_000_000+(seed>>20)%1_000_000_000)
		go func() {
			all[index] = lateness(duration)
			ended.Done()
		}()
	}
	ended.Wait()
	return append([]float64{(cpuTime() - before).Seconds() * 1e3}, late(all)...)
}

func overshoot(duration time.Duration, times int) []float64 {
	all := make([]float64, pick(times, 3))
	for index := range all {
		all[index] = lateness(duration)
	}
	return late(all)
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// ---- memory

func resident() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	for _, line := range strings.Split(string(status), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
			kibibytes, err := strconv.Atoi(fields[1])
			if err != nil {
				panic(err)
			}
			return float64(kibibytes) * 1024
		}
	}
	panic("the kernel says how much is resident")
}

func grow(tasks int, wait func(index int)) []float64 {
	before := resident()
	var begun sync.WaitGroup
	begun.Add(tasks)
	for index := 0; index < tasks; index++ {
		index := index
		go func() {
			begun.Done()
			wait(index)
		}()
	}
	begun.Wait()
	// The last of them still has to reach what it waits for.
	time.Sleep(20 * time.Millisecond)
	return []float64{(resident() - before) / float64(tasks)}
}

// ---- CPU work

var (
	stepsPerSecond float64
	// Keeps the compiler from leaving out the work; nobody reads it.
	sink uint64
)

func work(count uint64) {
	value := uint64(1)
	for step := uint64(0); step < count; step++ {
		value = value*0x5851_F42D_4C95_7F2D + step
	}
	atomic.StoreUint64(&sink, value)
}

func compute(duration time.Duration) {
	work(uint64(duration.Seconds() * stepsPerSecond))
}

// The speed of an undisturbed core: the best of many runs.
func calibrate() {
	best := time.Hour
	for run := 0; run < 50; run++ {
		start := time.Now()
		work(steps)
		if took := time.Since(start); took < best {
			best = took
		}
	}
	stepsPerSecond = steps / best.Seconds()
}

func chunks(count int, length time.Duration) time.Duration {
	start := time.Now()
	inParallel(count, func() { compute(length) })
	return time.Since(start)
}

func speedUp() []float64 {
	calibrate()
	var speedUps []float64
	for count := 0; count < pick(9, 1); count++ {
		runtime.GOMAXPROCS(1)
		alone := chunks(pick(2000, 20), 10*time.Microsecond)
		runtime.GOMAXPROCS(2)
		both := chunks(pick(2000, 20), 10*time.Microsecond)
		speedUps = append(speedUps, alone.Seconds()/both.Seconds())
	}
	return []float64{median(speedUps)}
}

func imbalance() []float64 {
	const chunk = 20 * time.Microsecond
	calibrate()
	count := pick(10_000, 20)
	halfAlone := func() time.Duration {
		start := time.Now()
		for at := 0; at < count/2; at++ {
			compute(chunk)
		}
		return time.Since(start)
	}
	var over []float64
	for times := 0; times < pick(5, 1); times++ {
		before := halfAlone()
		wall := chunks(count, chunk)
		alone := before + halfAlone()
		over = append(over, wall.Seconds()/(alone.Seconds()/2))
	}
	return []float64{median(over)}
}

func startLatency() []float64 {
	calibrate()
	var latencies []float64
	for count := 0; count < pick(300, 5); count++ {
		started := make(chan time.Duration, 1)
		spawned := time.Now()
		go func() { started <- time.Since(spawned) }()
		compute(time.Millisecond)
		latencies = append(latencies, float64((<-started).Nanoseconds())/1e3)
		time.Sleep(500 * time.Microsecond)
	}
	return []float64{median(latencies)}
}

// ---- tcp

func listen() *net.TCPListener {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			connection, err := listener.AcceptTCP()
			if err != nil {
				return
			}
			go echo(connection)
		}
	}()
	return listener
}

func echo(connection *net.TCPConn) {
	defer connection.Close()
	connection.SetNoDelay(true)
	buffer := make([]byte, bufferSize)
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

func tcpPingPong() []float64 {
	connection, err := net.Dial("tcp4", listen().Addr().String())
	if err != nil {
		panic(err)
	}
	trips := pick(10_000, 20)
	var times []float64
	message, buffer := make([]byte, 64), make([]byte, 1024)
	for trip := 0; trip < trips+trips/10; trip++ {
		start := time.Now()
		if _, err := connection.Write(message); err != nil {
			panic(err)
		}
		if count, err := io.ReadAtLeast(connection, buffer, len(message)); err != nil || count != len(message) {
			panic(err)
		}
		if trip >= trips/10 {
			times = append(times, float64(time.Since(start).Nanoseconds())/1e3)
		}
	}
	return []float64{median(times)}
}

// ---- the questions

func tasks(full int) int { return pick(full, full/100) }

var questions = map[string]func() []float64{
	"spawn_inside": func() []float64 {
		return perOperation(21, tasks(10_000), spawnAndJoin(tasks(10_000)))
	},
	"spawn_inside_100k": func() []float64 {
		return perOperation(5, tasks(100_000), spawnAndJoin(tasks(100_000)))
	},
	"spawn_chain": func() []float64 {
		return perOperation(301, tasks(1000), func() time.Duration { return chain(tasks(1000)) })
	},
	"fork_join_tree": func() []float64 {
		return perOperation(21, tasks(10_000), tree(tasks(10_000)))
	},
	"fork_join_tree_100k": func() []float64 {
		return perOperation(5, tasks(100_000), tree(tasks(100_000)))
	},
	"ping_pairs": func() []float64 {
		return perOperation(51, tasks(1000), func() time.Duration { return pingPairs(tasks(1000)) })
	},
	"ping_pair": func() []float64 {
		return perOperation(21, tasks(2000), func() time.Duration { return roundTrips(tasks(2000)) })
	},
	"ping_100_pairs": func() []float64 {
		trips := pick(100, 2)
		return perOperation(21, 100*trips, func() time.Duration { return ping100Pairs(trips) })
	},
	"yield_storm": func() []float64 {
		return perOperation(11, tasks(1000)*yields, func() time.Duration { return yieldStorm(tasks(1000)) })
	},
	"remote_wake": func() []float64 {
		return perOperation(11, tasks(10_000), func() time.Duration { return remoteWake(tasks(10_000)) })
	},
	"timer_dropped": func() []float64 { return churn(dropped) },
	"timer_pending": func() []float64 { return churn(pending) },
	"timer_mass":    func() []float64 { return mass(tasks(100_000)) },
	"sleep_250us":   func() []float64 { return overshoot(250*time.Microsecond, 500) },
	"sleep_1ms":     func() []float64 { return overshoot(time.Millisecond, 200) },
	"sleep_5ms":     func() []float64 { return overshoot(5*time.Millisecond, 60) },
	"memory_pending": func() []float64 {
		wakers := make([]chan struct{}, tasks(100_000))
		for index := range wakers {
			wakers[index] = make(chan struct{})
		}
		return grow(len(wakers), func(index int) { <-wakers[index] })
	},
	"memory_sleeping": func() []float64 {
		return grow(tasks(100_000), func(int) { time.Sleep(time.Hour) })
	},
	"fork_join_speed_up": speedUp,
	"imbalance":          imbalance,
	"start_latency":      startLatency,
	"tcp_ping_pong":      tcpPingPong,
}

func main() {
	runtime.GOMAXPROCS(2)
	switch os.Args[1] {
	case "list":
		for name := range questions {
			fmt.Println(name)
		}
	case "serve":
		bufferSize, _ = strconv.Atoi(os.Args[2])
		fmt.Println("listening", listen().Addr())
		bufio.NewReader(os.Stdin).ReadString('\n')
	default:
		isSmoke = os.Args[2] == "smoke"
		values := questions[os.Args[1]]()
		fmt.Println(strings.Trim(fmt.Sprint(values), "[]"))
	}
}
