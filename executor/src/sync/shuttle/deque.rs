//! `crossbeam_deque`, with a step before each operation that others may see.

use super::step;
pub(crate) use crossbeam_deque::Steal;

macro_rules! stepped {
    ($name:ident: $($method:ident($($argument:ident: $type:ty)?) $(-> $result:ty)?),+) => {
        impl<T> $name<T> {
            $(pub(crate) fn $method(&self $(, $argument: $type)?) $(-> $result)? {
                step();
                self.0.$method($($argument)?)
            })+
        }
    };
}

#[derive(Debug)]
pub(crate) struct Worker<T>(crossbeam_deque::Worker<T>);

#[derive(Debug)]
pub(crate) struct Stealer<T>(crossbeam_deque::Stealer<T>);

#[derive(Debug)]
pub(crate) struct Injector<T>(crossbeam_deque::Injector<T>);

stepped!(Worker: push(task: T), pop() -> Option<T>);
stepped!(Stealer: steal() -> Steal<T>, is_empty() -> bool, len() -> usize);
stepped!(Injector: push(task: T), steal() -> Steal<T>, is_empty() -> bool, len() -> usize);

impl<T> Worker<T> {
    pub(crate) fn new_fifo() -> Worker<T> {
        Worker(crossbeam_deque::Worker::new_fifo())
    }

    pub(crate) fn stealer(&self) -> Stealer<T> {
        Stealer(self.0.stealer())
    }

    /// No step, as for [`len`](Worker::len): only the owner pushes.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T> Stealer<T> {
    pub(crate) fn steal_batch_and_pop(&self, into: &Worker<T>) -> Steal<T> {
        step();
        self.0.steal_batch_and_pop(&into.0)
    }
}

impl<T> Injector<T> {
    pub(crate) fn new() -> Injector<T> {
        Injector(crossbeam_deque::Injector::new())
    }

    pub(crate) fn steal_batch_and_pop(&self, into: &Worker<T>) -> Steal<T> {
        step();
        self.0.steal_batch_and_pop(&into.0)
    }
}
