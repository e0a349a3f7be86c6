//! What all kinds of work share: the books, the pace, the end, and signs of life.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use runtime::task::JoinSet;
use runtime::time::sleep;
use runtime_tests::Flag;

use crate::latency::Latency;
use crate::ledger::Books;
use crate::plant::Plant;

/// Where the work is done.
pub struct Site {
    /// The books.
    pub books: Books,
    /// Says that no further work is to be begun.
    pub stop: Flag,
    /// How long an exchange over TCP took.
    pub echo: Latency,
    /// How late the reference timer ended.
    pub timer: Latency,
    /// How long the longest timers are.
    pub longest: Duration,
    /// How many times the usual rates.
    load: f64,
    /// From which all random numbers come.
    seed: AtomicU64,
    /// The signs of life, one a loop of work.
    beats: Mutex<Vec<Arc<Beat>>>,
    /// The fault that is planted.
    pub plant: Option<Plant>,
}

impl Site {
    /// Makes one.
    pub fn new(load: f64, seed: u64, longest: Duration, plant: Option<Plant>) -> Arc<Site> {
        Arc::new(Site {
            books: Books::default(),
            stop: Flag::new(),
            echo: Latency::new(),
            timer: Latency::new(),
            longest,
            load,
            seed: AtomicU64::new(seed),
            beats: Mutex::default(),
            plant,
        })
    }

    /// Makes the pace of a loop which does something `rate` times a second.
    pub fn pace(&self, name: &'static str, rate: f64) -> Pace {
        let beat = Arc::new(Beat {
            name,
            count: AtomicU64::new(0),
            ended: Flag::new(),
        });
        self.beats().push(beat.clone());
        Pace {
            period: Duration::from_secs_f64(1.0 / (rate * self.load)),
            random: self.random(),
            stop: self.stop.clone(),
            beat,
        }
    }

    /// Makes random numbers that differ from all others.
    pub fn random(&self) -> Random {
        Random::new(self.seed.fetch_add(1, Relaxed))
    }

    /// Returns the signs of life.
    pub fn beats(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Beat>>> {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Spawns a loop, which does a piece of work at each beat of its pace.
    pub fn every<F, W>(
        self: &Arc<Self>,
        loops: &mut JoinSet<()>,
        name: &'static str,
        rate: f64,
        mut work: W,
    ) where
        F: Future<Output = ()> + Send + 'static,
        W: FnMut(Random) -> F + Send + 'static,
    {
        let mut pace = self.pace(name, rate);
        loops
            .build_task()
            .name(name)
            .spawn(async move {
                while pace.next().await {
                    work(pace.random.fork()).await;
                }
            })
            .expect("the runtime is there");
    }
}

/// The sign of life of a loop.
#[derive(Debug)]
pub struct Beat {
    /// What it does.
    pub name: &'static str,
    /// How often it has begun anew.
    pub count: AtomicU64,
    /// Whether it has ended.
    pub ended: Flag,
}

/// How often a loop does its work.
#[derive(Debug)]
pub struct Pace {
    /// The mean time between two times.
    period: Duration,
    /// How long exactly is random, so that nothing goes in step.
    pub random: Random,
    /// Says that it is over.
    stop: Flag,
    /// The sign of life.
    beat: Arc<Beat>,
}

impl Pace {
    /// Waits until it is time for the next; `false` if there is none.
    pub async fn next(&mut self) -> bool {
        if let Some(pause) = self.pause() {
            sleep(pause).await;
        }
        !self.stop.is_set()
    }

    /// As [`next`](Pace::next), for a thread.
    pub fn next_blocking(&mut self) -> bool {
        if let Some(pause) = self.pause() {
            std::thread::sleep(pause);
        }
        !self.stop.is_set()
    }

    fn pause(&mut self) -> Option<Duration> {
        self.beat()
            .then(|| self.period.mul_f64(0.5 + self.random.unit()))
    }

    /// Gives a sign of life and returns whether there is a next time.
    pub fn beat(&self) -> bool {
        self.beat.count.fetch_add(1, Relaxed);
        !self.stop.is_set()
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.beat.ended.set();
    }
}

/// Random numbers: SplitMix64, by Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Begins at a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Returns the next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `bound`, which is small beside 2⁶⁴.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Returns a number from 0 to 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns up to so many microseconds.
    pub fn micros(&mut self, most: u64) -> Duration {
        Duration::from_micros(self.below(most + 1))
    }

    /// Makes others.
    pub fn fork(&mut self) -> Random {
        Random(self.next())
    }
}
