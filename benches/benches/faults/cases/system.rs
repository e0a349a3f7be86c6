//! What the system refuses, takes away or does to the process.

use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use runtime_benches::process::cpu_time;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Case, alive, case, message_of, start};
use crate::peer::{Peer, Settings};
use crate::{Seen, seen};

pub(super) fn all<P: Peer>() -> Vec<Case> {
    let mut cases = vec![
        case(
            "emfile",
            "9",
            "no descriptor is left for `accept`, in a loop that goes on after errors",
            emfile::<P>,
        ),
        case(
            "no_thread_for_the_builder",
            "10",
            "no thread can be started when the runtime is built",
            builder::<P>,
        ),
        case(
            "no_thread_for_jobs",
            "10",
            "… for blocking jobs: room for two, 100 jobs of 1 ms",
            jobs::<P>,
        ),
        case(
            "no_thread_at_all_for_jobs",
            "10",
            "… for blocking jobs: room for none",
            no_jobs::<P>,
        ),
        case(
            "stopped",
            "12",
            "the process is stopped for 1 s, one worker, while 1,000 deadlines pass, one each 0.5 ms",
            stopped::<P>,
        ),
        case(
            "far_deadlines",
            "13",
            "a sleep of `Duration::MAX`, and one of 2⁶³ ms",
            far::<P>,
        ),
        case(
            "registered_twice",
            "16",
            "a descriptor is registered twice",
            twice::<P>,
        ),
        case("regular_file", "16", "… it is a regular file", regular::<P>),
        case(
            "reused",
            "15",
            "a registered descriptor is closed and its number used and registered again; then the first registration ends (Tokio and smol ask that nobody does)",
            reused::<P>,
        ),
        case(
            "reset",
            "17",
            "a connection is reset while a task reads from it",
            reset::<P>,
        ),
    ];
    for case in &mut cases {
        if case.name.ends_with("for_jobs") {
            case.environment = LARGE_STACKS;
        }
    }
    cases
}

fn limit(resource: Resource, soft: u64) {
    let limits = getrlimit(resource);
    let limits = Rlimit {
        current: Some(soft),
        ..limits
    };
    setrlimit(resource, limits).expect("a soft limit may be lowered");
}

fn emfile<P: Peer>() -> Seen {
    let peer = start::<P>();
    let (errors, used, recovered) = peer.block_on(async {
        let (listener, address) = P::bind().await;
        // So that what is opened with the first use is open.
        let first = TcpStream::connect(address).expect("it listens");
        drop(P::accept(&listener).await.expect("descriptors are left"));
        drop(first);
        let client = rustix::net::socket(
            rustix::net::AddressFamily::INET,
            rustix::net::SocketType::STREAM,
            None,
        )
        .expect("descriptors are left");
        limit(Resource::Nofile, 128);
        let mut files = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            files.push(file);
        }
        rustix::net::connect(&client, &address).expect("it listens");
        let errors = Arc::new(Mutex::new(0_u64));
        let count = errors.clone();
        let (tell, told) = mpsc::channel();
        let before = cpu_time();
        let server = P::spawn(async move {
            loop {
                match P::accept(&listener).await {
                    Ok(stream) => {
                        let _ = tell.send(());
                        drop(stream);
                    }
                    Err(_) => *count.lock().expect("nobody panics") += 1,
                }
            }
        });
        P::sleep(Duration::from_millis(1_000)).await;
        let used = cpu_time() - before;
        let errors = *errors.lock().expect("nobody panics");
        drop(files);
        P::sleep(Duration::from_millis(100)).await;
        P::detach(server);
        (errors, used, told.try_recv().is_ok())
    });
    let text = format!(
        "{errors} errors and {} ms of CPU in 1 s; then it {}",
        used.as_millis(),
        if recovered {
            "recovers"
        } else {
            "does not recover"
        }
    );
    let spins = errors > 10_000;
    seen(if spins { "spins" } else { "survived" }, text)
}

/// A stack that is large beside what else there is.
const STACK: usize = 512 << 20;
/// The same for threads that do not say how large theirs is.
const LARGE_STACKS: &[(&str, &str)] = &[("RUST_MIN_STACK", "536870912")];

