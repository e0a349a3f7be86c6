//! What types look like to who debugs with them: each shows what tells it from others, and nothing of the user's.

use super::super::born::Born;
use super::super::estimate::Estimate;
use super::super::origin::Origin;
use super::super::slot::AtomicRunnable;
use super::super::state::State;
use super::*;

#[test]
fn each_type_shows_what_tells_it_from_others() {
    let bench = bench();
    // A secret that must not be shown.
    let handle = bench.spawn(async { "secret" });
    let abort = handle.abort_handle();
    let id = format!("{:?}", handle.id());
    let slot = AtomicRunnable::new();
    let empty = format!("{slot:?}");
    let (runnable, _) = bench.pop().expect("spawned");
    assert!(slot.put(runnable).is_none());
    let origin = Origin::named(Location::caller(), "night".into());
    let estimate = Estimate::new();
    let amount = estimate.get().to_string();
    let state = State::new();

    let table = [
        (format!("{handle:?}"), vec!["JoinHandle", id.as_str()]),
        (format!("{abort:?}"), vec!["AbortHandle", id.as_str()]),
        (empty, vec!["AtomicRunnable", "is_empty: true"]),
        (
            format!("{slot:?}"),
            vec!["AtomicRunnable", "is_empty: false"],
        ),
        (format!("{origin:?}"), vec!["Origin", "night", "shown.rs"]),
        (format!("{estimate:?}"), vec!["Estimate", amount.as_str()]),
        (format!("{:?}", Born::new()), vec!["Born(None)"]),
        (
            format!("{:?}", state.load()),
            vec![
                "scheduled: true",
                "running: false",
                "complete: false",
                "cancelled: false",
                "references: 2",
            ],
        ),
        (
            format!("{:?}", unconstrained(async {})),
            vec!["Unconstrained"],
        ),
    ];
    for (shown, parts) in table {
        for part in parts {
            assert!(shown.contains(part), "{part:?} is not in {shown:?}");
        }
        assert!(!shown.contains("secret"), "{shown}");
    }
    slot.take().expect("put there").run();
    assert_eq!(now(handle).expect("it ends well"), "secret");
    assert!(abort.is_finished());
}
