//! Compares expansions as token text. Messages and spans are checked by the `ui` tests of the
//! workspace member `tests`, which run the compiler.

use proc_macro2::TokenStream;
use quote::quote;

use super::{Entry, expand};

/// Expands and checks that there is exactly what `expected` says.
#[track_caller]
fn check(entry: Entry, arguments: TokenStream, item: TokenStream, expected: TokenStream) {
    assert_eq!(
        expand(entry, arguments, item).to_string(),
        expected.to_string()
    );
}

/// Expands what is wrong; returns the text.
#[track_caller]
fn fails(entry: Entry, arguments: TokenStream, item: TokenStream) -> String {
    let text = expand(entry, arguments, item).to_string();
    assert!(text.contains("compile_error"), "{text}");
    text
}

#[test]
fn main_is_multi_thread_and_keeps_what_is_around_it() {
    check(
        Entry::Main,
        quote! {},
        quote! {
            #[doc = "Starts."]
            pub(crate) async fn main() -> R {
                #![allow(unused)]
                go().await
            }
        },
        quote! {
            #[doc = "Starts."]
            #[allow(unused)]
            pub(crate) fn main() -> R {
                ::runtime::runtime::Builder::new_multi_thread()
                    .enable_all()
                    .build()
                    .unwrap_or_else(|error| ::core::panic!("failed to start the runtime: {}", error))
                    .block_on(async move {
                        if let ::core::option::Option::Some(result) =
                            ::core::option::Option::None::<R>
                        {
                            return result;
                        };
                        go().await
                    })
            }
        },
    );
}

#[test]
fn test_is_current_thread_and_takes_every_argument() {
    check(
        Entry::Test,
        quote! { start_paused = true, name = "x", crate = "some::path", },
        quote! {
            #[should_panic]
            async fn it() -> ! { go() }
        },
        quote! {
            #[::core::prelude::v1::test]
            #[should_panic]
            fn it() -> ! {
                some::path::runtime::Builder::new_current_thread()
                    .thread_name("x")
                    .enable_all()
                    .start_paused(true)
                    .build()
                    .unwrap_or_else(|error| ::core::panic!("failed to start the runtime: {}", error))
                    .block_on(async move { go() })
            }
        },
    );
}

#[test]
fn workers_may_be_counted_by_an_expression() {
    for count in [
        quote! { 2 },
        quote! { 0x10 },
        quote! { N + 1 },
        quote! { count() },
    ] {
        let expanded = expand(
            Entry::Test,
            quote! { flavor = "multi_thread", worker_threads = #count },
            quote! { async fn it() {} },
        )
        .to_string();
        assert!(!expanded.contains("compile_error"), "{expanded}");
        assert!(
            expanded.contains(&quote! { .worker_threads(#count) }.to_string()),
            "{expanded}"
        );
    }
    for count in [
        quote! { 0 },
        quote! { 0x0 },
        quote! { 0usize },
        quote! { -1 },
        quote! { "2" },
    ] {
        fails(
            Entry::Test,
            quote! { flavor = "multi_thread", worker_threads = #count },
            quote! { async fn it() {} },
        );
    }
}

#[test]
fn every_error_is_reported_and_the_function_remains() {
    let text = fails(
        Entry::Main,
        quote! { flavor = "fast", flavor = "slow", workers, start_paused, "x" y = 3, name = 'c' },
        quote! { async fn main() { go() } },
    );
    assert_eq!(text.matches("compile_error").count(), 6, "{text}");
    assert!(text.contains("fn main"), "{text}");
    assert!(text.contains("block_on"), "{text}");
}

#[test]
fn other_functions_than_main_may_have_arguments() {
    let text = expand(
        Entry::Main,
        quote! {},
        quote! { async fn fetch<T: Send>(&self, what: T) -> T where T: Clone { what } },
    )
    .to_string();
    assert!(!text.contains("compile_error"), "{text}");
}

#[test]
fn a_type_that_cannot_be_named_in_the_body_is_left_out() {
    for output in [
        quote! { impl Debug },
        quote! { Result<impl Debug, E> },
        quote! { (u8, impl A) },
    ] {
        let text = expand(
            Entry::Main,
            quote! {},
            quote! { async fn f() -> #output { go() } },
        );
        assert!(!text.to_string().contains("None"), "{text}");
    }
}

#[test]
fn what_is_no_function_remains_as_it_was() {
    for item in [
        quote! { struct S; },
        quote! { mod m {} },
        quote! { async fn f(); },
    ] {
        let text = fails(Entry::Main, quote! {}, item.clone());
        assert!(text.ends_with(&item.to_string()), "{text}");
    }
}
