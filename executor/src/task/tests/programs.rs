//! Random programs for the model.

use std::time::{SystemTime, UNIX_EPOCH};

use super::*;

/// How many random programs are run.
const PROGRAMS: usize = if cfg!(miri) { 20 } else { 20_000 };

/// Prints the seed if the test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {}: run again with TASK_SEED={0}", self.0);
        }
    }
}

fn random_programs(seed: u64) {
    let _seed = Seed(seed);
    let mut random = Random::new(seed);
    for _ in 0..PROGRAMS {
        let length = random.next() % 100;
        let program: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        model::run(&program);
    }
}

#[test]
fn tasks_agree_with_their_records() {
    if let Ok(seed) = std::env::var("TASK_SEED") {
        return random_programs(seed.parse().expect("a number"));
    }
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    random_programs(1);
    random_programs(fresh.as_nanos() as u64);
}
