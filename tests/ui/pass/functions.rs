//! Functions in every form that the attributes take apart.

#![deny(warnings)]

use std::collections::HashMap;
use std::fmt::Debug;

struct Counter<const N: usize>;

impl<const N: usize> Counter<N> {
    /// Generic, with arrows and comparisons among the types.
    #[runtime::main(flavor = "current_thread")]
    pub(crate) async fn count<'a, F: Fn(&'a str) -> Result<usize, ()>, const M: usize>(
        &self,
        text: &'a str,
        f: F,
    ) -> Result<[HashMap<usize, Box<dyn Fn(usize) -> usize>>; 1 + 1], ()>
    where
        F: Clone,
        [u8; M]: Debug,
    {
        #![allow(clippy::all)]
        //! Documented inside.
        let length = f.clone()(text)?;
        Ok([(); 2].map(|()| HashMap::from([(length, Box::new(move |n| n + N + M) as Box<_>)])))
    }
}

#[runtime::main(worker_threads = Vec::<(u8, u8)>::with_capacity(1).len() + 1, name = "a, b",)]
async extern "C" fn foreign() -> usize {
    7
}

macro_rules! functions {
    ($($(#[$meta:meta])* $vis:vis $name:ident($($argument:ident: $type:ty)?) -> $returned:ty $body:block)*) => {
        $(
            #[runtime::main(crate = ::runtime)]
            $(#[$meta])*
            $vis async fn $name($($argument: $type)?) -> $returned $body
        )*
    };
}

functions! {
    /// Public.
    pub double(number: u32) -> u32 { number * 2 }
    #[inline]
    nothing() -> () {}
}

macro_rules! as_item {
    ($item:item) => {
        #[runtime::main]
        $item
    };
}

as_item! {
    async fn item() -> &'static str {
        "item"
    }
}

fn main() {
    let counted = Counter::<2>.count::<_, 3>("four", |text| Ok(text.len()));
    assert_eq!(counted.unwrap()[1][&4](1), 6);
    assert_eq!(foreign(), 7);
    assert_eq!(double(2), 4);
    nothing();
    assert_eq!(item(), "item");
}
