//! Random programs for the model.

use std::time::{SystemTime, UNIX_EPOCH};

use super::model;

/// SplitMix64 (Steele, Lea and Flood, 2014): enough for test inputs.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Prints the seed if the test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {}: run again with REACTOR_SEED={0}", self.0);
        }
    }
}

/// How many random programs are run, short and long ones.
const PROGRAMS: u64 = 5_000;

fn random_programs(seed: u64) {
    let _seed = Seed(seed);
    let mut random = Random(seed);
    for round in 0..PROGRAMS {
        // One in 250 goes on for long.
        let length = if round.is_multiple_of(250) {
            5_000
        } else {
            random.next() % 200
        };
        let program: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        model::run(&program);
    }
}

#[test]
fn registrations_agree_with_their_records() {
    if let Ok(seed) = std::env::var("REACTOR_SEED") {
        return random_programs(seed.parse().expect("a number"));
    }
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    random_programs(0);
    random_programs(fresh.as_nanos() as u64);
}
