//! The runtimes that are compared: both from the same text.

// Reports of slow polls are made as by default, but not printed into the table; whether a slow task is rescued is a
// question of its own.
runtime_benches::contestant!(Ours, runtime, "ours", |builder| {
    builder
        .rescue(runtime_benches::fresh::has_rescue())
        .on_slow_poll(|_| ());
});
runtime_benches::contestant!(Tokio, tokio, "tokio");
