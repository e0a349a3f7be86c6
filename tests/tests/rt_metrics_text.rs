//! Metrics as they are handed out: a copy, a table for people, and text for Prometheus, which is read here by a parser
//! of its own and compared with `docs/metrics.md`. And whatever happens meanwhile, no count goes backwards.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use runtime::metrics::RuntimeMetrics;
use runtime::net::{TcpListener, TcpStream};
use runtime::runtime::Builder;
use runtime::task::{spawn_blocking, yield_now};
use runtime::time::{sleep, timeout};
use runtime::{Handle, spawn};
use runtime_tests::{LIMIT, Watchdog, multi_thread, on_each, on_multi_thread};

/// The metrics of the runtime that the caller is in.
fn now() -> RuntimeMetrics {
    Handle::current().metrics()
}

/// Everything that happens in a runtime, some rounds of it.
async fn work(rounds: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for round in 0..rounds {
        let task = spawn(async move {
            yield_now().await;
            sleep(Duration::from_micros(100)).await;
            assert!(!round.is_multiple_of(50), "on purpose");
        });
        let client = TcpStream::connect(address).await.unwrap();
        let _ = listener.accept().await.unwrap();
        drop(client);
        spawn_blocking(|| ()).await.unwrap();
        let never = spawn(pending::<()>());
        let _ = timeout(Duration::from_secs(60), task).await.unwrap();
        never.abort();
    }
}

#[test]
fn no_count_goes_backwards() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    let workers: Vec<_> = (0..3).map(|_| runtime.spawn(work(100))).collect();
    let mut before = BTreeMap::new();
    while !workers.iter().all(|worker| worker.is_finished()) {
        let metrics = runtime.metrics();
        let tasks = metrics.tasks();
        assert_eq!(tasks.spawned() - tasks.finished(), tasks.live() as u64);
        let timers = metrics.timers();
        let accounted = timers.fired() + timers.cancelled() + timers.pending() as u64;
        assert_eq!(timers.registered(), accounted);
        let families = parse(&metrics.prometheus().to_string());
        let present: BTreeMap<_, _> = families
            .iter()
            .filter(|family| family.kind != "gauge")
            .flat_map(|family| {
                family
                    .samples
                    .iter()
                    .map(|sample| (sample.series(), sample.value))
            })
            .collect();
        for (series, value) in &before {
            let present = present.get(series).copied();
            assert!(
                present >= Some(*value),
                "{series}: {present:?} after {value}"
            );
        }
        before = present;
    }
    for worker in workers {
        runtime.block_on(worker).unwrap();
    }
}

#[test]
fn a_copy_does_not_change() {
    on_each(|| async {
        let copy = now();
        let (text, same) = (copy.to_string(), copy.clone());
        for _ in 0..10 {
            spawn(async { yield_now().await }).await.unwrap();
        }
        assert_eq!(copy.to_string(), text);
        assert_eq!(same.to_string(), text);
        assert_eq!(now().tasks().spawned(), copy.tasks().spawned() + 10);
    });
}

#[test]
fn a_person_can_read_it() {
    let text = on_multi_thread(async {
        work(3).await;
        now().to_string()
    });
    let lines: Vec<_> = text.lines().collect();
    for (line, name) in lines
        .iter()
        .zip(["worker", "worker 0", "worker 1", "guest 0"])
    {
        assert!(line.starts_with(name), "{text}");
        // The rows are equally long, so that columns stand below each other.
        assert_eq!(line.chars().count(), lines[0].chars().count(), "{text}");
    }
    for begin in [
        "tasks: ",
        "polls ",
        "waits ",
        "rescue: ",
        "hog lane: ",
        "I/O: ",
        "timers: ",
        "blocking pool: ",
    ] {
        assert!(
            lines.iter().any(|line| line.starts_with(begin)),
            "{begin}: {text}"
        );
    }
    assert!(!text.ends_with('\n'));
}

// -------------------------------------------------------------------- Prometheus

