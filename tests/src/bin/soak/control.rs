//! The control: plain threads of std that do what is measured of the runtime, at the same time on the same machine.
//!
//! One sleeps for a millisecond, as the reference timer does; two exchange a few bytes over TCP, as the echo connections do. When the
//! machine has other work, both become slower as the runtime does, so that the quotient shows the runtime alone.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use runtime_tests::Flag;

use crate::latency::Latency;

/// Between two measurements: 200 a second are enough for a 99th percentile in windows of a second, and cost about 1 % of a core.
pub const PAUSE: Duration = Duration::from_millis(4);

/// What the timers measure.
pub const SLEEP: Duration = Duration::from_millis(1);

/// The threads, and what they measure.
pub struct Control {
    /// How long an exchange over TCP takes.
    pub echo: Arc<Latency>,
    /// How late a sleep ends.
    pub timer: Arc<Latency>,
    /// Says that it is over.
    stop: Flag,
    /// The threads.
    threads: Vec<JoinHandle<()>>,
}

impl Control {
    /// Starts the threads.
    pub fn start() -> std::io::Result<Control> {
        let mut control = Control {
            echo: Arc::new(Latency::new()),
            timer: Arc::new(Latency::new()),
            stop: Flag::new(),
            threads: Vec::new(),
        };
        let (stop, timer) = (control.stop.clone(), control.timer.clone());
        control.threads.push(thread::spawn(move || {
            while !stop.is_set() {
                let start = Instant::now();
                thread::sleep(SLEEP);
                timer.record(start.elapsed().saturating_sub(SLEEP));
                thread::sleep(PAUSE);
            }
        }));
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut client = TcpStream::connect(listener.local_addr()?)?;
        let (mut server, _) = listener.accept()?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        control.threads.push(thread::spawn(move || {
            let mut bytes = [0; 64];
            while server.read_exact(&mut bytes).is_ok() {
                server.write_all(&bytes).expect("the client reads");
            }
        }));
        let (stop, echo) = (control.stop.clone(), control.echo.clone());
        control.threads.push(thread::spawn(move || {
            let mut bytes = [7; 64];
            while !stop.is_set() {
                let start = Instant::now();
                client.write_all(&bytes).expect("the server reads");
                client.read_exact(&mut bytes).expect("the server answers");
                echo.record(start.elapsed());
                thread::sleep(PAUSE);
            }
        }));
        Ok(control)
    }

    /// Ends the threads.
    pub fn stop(self) {
        self.stop.set();
        for thread in self.threads {
            thread.join().expect("the control does not panic");
        }
    }
}
