//! Every combination of ways in which a task can run, panic, be aborted, be dropped and be joined.

use super::*;

/// What a future does when it is polled or dropped, and what its output does when it is dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Poller {
    Ready,
    PendingThenReady,
    YieldThenReady,
    Panics,
    PendingThenPanics,
    NeverReady,
}

/// What is done to the handle, and when.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Joining {
    DropFirst,
    DropLast,
    Join,
    JoinWaiting,
    DropWaiting,
}

/// When the task is aborted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Aborting {
    Never,
    BeforeFirstPoll,
    WhenPending,
    WhilePolled,
    AtTheEnd,
    ByShutdown,
}

struct Case {
    poller: Poller,
    polls: usize,
    abort: Option<Arc<Mutex<Option<AbortHandle>>>>,
    waker: Arc<Mutex<Option<Waker>>>,
    output: Option<Bomb>,
    // Two panics out of one drop would abort: the output becomes live when it leaves the future.
    arms_output: bool,
    // Dropped with the future.
    _bomb: Bomb,
}

impl Future for Case {
    type Output = Bomb;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Bomb> {
        self.polls += 1;
        if let Some(abort) = &self.abort {
            abort
                .lock()
                .as_ref()
                .expect("set before the first poll")
                .abort();
        }
        let is_first = self.polls == 1;
        match self.poller {
            Poller::Panics => panic_any("poll"),
            Poller::PendingThenPanics if !is_first => panic_any("poll"),
            Poller::YieldThenReady if is_first => cx.waker().wake_by_ref(),
            Poller::PendingThenReady | Poller::PendingThenPanics if is_first => {}
            Poller::NeverReady => {}
            _ => {
                let mut output = self.output.take().expect("polled to the end once");
                output.is_live = self.arms_output;
                return Poll::Ready(output);
            }
        }
        *self.waker.lock() = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[test]
fn every_combination_of_panic_drop_abort_and_join() {
    use Aborting::*;
    use Joining::*;
    let mut cases = 0;
    for poller in [
        Poller::Ready,
        Poller::PendingThenReady,
        Poller::YieldThenReady,
        Poller::Panics,
        Poller::PendingThenPanics,
        Poller::NeverReady,
    ] {
        for joining in [DropFirst, DropLast, Join, JoinWaiting, DropWaiting] {
            for aborting in [
                Never,
                BeforeFirstPoll,
                WhenPending,
                WhilePolled,
                AtTheEnd,
                ByShutdown,
            ] {
                for bombs in 0..4 {
                    quietly(|| {
                        combination(poller, joining, aborting, bombs & 1 == 1, bombs & 2 == 2)
                    });
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(cases, 720);
}

fn combination(
    poller: Poller,
    joining: Joining,
    aborting: Aborting,
    future_bomb: bool,
    output_bomb: bool,
) {
    let case = format!("{poller:?} {joining:?} {aborting:?} {future_bomb} {output_bomb}");
    let bench = bench();
    let future_drops = Arc::new(AtomicUsize::new(0));
    let output_drops = Arc::new(AtomicUsize::new(0));
    let waker = Arc::new(Mutex::new(None));
    let abort = Arc::new(Mutex::new(None));
    let mut handle = Some(bench.spawn(Case {
        poller,
        polls: 0,
        abort: (aborting == Aborting::WhilePolled).then(|| abort.clone()),
        waker: waker.clone(),
        output: Some(Bomb {
            drops: output_drops.clone(),
            is_live: false,
        }),
        arms_output: output_bomb,
        _bomb: Bomb {
            drops: future_drops.clone(),
            is_live: future_bomb,
        },
    }));
    let abort_handle = handle
        .as_ref()
        .map(|handle| handle.abort_handle())
        .expect("just spawned");
    *abort.lock() = Some(abort_handle.clone());
    let (flag, join_waker) = Flag::new();

    // The handle, before the task runs.
    match joining {
        Joining::DropFirst => handle = None,
        Joining::JoinWaiting | Joining::DropWaiting => {
            let handle = handle.as_mut().expect("not dropped yet");
            let mut cx = Context::from_waker(&join_waker);
            assert!(Pin::new(&mut *handle).poll(&mut cx).is_pending());
            assert!(Pin::new(handle).poll(&mut cx).is_pending());
        }
        Joining::DropLast | Joining::Join => {}
    }
    if joining == Joining::DropWaiting {
        handle = None;
        assert_eq!(
            Arc::strong_count(&flag),
            2,
            "{case}: the join waker is dropped with the handle"
        );
    }

    // The task.
    if aborting == Aborting::BeforeFirstPoll {
        abort_handle.abort();
        abort_handle.abort();
    }
    let mut polls = bench.drain();
    match aborting {
        Aborting::WhenPending => abort_handle.abort(),
        Aborting::ByShutdown => bench.shutdown(),
        _ => {}
    }
    polls.extend(bench.drain());
    if let Some(waker) = waker.lock().take() {
        waker.wake_by_ref();
        waker.wake();
    }
    polls.extend(bench.drain());
    if aborting == Aborting::AtTheEnd {
        abort_handle.abort();
    }
    polls.extend(bench.drain());

    // What must have happened.
    let was_idle = matches!(
        poller,
        Poller::PendingThenReady | Poller::PendingThenPanics | Poller::NeverReady
    );
    let is_cancelled = match aborting {
        Aborting::Never => false,
        Aborting::BeforeFirstPoll => true,
        Aborting::WhenPending | Aborting::ByShutdown => was_idle,
        Aborting::WhilePolled => was_idle || poller == Poller::YieldThenReady,
        Aborting::AtTheEnd => poller == Poller::NeverReady,
    };
    let is_live = poller == Poller::NeverReady && !is_cancelled;
    assert_eq!(abort_handle.is_finished(), !is_live, "{case}");
    assert_eq!(bench.owned.len(), usize::from(is_live), "{case}");
    assert_eq!(future_drops.load(SeqCst), usize::from(!is_live), "{case}");
    if joining == Joining::JoinWaiting {
        assert_eq!(flag.count(), usize::from(!is_live), "{case}");
    } else {
        assert_eq!(flag.count(), 0, "{case}");
    }
    if is_live {
        drop(handle);
        drop(bench);
        assert_eq!(future_drops.load(SeqCst), 1, "{case}");
        assert_eq!(output_drops.load(SeqCst), 1, "{case}");
        return;
    }
    let poll_panics = !is_cancelled && matches!(poller, Poller::Panics | Poller::PendingThenPanics);
    let panics = match () {
        _ if poll_panics => Some("poll"),
        _ if future_bomb => Some("drop"),
        _ => None,
    };
    let expected = match panics {
        Some(_) => Polled::Panicked,
        None if is_cancelled => Polled::Cancelled,
        None => Polled::Completed,
    };
    if aborting != Aborting::ByShutdown || !is_cancelled {
        assert_eq!(polls.last(), Some(&expected), "{case}");
    }
    let Some(handle) = handle else {
        assert_eq!(output_drops.load(SeqCst), 1, "{case}");
        return;
    };
    if joining == Joining::DropLast {
        drop(handle);
        assert_eq!(output_drops.load(SeqCst), 1, "{case}");
        return;
    }
    match now(handle) {
        Ok(mut output) => {
            assert_eq!(expected, Polled::Completed, "{case}");
            assert_eq!(output_drops.load(SeqCst), 0, "{case}");
            output.is_live = false;
        }
        Err(error) if error.is_panic() => {
            let payload = error.into_panic();
            assert_eq!(payload.downcast_ref::<&str>().copied(), panics, "{case}");
        }
        Err(error) => {
            assert!(error.is_cancelled());
            assert_eq!(expected, Polled::Cancelled, "{case}");
        }
    }
    assert_eq!(output_drops.load(SeqCst), 1, "{case}");
}