/// One metric of the text with all its samples.
#[derive(Debug, Default)]
struct Family {
    /// Its name, without what histograms add.
    name: String,
    /// What the text says of it.
    help: String,
    /// counter, gauge or histogram.
    kind: String,
    /// Its lines.
    samples: Vec<Sample>,
}

/// One line with a value.
#[derive(Debug)]
struct Sample {
    /// The name on the line.
    name: String,
    /// The labels, sorted.
    labels: BTreeMap<String, String>,
    /// The value.
    value: f64,
}

impl Sample {
    /// What tells it from all others.
    fn series(&self) -> String {
        format!("{}{:?}", self.name, self.labels)
    }
}

/// Reads the exposition format 0.0.4, and panics at whatever a strict reader of it refuses.
///
/// Written from the format's description, not from what prints it: HELP and TYPE once a family and before its samples,
/// the samples of a family in one group, names and labels of the right characters, escapes in label values and in help,
/// floats, each series once.
fn parse(text: &str) -> Vec<Family> {
    assert!(text.ends_with('\n'), "the last line has to end");
    let mut families: Vec<Family> = Vec::new();
    let mut series = BTreeSet::new();
    for line in text.lines() {
        assert_eq!(line.trim(), line, "{line:?}");
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help has a text");
            assert!(
                families.iter().all(|family| family.name != name),
                "{name} comes twice"
            );
            assert!(!help.contains('\\') && !help.is_empty());
            families.push(Family {
                name: valid_name(name),
                help: help.into(),
                ..Family::default()
            });
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type has a kind");
            let family = families.last_mut().expect("a help comes first");
            assert_eq!(family.name, name);
            assert!(
                family.kind.is_empty() && family.samples.is_empty(),
                "{line}"
            );
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            family.kind = kind.into();
        } else {
            let sample = parse_sample(line);
            let family = families.last_mut().expect("a sample belongs to a family");
            let suffixes: &[&str] = if family.kind == "histogram" {
                &["_bucket", "_sum", "_count"]
            } else {
                &[""]
            };
            let suffix = sample.name.strip_prefix(&family.name);
            assert!(
                suffix.is_some_and(|suffix| suffixes.contains(&suffix)),
                "{line} in {}",
                family.name
            );
            assert!(!family.kind.is_empty(), "{line} has no type");
            assert!(series.insert(sample.series()), "{line} comes twice");
            family.samples.push(sample);
        }
    }
    for family in &families {
        assert!(!family.samples.is_empty(), "{} has no samples", family.name);
    }
    families
}

fn valid_name(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().expect("a name is not empty");
    assert!(first.is_ascii_alphabetic() || first == '_', "{name}");
    assert!(
        chars.all(|char| char.is_ascii_alphanumeric() || char == '_'),
        "{name}"
    );
    name.into()
}

fn parse_sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).expect("a sample has a value");
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").expect("a label has a value");
            let mut value = String::new();
            let mut chars = after.char_indices();
            let end = loop {
                let (at, char) = chars.next().expect("a value ends");
                match char {
                    '"' => break at + 1,
                    '\\' => value.push(match chars.next().expect("an escape has a letter").1 {
                        'n' => '\n',
                        same @ ('\\' | '"') => same,
                        other => panic!("\\{other} is no escape"),
                    }),
                    other => value.push(other),
                }
            };
            assert!(labels.insert(valid_name(label), value).is_none(), "{line}");
            rest = &after[end..];
            match rest.strip_prefix(',') {
                Some(next) => rest = next,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').expect("labels end");
    }
    let value = rest.strip_prefix(' ').expect("a blank before the value");
    let value = match value {
        "+Inf" => f64::INFINITY,
        number => number.parse().expect("a value is a number"),
    };
    Sample {
        name: valid_name(name),
        labels,
        value,
    }
}

/// The text of a runtime in which something of everything has happened.
fn sample_text() -> String {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .on_slow_poll(|_| ())
        .enable_all()
        .build()
        .expect("a runtime can be built");
    runtime.block_on(work(60));
    let (release, released) = mpsc::channel::<()>();
    drop(runtime.spawn(async move {
        let _ = released.recv();
    }));
    // The watchdog sees to it that this ends.
    while runtime.metrics().rescue().slow_polls() == 0 {
        thread::yield_now();
    }
    drop(release);
    runtime.metrics().prometheus().to_string()
}

