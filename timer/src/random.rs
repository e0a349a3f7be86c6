//! Random programs for the models, for tests.

use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64 (Steele, Lea and Flood, 2014): enough for test inputs.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Prints the seed if the test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {}: run again with TIMER_SEED={0}", self.0);
        }
    }
}

/// How many random programs are run from each seed, short and long ones.
const PROGRAMS: u64 = if cfg!(miri) { 5 } else { 1_000 };

/// Runs random programs: always the same ones, and others each time.
pub(crate) fn run_programs(run: fn(&[u8])) {
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seeds = match std::env::var("TIMER_SEED") {
        Ok(seed) => vec![seed.parse().expect("a number")],
        Err(_) => vec![0, fresh.as_nanos() as u64],
    };
    for seed in seeds {
        let _seed = Seed(seed);
        let mut random = Random(seed);
        for round in 0..PROGRAMS {
            let is_long = round % 250 == 1;
            let length = if is_long { 5_000 } else { random.below(200) };
            let program: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
            run(&program);
        }
    }
}
