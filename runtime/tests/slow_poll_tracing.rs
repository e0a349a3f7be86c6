//! With the feature `tracing`, the default report of a slow poll is an event.

use runtime::runtime::Builder;
use std::fmt;
use std::sync::{Mutex, mpsc};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// Sends the fields of each event of the runtime.
struct Collect(Mutex<mpsc::Sender<Vec<(String, String)>>>);

struct Fields(Vec<(String, String)>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push((field.name().into(), format!("{value:?}")));
    }
}

impl Subscriber for Collect {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "runtime::slow_poll" && *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(Vec::new());
        event.record(&mut fields);
        let sender = self.0.lock().expect("nobody panics with it");
        let _ = sender.send(fields.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[test]
fn a_slow_poll_is_an_event_with_fields() {
    let (sender, events) = mpsc::channel();
    tracing::subscriber::set_global_default(Collect(Mutex::new(sender))).expect("it is the first");
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .expect("threads are left");
    let (release, wait) = mpsc::channel::<()>();
    let line = line!() + 1;
    runtime.spawn(async move { wait.recv() });
    let fields = events
        .recv_timeout(Duration::from_secs(60))
        .expect("the poll is slow");
    drop(release);
    let field = |name: &str| {
        let found = fields.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str())
    };
    let location = field("spawn_location").expect("it is a task");
    assert!(
        location.contains(&format!("slow_poll_tracing.rs:{line}:")),
        "{location}"
    );
    assert!(
        field("message").is_some_and(|text| text.contains("slow poll: task")),
        "{fields:?}"
    );
    assert_eq!(field("blocked"), Some("true"));
    assert!(field("so_far_ms").is_some_and(|millis| millis.parse::<u64>().is_ok_and(|n| n >= 10)));
}
