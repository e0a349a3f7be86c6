//! Values that last as long as a task.
//!
//! A task-local is a thread-local that is filled only while its task is polled: [`TaskLocalFuture`] keeps the value, swaps it in
//! before each poll and out after it.

use pin_project_lite::pin_project;
use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::LocalKey as ThreadLocalKey;

/// Declares task-locals: values that last as long as a task, or as the future they were given to.
///
/// # Examples
///
/// ```
/// runtime::task_local! {
///     static REQUEST: u32;
/// }
///
/// runtime::block_on(REQUEST.scope(7, async {
///     assert_eq!(REQUEST.get(), 7);
/// }));
/// ```
#[macro_export]
macro_rules! task_local {
    () => {};
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty; $($rest:tt)*) => {
        $crate::task_local!($(#[$attribute])* $visibility static $name: $type);
        $crate::task_local!($($rest)*);
    };
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty) => {
        $(#[$attribute])*
        $visibility static $name: $crate::task::LocalKey<$type> = {
            ::std::thread_local! {
                static VALUE: ::std::cell::RefCell<::std::option::Option<$type>> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }
            $crate::task::LocalKey::__new(&VALUE)
        };
    };
}

/// A task-local, declared with [`task_local!`](crate::task_local).
pub struct LocalKey<T: 'static> {
    /// Holds the value while the future that it was given to is polled.
    value: &'static ThreadLocalKey<RefCell<Option<T>>>,
}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}

impl<T: 'static> LocalKey<T> {
    /// Called by the macro only.
    #[doc(hidden)]
    pub const fn __new(value: &'static ThreadLocalKey<RefCell<Option<T>>>) -> LocalKey<T> {
        LocalKey { value }
    }

    /// Gives `value` to `future`, for as long as it lasts.
    ///
    /// Tasks that `future` spawns do not inherit it.
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> TaskLocalFuture<T, F> {
        TaskLocalFuture {
            key: self,
            value: Some(value),
            future: Some(future),
        }
    }

    /// Calls `f` with `value` in place.
    ///
    /// # Panics
    ///
    /// If `f` does, and if called inside `with` of the same key.
    #[track_caller]
    pub fn sync_scope<F, R>(&'static self, value: T, f: F) -> R
    where
        F: FnOnce() -> R,
    {
        let mut value = Some(value);
        let _scope = Scope::enter(self, &mut value);
        f()
    }

    /// Calls `f` with the value.
    ///
    /// # Panics
    ///
    /// If there is none: outside of [`scope`](LocalKey::scope).
    #[track_caller]
    pub fn with<F, R>(&'static self, f: F) -> R
    where
        F: FnOnce(&T) -> R,
    {
        match self.try_with(f) {
            Ok(result) => result,
            Err(error) => panic!("{error}"),
        }
    }

    /// Calls `f` with the value.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn try_with<F, R>(&'static self, f: F) -> Result<R, AccessError>
    where
        F: FnOnce(&T) -> R,
    {
        let error = AccessError { private: () };
        let called = self
            .value
            .try_with(|value| Some(f(value.borrow().as_ref()?)));
        called.ok().flatten().ok_or(error)
    }

    /// Returns a clone of the value.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[track_caller]
    pub fn get(&'static self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// Returns a clone of the value.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn try_get(&'static self) -> Result<T, AccessError>
    where
        T: Clone,
    {
        self.try_with(T::clone)
    }
}

/// The value is in its thread-local while this lives.
struct Scope<'a, T: 'static> {
    /// Where the value is now.
    key: &'static LocalKey<T>,
    /// Where it goes afterwards; meanwhile what was there before.
    place: &'a mut Option<T>,
}

impl<'a, T: 'static> Scope<'a, T> {
    #[track_caller]
    fn enter(key: &'static LocalKey<T>, place: &'a mut Option<T>) -> Scope<'a, T> {
        let swapped = key.value.try_with(|value| match value.try_borrow_mut() {
            Ok(mut value) => std::mem::swap(&mut *value, place),
            Err(_) => panic!("a task-local cannot be set while it is read"),
        });
        assert!(
            swapped.is_ok(),
            "a task-local cannot be set while its thread ends"
        );
        Scope { key, place }
    }
}

impl<T: 'static> Drop for Scope<'_, T> {
    fn drop(&mut self) {
        // Fails only while the thread ends, and then nobody reads the value any more.
        let _ = self.key.value.try_with(|value| {
            if let Ok(mut value) = value.try_borrow_mut() {
                std::mem::swap(&mut *value, self.place);
            }
        });
    }
}

pin_project! {
    /// A future that has a value; made by [`LocalKey::scope`].
    ///
    /// The future is dropped with the value in place; after that, and after completion, the value stays until this is dropped.
    pub struct TaskLocalFuture<T, F>
    where
        T: 'static,
    {
        // Whose value it is.
        key: &'static LocalKey<T>,
        // The value between polls.
        value: Option<T>,
        // The future until it completes.
        #[pin]
        future: Option<F>,
    }

    impl<T: 'static, F> PinnedDrop for TaskLocalFuture<T, F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                let _scope = Scope::enter(this.key, this.value);
                this.future.set(None);
            }
        }
    }
}

impl<T: fmt::Debug + 'static, F> fmt::Debug for TaskLocalFuture<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskLocalFuture")
            .field("value", &self.value)
            .finish_non_exhaustive()
    }
}

impl<T: 'static, F> TaskLocalFuture<T, F> {
    /// Takes the value out; the future then goes on without.
    pub fn take_value(self: Pin<&mut Self>) -> Option<T> {
        self.project().value.take()
    }
}

impl<T: 'static, F: Future> Future for TaskLocalFuture<T, F> {
    type Output = F::Output;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let _scope = Scope::enter(this.key, this.value);
        let future = this.future.as_mut().as_pin_mut();
        let output = future
            .expect("a future is not polled after it completed")
            .poll(cx);
        if output.is_ready() {
            this.future.set(None);
        }
        output
    }
}

/// There is no value: the call came from outside of [`LocalKey::scope`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessError {
    /// Keeps the type opaque.
    private: (),
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task-local has no value here: set one with `scope`")
    }
}

impl Error for AccessError {}
