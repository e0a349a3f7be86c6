//! Expands an async function into a plain one that builds a runtime and runs the body on it.
//!
//! From
//!
//! ```text
//! async fn main() -> R { body }
//! ```
//!
//! comes, in essence,
//!
//! ```text
//! fn main() -> R {
//!     ::runtime::runtime::Builder::new_multi_thread().enable_all().build()
//!         .unwrap_or_else(|error| panic!("failed to start the runtime: {error}"))
//!         .block_on(async move {
//!             if let Some(result) = None::<R> { return result; };
//!             body
//!         })
//! }
//! ```
//!
//! The `if let` never runs. It tells the compiler the type of the block before it looks at the body:
//! an async block cannot state its type, and without it `?` and `return Err(Box::new(e))` would be
//! inferred from the body alone. (An inner `async fn` states it too, but knows neither `self` nor the
//! generics of the function around it; an async closure states it, but does not coerce to it.)
//!
//! What must always hold:
//!
//! - The body's tokens are passed on as they came, unparsed, with their own spans: errors and lints
//!   point at the user's code, and an editor still completes in a body that is half written.
//! - Our own tokens resolve at the call site but count as written by a macro, so the user's lints do
//!   not see them. Those that diagnostics may mention are *located* at the user's tokens.
//! - Whatever was wrong, an item comes out beside the errors, so that editors still know of it and one
//!   mistake does not become many. After wrong arguments it is the expansion without them, else the
//!   item as it was.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Attribute, ReturnType, Signature, Type, Visibility};

use crate::args::{Flavor, Settings};
use crate::errors::Errors;

/// Which of the two attributes is expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// `#[runtime::main]`
    Main,
    /// `#[runtime::test]`
    Test,
}

impl Entry {
    /// What the user wrote, for messages.
    pub(crate) fn attribute(self) -> &'static str {
        match self {
            Entry::Main => "#[runtime::main]",
            Entry::Test => "#[runtime::test]",
        }
    }

    /// The flavor that holds if none is given.
    pub(crate) fn default_flavor(self) -> Flavor {
        match self {
            Entry::Main => Flavor::MultiThread,
            Entry::Test => Flavor::CurrentThread,
        }
    }
}

/// A function whose body is kept as tokens.
struct Function {
    /// The attributes above the function, and after them those at the head of the body (`#![…]`),
    /// turned into outer ones: the body becomes a block, where they may not stand.
    attributes: Vec<Attribute>,
    /// As written.
    visibility: Visibility,
    /// As written, up to the body.
    signature: Signature,
    /// The braces, whose span the new block gets.
    braces: Group,
    /// What stands between them, without inner attributes.
    body: TokenStream,
}

