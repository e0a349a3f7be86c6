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

use crate::args::{Flavor, Settings};
use crate::errors::{Error, Errors};
use crate::tokens::{
    Delimiter, Group, Ident, Span, TokenStream, TokenTree, bare, code, group, is_punct, is_word,
    length_before,
};

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

/// A function, taken apart as far as we need it.
struct Function {
    /// The attributes above the function, and after them those at the head of the body (`#![…]`),
    /// turned into outer ones: the body becomes a block, where they may not stand.
    attributes: Vec<[TokenTree; 2]>,
    /// Where `async` stands.
    asyncness: Option<Span>,
    /// What comes before `fn`, without `async`.
    qualifiers: Vec<TokenTree>,
    /// From `fn` to the parameters.
    name: Vec<TokenTree>,
    /// What comes between the parameters and the body.
    ending: Ending,
    /// The braces, whose span the new block gets.
    braces: Group,
    /// What stands between them, without inner attributes.
    body: TokenStream,
}

/// What comes between the parameters of a function and its body.
struct Ending {
    /// The arrow.
    arrow: Vec<TokenTree>,
    /// The type behind it.
    returned: Vec<TokenTree>,
    /// The `where` clause.
    clause: Vec<TokenTree>,
}

/// Expands the attribute `entry` with `arguments` on `item`.
pub(crate) fn expand(entry: Entry, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let settings = Settings::parse(entry, arguments, &mut errors);
    let before = errors.count();
    let function = match Function::parse(entry, &bare(item.clone())) {
        Ok(function) => {
            check_function(entry, &function, &mut errors);
            Some(function)
        }
        Err(error) => {
            errors.push(error);
            None
        }
    };
    let item = match function {
        Some(function) if errors.count() == before => expanded(entry, &settings, function),
        _ => item,
    };
    [errors.code(), item].into_iter().collect()
}

impl Function {
    /// Takes the function apart. An error means that the item is none.
    fn parse(entry: Entry, item: &[TokenTree]) -> Result<Function, Error> {
        let (mut attributes, item) = attributes(item);
        let start = visibility(item);
        // The words between the visibility and `fn`, and the ABI behind `extern`.
        let is_qualifier = |token: &TokenTree| match token {
            TokenTree::Ident(_) => !is_word(Some(token), "fn"),
            TokenTree::Literal(_) => true,
            _ => false,
        };
        let count = item[start..]
            .iter()
            .take_while(|token| is_qualifier(token))
            .count();
        let (before, rest) = item.split_at(start + count);
        let is_function =
            is_word(rest.first(), "fn") && matches!(rest.get(1), Some(TokenTree::Ident(_)));
        if !is_function {
            let attribute = entry.attribute();
            let what = item.get(start..=start).unwrap_or_default();
            return Err(Error::at(
                what,
                format!("`{attribute}` goes on an async function"),
            ));
        }

        let (last, signature) = rest.split_last().expect("`fn` at least is there");
        // A body that `macro_rules!` substitutes has an invisible group around it.
        let braces = match &bare(last.clone().into())[..] {
            [token] => group(Some(token), Delimiter::Brace).cloned(),
            _ => None,
        };
        let Some(braces) = braces else {
            return Err(Error::at(
                std::slice::from_ref(last),
                "the function needs a body",
            ));
        };
        let is_parameters =
            |token: &TokenTree| group(Some(token), Delimiter::Parenthesis).is_some();
        let length = length_before(signature, |_| true, is_parameters);
        if length == signature.len() {
            return Err(Error::at(
                &signature[..2],
                "the function needs parameters, if only `()`",
            ));
        }
        let (name, ending) = signature.split_at(length + 1);

        let mut inside: Vec<_> = braces.stream().into_iter().collect();
        while is_punct(inside.first(), '#')
            && is_punct(inside.get(1), '!')
            && group(inside.get(2), Delimiter::Bracket).is_some()
        {
            let attribute: Vec<_> = inside.drain(..3).collect();
            attributes.push([attribute[0].clone(), attribute[2].clone()]);
        }
        let is_async = |token: &&TokenTree| is_word(Some(token), "async");
        Ok(Function {
            attributes,
            asyncness: before.iter().find(is_async).map(TokenTree::span),
            qualifiers: before
                .iter()
                .filter(|token| !is_async(token))
                .cloned()
                .collect(),
            name: name.to_vec(),
            ending: Ending::parse(ending),
            braces,
            body: inside.into_iter().collect(),
        })
    }
}