/// Leaves room for so many such stacks.
fn leave_room_for(stacks: u64) {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let kibibytes: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmSize:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok())
        .expect("a process has a size");
    limit(
        Resource::As,
        kibibytes * 1024 + stacks * STACK as u64 + STACK as u64 / 8 * 5,
    );
}

fn builder<P: Peer>() -> Seen {
    leave_room_for(1);
    let settings = Settings {
        stack: Some(STACK),
        ..Settings::default()
    };
    match message_of(|| P::start(4, settings)) {
        Ok(Ok(_)) => seen("survived", "it starts all the same"),
        Ok(Err(error)) => seen("reported", format!("\"{error}\"")),
        Err(message) => seen("panicked", format!("\"{message}\"")),
    }
}

/// Starts a runtime whose threads for jobs have large stacks: smol's have std's, which [`LARGE_STACKS`] sets.
fn with_large_stacks<P: Peer>() -> P {
    let settings = Settings {
        stack: Some(STACK),
        ..Settings::default()
    };
    let peer = P::start(1, settings).expect("there is room");
    // So that the threads that start with the first use are there.
    peer.block_on(async { P::sleep(Duration::from_millis(1)).await });
    peer
}

fn jobs<P: Peer>() -> Seen {
    let peer = with_large_stacks::<P>();
    leave_room_for(2);
    run_jobs(&peer, 100)
}

fn no_jobs<P: Peer>() -> Seen {
    let peer = with_large_stacks::<P>();
    leave_room_for(0);
    run_jobs(&peer, 3)
}

fn run_jobs<P: Peer>(peer: &P, count: usize) -> Seen {
    let (tell, told) = mpsc::channel();
    let outcome = message_of(|| {
        peer.block_on(async {
            for _ in 0..count {
                let job = P::spawn_blocking(|| std::thread::sleep(Duration::from_millis(1)));
                let tell = tell.clone();
                P::detach(P::spawn(async move {
                    let _ = tell.send(P::join(job).await);
                }));
            }
        });
    });
    drop(tell);
    if let Err(message) = outcome {
        return seen("panicked", format!("in the one who submits: \"{message}\""));
    }
    let (mut done, mut failed) = (0, Vec::new());
    while let Ok(joined) = told.recv_timeout(Duration::from_secs(5)) {
        match joined {
            Ok(()) => done += 1,
            Err(reason) => failed.push(reason),
        }
    }
    match (done, failed.len()) {
        (done, 0) if done == count => seen("survived", "all are done"),
        (done, failures) if done + failures == count => seen(
            "reported",
            format!("{done} done, {failures} told: {}", failed[0]),
        ),
        (done, failures) => {
            let lost = count - done - failures;
            seen(
                "hung",
                format!("{done} done, {failures} told, {lost} neither after 5 s"),
            )
        }
    }
}

fn stopped<P: Peer>() -> Seen {
    const SLEEPS: usize = 1_000;
    let peer = P::start(1, Settings::default()).expect("it starts");
    let order = Arc::new(Mutex::new(Vec::new()));
    let inside = order.clone();
    let process = std::process::id();
    peer.block_on(async move {
        P::detach(P::spawn(async move {
            for number in 0..SLEEPS {
                let order = inside.clone();
                let number = number * 7 % SLEEPS;
                let length =
                    Duration::from_millis(300) + Duration::from_micros(number as u64 * 500);
                P::detach(P::spawn(async move {
                    P::sleep(length).await;
                    order.lock().expect("nobody panics").push(number);
                }));
            }
        }));
        P::sleep(Duration::from_millis(100)).await;
    });
    let script = format!("kill -STOP {process}; sleep 1; kill -CONT {process}");
    let mut stopper = Command::new("sh")
        .args(["-c", &script])
        .spawn()
        .expect("a shell");
    let _ = stopper.wait();
    std::thread::sleep(Duration::from_millis(500));
    let order = order.lock().expect("nobody panics");
    let backwards = order.windows(2).filter(|pair| pair[0] > pair[1]).count();
    let text = format!(
        "{} of {SLEEPS} fire, {}",
        order.len(),
        match backwards {
            0 => "in order".to_owned(),
            many => format!("{many} of them before an earlier one"),
        }
    );
    seen(
        if order.len() == SLEEPS {
            "survived"
        } else {
            "starved"
        },
        text,
    )
}