/// Expands the attribute `entry` with `arguments` on `item`.
pub(crate) fn expand(entry: Entry, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let settings = Settings::parse(entry, arguments, &mut errors);
    let function =
        match (|input: ParseStream<'_>| parse_function(entry, input)).parse2(item.clone()) {
            Ok(function) => function,
            Err(error) => {
                errors.push(error);
                return quote! { #errors #item };
            }
        };
    let before = errors.count();
    check_function(entry, &function, &mut errors);
    if errors.count() > before {
        return quote! { #errors #item };
    }
    let item = expanded(entry, &settings, function);
    quote! { #errors #item }
}

/// The braces of a body; one that `macro_rules!` substitutes has an invisible group around it.
fn braces(token: TokenTree) -> Option<Group> {
    let TokenTree::Group(group) = token else {
        return None;
    };
    match group.delimiter() {
        Delimiter::Brace => Some(group),
        Delimiter::None => {
            let mut inside = group.stream().into_iter();
            let first = inside.next()?;
            inside.next().is_none().then(|| braces(first)).flatten()
        }
        Delimiter::Parenthesis | Delimiter::Bracket => None,
    }
}

/// Takes the function apart. An error means that the item is none.
fn parse_function(entry: Entry, input: ParseStream<'_>) -> syn::Result<Function> {
    let mut attributes = input.call(Attribute::parse_outer)?;
    let visibility = input.parse()?;
    let start = input.span();
    let signature = input.parse().map_err(|_| {
        let attribute = entry.attribute();
        syn::Error::new(start, format!("`{attribute}` goes on an async function"))
    })?;
    let last: TokenTree = input.parse()?;
    let span = last.span();
    let braces = braces(last).ok_or_else(|| syn::Error::new(span, "the function needs a body"))?;
    let body = (|input: ParseStream<'_>| {
        attributes.extend(
            input
                .call(Attribute::parse_inner)?
                .into_iter()
                .map(|inner| Attribute {
                    style: syn::AttrStyle::Outer,
                    ..inner
                }),
        );
        input.parse()
    })
    .parse2(braces.stream())?;
    Ok(Function {
        attributes,
        visibility,
        signature,
        braces,
        body,
    })
}

/// Reports what keeps `function` from being run by a runtime.
fn check_function(entry: Entry, function: &Function, errors: &mut Errors) {
    let attribute = entry.attribute();
    let signature = &function.signature;
    if signature.asyncness.is_none() {
        errors.at(
            signature.fn_token,
            format!("`async` is missing: `{attribute}` runs an async function"),
        );
    }
    // Other functions than `main` may take arguments and be generic: they are called as written.
    let who = match entry {
        Entry::Main if signature.ident == "main" => "`main`",
        Entry::Main => return,
        Entry::Test => "a test",
    };
    if !signature.inputs.is_empty() {
        errors.at(&signature.inputs, format!("{who} takes no arguments"));
    }
    if !signature.generics.params.is_empty() {
        errors.at(&signature.generics, format!("{who} cannot be generic"));
    }
    if let Some(clause) = &signature.generics.where_clause {
        errors.at(clause, format!("{who} cannot have a `where` clause"));
    }
    if entry == Entry::Test {
        for other in function.attributes.iter().filter(|other| is_test(other)) {
            errors.at(
                other,
                format!("`{attribute}` makes the function a test already: remove one of the two"),
            );
        }
    }
}

/// Whether the attribute would register the function as a test once more: `#[test]`,
/// `#[core::prelude::v1::test]`, another runtime's.
fn is_test(attribute: &Attribute) -> bool {
    let path = attribute.path();
    path.segments
        .last()
        .is_some_and(|segment| segment.ident == "test")
}

/// The function that builds the runtime and runs the body.
fn expanded(entry: Entry, settings: &Settings, function: Function) -> TokenStream {
    let Function {
        attributes,
        visibility,
        mut signature,
        braces,
        body,
    } = function;
    // Located at the user's `async`, which the compiler takes for that of the block: it points there
    // when it speaks of what the block returns.
    let async_span = signature
        .asyncness
        .map_or_else(Span::call_site, |token| ours(token.span));
    signature.asyncness = None;
    let typed = typed(&signature);
    let mut block = Group::new(Delimiter::Brace, quote! { #typed #body });
    block.set_span(braces.span());

    let builder = builder(settings);
    let test = (entry == Entry::Test).then(|| quote! { #[::core::prelude::v1::test] });
    let error = syn::Ident::new("error", Span::mixed_site());
    let future = quote_spanned! { async_span=> async move };
    let run = quote! {
        #builder
            .build()
            .unwrap_or_else(|#error| ::core::panic!("failed to start the runtime: {}", #error))
            .block_on(#future #block)
    };
    quote! {
        #test
        #(#attributes)*
        #visibility #signature {
            #run
        }
    }
}

/// The chain of calls on the builder, up to `build`.
fn builder(settings: &Settings) -> TokenStream {
    let facade = &settings.facade;
    let new = match settings.flavor {
        Flavor::MultiThread => quote! { new_multi_thread },
        Flavor::CurrentThread => quote! { new_current_thread },
    };
    let worker_threads = settings
        .worker_threads
        .as_ref()
        .map(|n| quote! { .worker_threads(#n) });
    let thread_name = settings
        .name
        .as_ref()
        .map(|name| quote! { .thread_name(#name) });
    let start_paused = settings
        .start_paused
        .as_ref()
        .map(|yes| quote! { .start_paused(#yes) });
    quote! {
        #facade::runtime::Builder::#new()
            #worker_threads
            #thread_name
            .enable_all()
            #start_paused
    }
}

/// The statement that fixes the type of the block (see the module's documentation), or nothing where
/// the type cannot be named there: `!` is no type argument yet, and `impl Trait` is the body's to
/// choose. The function's own return type then does what it can.
fn typed(signature: &Signature) -> TokenStream {
    let (returned, span) = match &signature.output {
        ReturnType::Default => (quote! { () }, signature.ident.span()),
        ReturnType::Type(_, returned) if matches!(**returned, Type::Never(_)) => {
            return TokenStream::new();
        }
        ReturnType::Type(_, returned) => (returned.to_token_stream(), returned.span()),
    };
    if mentions_impl(returned.clone()) {
        return TokenStream::new();
    }
    let result = syn::Ident::new("result", Span::mixed_site().located_at(span));
    quote_spanned! {ours(span)=>
        if let ::core::option::Option::Some(#result) = ::core::option::Option::None::<#returned> {
            return #result;
        };
    }
}

/// Whether `impl` occurs among the tokens, at any depth.
fn mentions_impl(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == "impl",
        TokenTree::Group(group) => mentions_impl(group.stream()),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

/// A span that lies where `user`'s does and yet belongs to the expansion, so that no lint takes our
/// code for the user's.
fn ours(user: Span) -> Span {
    Span::call_site().located_at(user)
}

#[cfg(test)]
mod tests;