impl Ending {
    /// Finds arrow, type and clause.
    fn parse(tokens: &[TokenTree]) -> Ending {
        let length = length_before(tokens, |_| true, |token| is_word(Some(token), "where"));
        let (output, clause) = tokens.split_at(length);
        let (arrow, returned) = output.split_at(output.len().min(2));
        Ending {
            arrow: arrow.to_vec(),
            returned: returned.to_vec(),
            clause: clause.to_vec(),
        }
    }
}

/// Takes the outer attributes off the head of an item.
fn attributes(mut item: &[TokenTree]) -> (Vec<[TokenTree; 2]>, &[TokenTree]) {
    let mut attributes = Vec::new();
    while let [hash, attribute, rest @ ..] = item
        && is_punct(Some(hash), '#')
        && group(Some(attribute), Delimiter::Bracket).is_some()
    {
        attributes.push([hash.clone(), attribute.clone()]);
        item = rest;
    }
    (attributes, item)
}

/// How many tokens the visibility takes: `pub`, `pub(…)`, or what a macro has substituted for `$vis`, which may be nothing.
fn visibility(item: &[TokenTree]) -> usize {
    if group(item.first(), Delimiter::None).is_some() {
        return 1;
    }
    match (
        is_word(item.first(), "pub"),
        group(item.get(1), Delimiter::Parenthesis),
    ) {
        (true, Some(_)) => 2,
        (true, None) => 1,
        (false, _) => 0,
    }
}

/// Reports what keeps `function` from being run by a runtime.
fn check_function(entry: Entry, function: &Function, errors: &mut Errors) {
    let attribute = entry.attribute();
    let [keyword, name, generics @ .., parameters] = &function.name[..] else {
        unreachable!("a function has a name and parameters");
    };
    if function.asyncness.is_none() {
        errors.at(
            std::slice::from_ref(keyword),
            format!("`async` is missing: `{attribute}` runs an async function"),
        );
    }
    // Other functions than `main` may take arguments and be generic: they are called as written.
    let who = match entry {
        Entry::Main if is_word(Some(name), "main") => "`main`",
        Entry::Main => return,
        Entry::Test => "a test",
    };
    let parameters = group(Some(parameters), Delimiter::Parenthesis).map(Group::stream);
    let parameters: Vec<_> = parameters.into_iter().flatten().collect();
    if !parameters.is_empty() {
        errors.at(&parameters, format!("{who} takes no arguments"));
    }
    // `<>` is no generics.
    if generics.len() > 2 {
        errors.at(generics, format!("{who} cannot be generic"));
    }
    if !function.ending.clause.is_empty() {
        errors.at(
            &function.ending.clause,
            format!("{who} cannot have a `where` clause"),
        );
    }
    if entry == Entry::Test {
        for other in function
            .attributes
            .iter()
            .filter(|other| is_test(&other[1]))
        {
            errors.at(
                other,
                format!("`{attribute}` makes the function a test already: remove one of the two"),
            );
        }
    }
}

/// Whether the attribute in these brackets would register the function as a test once more: `#[test]`,
/// `#[core::prelude::v1::test]`, another runtime's.
fn is_test(brackets: &TokenTree) -> bool {
    let Some(attribute) = group(Some(brackets), Delimiter::Bracket) else {
        return false;
    };
    // What `macro_rules!` substitutes, `$meta`, has an invisible group around it, and its path perhaps another.
    let tokens = bare(attribute.stream());
    let tokens: Vec<_> = match &tokens[..] {
        [path, ..] if group(Some(path), Delimiter::None).is_some() => bare(path.clone().into()),
        _ => tokens,
    };
    let is_of_path =
        |token: &&TokenTree| matches!(token, TokenTree::Ident(_)) || is_punct(Some(token), ':');
    is_word(tokens.iter().take_while(is_of_path).last(), "test")
}

