//! The runtimes that are compared: both from the same text.

runtime_benches::contestant!(Ours, runtime, "ours");
runtime_benches::contestant!(Tokio, tokio, "tokio");