fn far<P: Peer>() -> Seen {
    let peer = start::<P>();
    let ended = peer.block_on(async {
        let mut ended = Vec::new();
        for length in [Duration::MAX, Duration::from_millis(1 << 63)] {
            let task = P::spawn(async move { P::sleep(length).await });
            P::sleep(Duration::from_millis(50)).await;
            if P::is_finished(&task) {
                ended.push(P::join(task).await);
            } else {
                P::detach(task);
            }
        }
        ended
    });
    match &ended[..] {
        [] => alive(&peer, "they wait"),
        [Ok(()), ..] => seen("wrong", "a sleep ends at once"),
        [Err(reason), ..] => seen("panicked", reason.clone()),
    }
}

fn twice<P: Peer>() -> Seen {
    let peer = start::<P>();
    peer.block_on(async {
        let (reads, _writes) = std::io::pipe().expect("two descriptors");
        let number = OwnedFd::from(reads).into_raw_fd();
        let first = P::register(number).expect("registers");
        let outcome = match P::register(number) {
            Ok(_) => seen("survived", "the second one is registered, too"),
            Err(error) => seen("reported", format!("`{:?}`", error.kind())),
        };
        std::mem::forget(first);
        outcome
    })
}

fn regular<P: Peer>() -> Seen {
    let peer = start::<P>();
    peer.block_on(async {
        let file = std::fs::File::open("/proc/self/exe").expect("it exists");
        match P::register(OwnedFd::from(file).into_raw_fd()) {
            Ok(_) => seen("survived", "it is registered"),
            Err(error) => seen("reported", format!("`{:?}`", error.kind())),
        }
    })
}

fn reused<P: Peer>() -> Seen {
    let peer = start::<P>();
    peer.block_on(async {
        let (reads, _old_writes) = std::io::pipe().expect("two descriptors");
        let reads = OwnedFd::from(reads);
        // Keeps the description open, so that the kernel goes on watching it.
        let _duplicate = reads.try_clone().expect("descriptors are left");
        let number = reads.into_raw_fd();
        let old = P::register(number).expect("registers");
        let (reads, writes) = std::io::pipe().expect("two descriptors");
        // Closed behind the registration's back, and its number given to another pipe.
        // SAFETY: both numbers are open and of this test.
        let moved = unsafe { libc::dup2(reads.as_fd().as_raw_fd(), number) };
        assert_eq!(moved, number);
        let new = match P::register(number) {
            Ok(new) => new,
            Err(error) => {
                std::mem::forget(old);
                return seen(
                    "reported",
                    format!("it cannot be registered again: `{:?}`", error.kind()),
                );
            }
        };
        P::deregister(old);
        let (tell, told) = mpsc::channel();
        P::detach(P::spawn(async move {
            // A fresh one may count as ready: so twice, with data in between.
            let mut byte = [0_u8];
            let outcome = P::readable(&new).await;
            let _ = rustix::io::read(&reads, &mut byte);
            let _ = tell.send(outcome.map(|()| byte[0]));
            std::mem::forget(new);
        }));
        P::sleep(Duration::from_millis(100)).await;
        rustix::io::write(&writes, b"x").expect("room");
        match told.recv_timeout(Duration::from_secs(3)) {
            Ok(Ok(_)) => seen("survived", "the second owner is woken"),
            Ok(Err(error)) => seen("reported", error.to_string()),
            Err(_) => seen(
                "hung",
                "the second owner is never woken: its registration was taken away",
            ),
        }
    })
}

fn reset<P: Peer>() -> Seen {
    let peer = start::<P>();
    let (tell, told) = mpsc::channel();
    peer.block_on(async {
        let (listener, address) = P::bind().await;
        let client = TcpStream::connect(address).expect("it listens");
        let mut server = P::accept(&listener).await.expect("descriptors are left");
        P::detach(P::spawn(async move {
            let _ = tell.send(P::read(&mut server, &mut [0; 64]).await);
        }));
        P::sleep(Duration::from_millis(50)).await;
        rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO)).expect("TCP has it");
        drop(client);
    });
    let start = Instant::now();
    match told.recv_timeout(Duration::from_secs(3)) {
        Ok(Ok(length)) => seen("survived", format!("{length} bytes are read")),
        Ok(Err(error)) => seen("reported", format!("`{:?}`", error.kind())),
        Err(_) => seen("hung", format!("not woken in {:?}", start.elapsed())),
    }
}