/// The function that builds the runtime and runs the body.
fn expanded(entry: Entry, settings: &Settings, function: Function) -> TokenStream {
    let typed = typed(&function);
    let body = [typed, function.body].into_iter().collect();
    let mut block = Group::new(Delimiter::Brace, body);
    block.set_span(function.braces.span());
    // Located at the user's `async`, which the compiler takes for that of the block: it points there
    // when it speaks of what the block returns.
    let async_span = function.asyncness.map_or_else(Span::call_site, ours);
    let error = TokenTree::from(Ident::new("error", Span::mixed_site()));
    let test = match entry {
        Entry::Main => "",
        Entry::Test => "#[::core::prelude::v1::test]",
    };
    let Ending {
        arrow,
        returned,
        clause,
    } = function.ending;
    let signature = [function.qualifiers, function.name, arrow, returned, clause].into_iter();

    let head = code(Span::call_site(), test, &[]);
    let body = code(
        Span::call_site(),
        r#"{
            $builder
                .build()
                .unwrap_or_else(| $error | ::core::panic!("failed to start the runtime: {}", $error))
                .block_on($future $block)
        }"#,
        &[
            ("builder", builder(settings)),
            ("error", error.into()),
            ("future", code(async_span, "async move", &[])),
            ("block", TokenTree::from(block).into()),
        ],
    );
    head.into_iter()
        .chain(function.attributes.into_iter().flatten())
        .chain(signature.flatten())
        .chain(body)
        .collect()
}

/// The chain of calls on the builder, up to `build`.
fn builder(settings: &Settings) -> TokenStream {
    let here = Span::call_site();
    let new = match settings.flavor {
        Flavor::MultiThread => "$facade::runtime::Builder::new_multi_thread()",
        Flavor::CurrentThread => "$facade::runtime::Builder::new_current_thread()",
    };
    let call = |text, value: &Option<TokenStream>| match value {
        Some(value) => code(here, text, &[("value", value.clone())]),
        None => TokenStream::new(),
    };
    [
        code(here, new, &[("facade", settings.facade.clone())]),
        call(".worker_threads($value)", &settings.worker_threads),
        call(".thread_name($value)", &settings.name),
        code(here, ".enable_all()", &[]),
        call(".start_paused($value)", &settings.start_paused),
    ]
    .into_iter()
    .collect()
}

/// The statement that fixes the type of the block (see the module's documentation), or nothing where
/// the type cannot be named there: `!` is no type argument yet, and `impl Trait` is the body's to
/// choose. The function's own return type then does what it can.
fn typed(function: &Function) -> TokenStream {
    let returned = &function.ending.returned[..];
    let (returned, span) = match returned {
        [] => (code(Span::call_site(), "()", &[]), function.name[1].span()),
        [never] if is_punct(Some(never), '!') => return TokenStream::new(),
        [first, ..] => (returned.iter().cloned().collect(), first.span()),
    };
    if mentions_impl(returned.clone()) {
        return TokenStream::new();
    }
    let result = Ident::new("result", Span::mixed_site().located_at(span));
    code(
        ours(span),
        "if let ::core::option::Option::Some($result) = ::core::option::Option::None:: < $returned > {
            return $result;
        };",
        &[
            ("result", TokenTree::from(result).into()),
            ("returned", returned),
        ],
    )
}

/// Whether `impl` occurs among the tokens, at any depth.
fn mentions_impl(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match &token {
        TokenTree::Group(group) => mentions_impl(group.stream()),
        _ => is_word(Some(&token), "impl"),
    })
}

/// A span that lies where `user`'s does and yet belongs to the expansion, so that no lint takes our
/// code for the user's.
fn ours(user: Span) -> Span {
    Span::call_site().located_at(user)
}

#[cfg(test)]
mod tests;
