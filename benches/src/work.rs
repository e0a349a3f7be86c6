//! CPU work of a known length.
//!
//! A loop that watches the clock ends in time even if the thread is preempted half of it, which
//! would let one core pass for two. So the work is arithmetic, and its speed is measured once.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Steps of one calibration run: about 100 µs.
const STEPS: u64 = 100_000;

/// Computes for about `duration` of CPU time.
pub fn compute(duration: Duration) {
    steps((duration.as_secs_f64() * steps_per_second()) as u64);
}

/// Measures the speed now instead of within the first measurement.
pub fn calibrate() {
    steps_per_second();
}

/// The speed of an undisturbed core: the best of many runs, measured once per process.
fn steps_per_second() -> f64 {
    static SPEED: OnceLock<f64> = OnceLock::new();
    *SPEED.get_or_init(|| {
        let best = (0..50)
            .map(|_| {
                let start = Instant::now();
                steps(STEPS);
                start.elapsed()
            })
            .min()
            .expect("there are 50 runs");
        STEPS as f64 / best.as_secs_f64()
    })
}

/// A chain of multiplications that no compiler can shorten.
fn steps(count: u64) {
    let mut value = 1_u64;
    for step in 0..count {
        value = black_box(value.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(step));
    }
    black_box(value);
}