#[test]
fn the_text_for_prometheus_is_as_it_should_be() {
    let families = parse(&sample_text());
    assert!(families.len() > 40);
    for family in &families {
        let name = &family.name;
        assert!(name.starts_with("runtime_"), "{name}");
        assert!(family.help.ends_with('.'), "{name}: {}", family.help);
        assert_eq!(family.kind == "counter", name.ends_with("_total"), "{name}");
        let values = family.samples.iter().map(|sample| sample.value);
        assert!(
            values
                .clone()
                .all(|value| value >= 0.0 && value.is_finite()),
            "{name}"
        );
        if family.kind == "histogram" {
            check_histogram(family);
        } else if family.kind == "counter" && !name.contains("seconds") {
            assert!(values.clone().all(|value| value.fract() == 0.0), "{name}");
        }
    }
    let value = |name: &str| {
        let family = families.iter().find(|family| family.name == name);
        let samples = &family
            .unwrap_or_else(|| panic!("{name} is missing"))
            .samples;
        samples.iter().map(|sample| sample.value).sum::<f64>()
    };
    assert_eq!(value("runtime_workers"), 2.0);
    assert_eq!(value("runtime_tasks_panicked_total"), 2.0);
    assert_eq!(value("runtime_tasks_spawned_total"), 121.0);
    assert!(value("runtime_slow_polls_total") >= 1.0);
    assert!(value("runtime_reactor_registrations_total") >= 121.0);
    assert!(value("runtime_timers_fired_total") >= 60.0);
    assert_eq!(value("runtime_blocking_jobs_total"), 60.0);
    assert!(value("runtime_worker_busy_seconds_total") > 0.0);
}

/// Bounds ascend, counts are cumulative, the last bound is `+Inf`, and its count is the count of all.
fn check_histogram(family: &Family) {
    let name = &family.name;
    assert!(name.ends_with("_seconds"), "{name}");
    let (mut bound, mut count) = (f64::NEG_INFINITY, 0.0);
    let buckets = family
        .samples
        .iter()
        .filter(|sample| sample.name.ends_with("_bucket"));
    for bucket in buckets {
        let le = &bucket.labels["le"];
        let le = if le == "+Inf" {
            f64::INFINITY
        } else {
            le.parse().expect("a bound is a number")
        };
        assert!(le > bound, "{name}: {le} after {bound}");
        assert!(
            bucket.value >= count,
            "{name}: {} after {count}",
            bucket.value
        );
        (bound, count) = (le, bucket.value);
    }
    assert_eq!(bound, f64::INFINITY, "{name}");
    let one = |suffix: &str| {
        let mut samples = family
            .samples
            .iter()
            .filter(|sample| sample.name.ends_with(suffix));
        let sample = samples
            .next()
            .unwrap_or_else(|| panic!("{name} has no {suffix}"));
        assert!(
            samples.next().is_none() && sample.labels.is_empty(),
            "{name}"
        );
        sample.value
    };
    assert_eq!(one("_count"), count, "{name}");
    assert!((one("_sum") > 0.0) == (count > 0.0), "{name}");
}

#[test]
fn each_metric_is_documented_once() {
    let page = include_str!("../../docs/metrics.md");
    let mut documented: Vec<(String, String)> = page
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("| `runtime_")?.split_once("` | ")?;
            let (kind, _) = rest.split_once(" | ")?;
            // Other tables mention names as well.
            ["counter", "gauge", "histogram"]
                .contains(&kind)
                .then(|| (format!("runtime_{name}"), kind.to_owned()))
        })
        .collect();
    let families = parse(&sample_text());
    let present = families
        .into_iter()
        .map(|family| (family.name, family.kind));
    let mut present: Vec<_> = present.collect();
    documented.sort();
    present.sort();
    assert_eq!(present, documented);
}
