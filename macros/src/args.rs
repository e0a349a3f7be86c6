//! Reads the arguments of the attributes: `name = value`, separated by commas.
//!
//! Reading goes on after an error, with the next argument. What was wrong counts as not given, and is
//! left out of the checks of one argument against another, which would only confuse.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, Lit, LitBool, Path, Token, UnOp, parse_quote};

use crate::entry::Entry;
use crate::errors::Errors;

/// The flavor of the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavor {
    /// Tasks run on a number of workers.
    MultiThread,
    /// Tasks run on the thread that calls the function.
    CurrentThread,
}

/// What the arguments say, defaults filled in.
pub(crate) struct Settings {
    /// Which runtime to build.
    pub(crate) flavor: Flavor,
    /// How many workers; an expression of type `usize`.
    pub(crate) worker_threads: Option<Expr>,
    /// Whether the clock stands still from the start.
    pub(crate) start_paused: Option<LitBool>,
    /// The name of the runtime's threads; an expression that converts into a `String`.
    pub(crate) name: Option<Expr>,
    /// Where the facade is found.
    pub(crate) facade: Path,
}

/// Every argument, with a value to show in messages.
const KNOWN: [(&str, &str); 5] = [
    ("flavor", "\"multi_thread\""),
    ("worker_threads", "4"),
    ("start_paused", "true"),
    ("name", "\"my-app\""),
    ("crate", "my_crate::runtime"),
];

/// One argument, its name known and not seen before.
struct Argument {
    /// What stands before the `=`.
    name: Ident,
    /// What stands after it; of any kind yet.
    value: Expr,
}

impl Settings {
    /// Reads `arguments`; what is wrong goes to `errors`, and the rest is returned.
    pub(crate) fn parse(entry: Entry, arguments: TokenStream, errors: &mut Errors) -> Settings {
        let parser = |input: ParseStream<'_>| Ok(parse_list(input, errors));
        let arguments = parser.parse2(arguments).unwrap_or_else(|error| {
            errors.push(error);
            Vec::new()
        });

        let mut settings = Settings {
            flavor: entry.default_flavor(),
            worker_threads: None,
            start_paused: None,
            name: None,
            facade: parse_quote! { ::runtime },
        };
        // Whether the flavor is as given, or by default; not so if what was given is unknown.
        let mut is_flavor_certain = true;
        for Argument { name, value } in &arguments {
            let read = match name.to_string().as_str() {
                "flavor" => flavor(value)
                    .map(|flavor| settings.flavor = flavor)
                    .inspect_err(|_| {
                        is_flavor_certain = false;
                    }),
                "worker_threads" => {
                    worker_threads(value).map(|n| settings.worker_threads = Some(n))
                }
                "start_paused" => start_paused(value).map(|yes| settings.start_paused = Some(yes)),
                "name" => thread_name(value).map(|name| settings.name = Some(name)),
                "crate" => facade(value).map(|path| settings.facade = path),
                other => unreachable!("the list holds only known arguments, not `{other}`"),
            };
            if let Err(error) = read {
                errors.push(error);
            }
        }
        if is_flavor_certain {
            check_combination(entry, settings.flavor, &arguments, errors);
        }
        settings
    }
}

/// Reads the list, leaving out what is wrong.
fn parse_list(input: ParseStream<'_>, errors: &mut Errors) -> Vec<Argument> {
    let mut arguments = Vec::<Argument>::new();
    while !input.is_empty() {
        let argument = parse_argument(input).and_then(|argument| {
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
            Ok(argument)
        });
        match argument {
            Ok(argument) if arguments.iter().any(|other| other.name == argument.name) => {
                errors.at(
                    &argument.name,
                    format!("`{}` is given twice", argument.name),
                );
            }
            Ok(argument) => arguments.push(argument),
            Err(error) => {
                errors.push(error);
                skip_past_comma(input);
            }
        }
    }
    arguments
}

/// Reads one `name = value`.
fn parse_argument(input: ParseStream<'_>) -> syn::Result<Argument> {
    if !input.peek(Ident::peek_any) {
        return Err(input.error("expected an argument such as `flavor = \"multi_thread\"`"));
    }
    let name = input.call(Ident::parse_any)?;
    let Some((_, example)) = KNOWN.iter().find(|(known, _)| name == known) else {
        let valid = KNOWN.map(|(known, _)| format!("`{known}`")).join(", ");
        let message = format!("unknown argument `{name}`; the valid ones are {valid}");
        return Err(syn::Error::new_spanned(name, message));
    };
    if !input.peek(Token![=]) {
        let message = format!("`{name}` needs a value, as in `{name} = {example}`");
        return Err(syn::Error::new_spanned(name, message));
    }
    input.parse::<Token![=]>()?;
    if input.is_empty() || input.peek(Token![,]) {
        let message = format!("`{name}` needs a value, as in `{name} = {example}`");
        return Err(syn::Error::new_spanned(name, message));
    }
    let value = input.parse()?;
    Ok(Argument { name, value })
}

/// Goes to the next argument.
fn skip_past_comma(input: ParseStream<'_>) {
    while let Ok(token) = input.parse::<TokenTree>() {
        if matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',') {
            return;
        }
    }
}

/// Reports arguments that have no meaning for the flavor.
fn check_combination(entry: Entry, flavor: Flavor, arguments: &[Argument], errors: &mut Errors) {
    let given = |name: &str| arguments.iter().find(|argument| argument.name == name);
    let is_default = given("flavor").is_none();
    let (argument, message, other) = match flavor {
        Flavor::CurrentThread => (
            given("worker_threads"),
            "the current-thread flavor has no workers to count",
            "multi_thread",
        ),
        Flavor::MultiThread => (
            given("start_paused"),
            "only the current-thread flavor can pause its clock",
            "current_thread",
        ),
    };
    let Some(Argument { name, value }) = argument else {
        return;
    };
    let advice = if is_default {
        let (attribute, default) = (entry.attribute(), flavor.name());
        format!("`{attribute}` is `{default}` by default, so add `flavor = \"{other}\"`")
    } else {
        format!("use `flavor = \"{other}\"`")
    };
    let argument = [name.to_token_stream(), value.to_token_stream()];
    errors.at(
        argument.into_iter().collect::<TokenStream>(),
        format!("{message}: {advice}, or remove `{name}`"),
    );
}

impl Flavor {
    /// The value of `flavor`.
    fn name(self) -> &'static str {
        match self {
            Flavor::MultiThread => "multi_thread",
            Flavor::CurrentThread => "current_thread",
        }
    }
}

/// The flavor, always a literal: what else it demands depends on it.
fn flavor(value: &Expr) -> syn::Result<Flavor> {
    let Some(Lit::Str(name)) = literal(value) else {
        return Err(expected(value, "flavor", "a string"));
    };
    match name.value().as_str() {
        "multi_thread" => Ok(Flavor::MultiThread),
        "current_thread" => Ok(Flavor::CurrentThread),
        unknown => Err(syn::Error::new_spanned(
            name,
            format!(
                "unknown flavor `{unknown}`; the valid ones are `multi_thread` and `current_thread`"
            ),
        )),
    }
}

/// A number of workers. Any expression will do: if it is not a literal, the compiler checks its type
/// and the builder its value.
fn worker_threads(value: &Expr) -> syn::Result<Expr> {
    match literal(value) {
        Some(Lit::Int(number)) if matches!(number.base10_parse::<u64>(), Ok(0)) => Err(
            syn::Error::new_spanned(number, "`worker_threads` must be at least 1"),
        ),
        Some(Lit::Int(_)) => Ok(value.clone()),
        Some(_) => Err(expected(value, "worker_threads", "an integer")),
        None => match ungrouped(value) {
            Expr::Unary(negative) if matches!(negative.op, UnOp::Neg(_)) => Err(
                syn::Error::new_spanned(negative, "`worker_threads` must be at least 1"),
            ),
            _ => Ok(value.clone()),
        },
    }
}

/// Whether to pause the clock.
fn start_paused(value: &Expr) -> syn::Result<LitBool> {
    match literal(value) {
        Some(Lit::Bool(yes)) => Ok(yes.clone()),
        _ => Err(expected(value, "start_paused", "`true` or `false`")),
    }
}

/// A name for threads. Any expression will do, `env!("CARGO_PKG_NAME")` for one.
fn thread_name(value: &Expr) -> syn::Result<Expr> {
    match literal(value) {
        Some(Lit::Str(_)) | None => Ok(value.clone()),
        Some(_) => Err(expected(value, "name", "a string")),
    }
}

/// The path of the facade: as it is, or in a string.
fn facade(value: &Expr) -> syn::Result<Path> {
    let wrong = || expected(value, "crate", "a path");
    match (literal(value), ungrouped(value)) {
        (Some(Lit::Str(path)), _) => path.parse_with(Path::parse_mod_style).map_err(|_| wrong()),
        (None, Expr::Path(path)) if path.qself.is_none() => Ok(path.path.clone()),
        _ => Err(wrong()),
    }
}

/// The literal that `value` is, if it is one.
fn literal(value: &Expr) -> Option<&Lit> {
    match ungrouped(value) {
        Expr::Lit(literal) => Some(&literal.lit),
        _ => None,
    }
}

/// `value` without the invisible groups that `macro_rules!` puts around what it substitutes.
fn ungrouped(mut value: &Expr) -> &Expr {
    while let Expr::Group(group) = value {
        value = &group.expr;
    }
    value
}

/// The error for a value of the wrong kind.
fn expected(value: &Expr, name: &str, what: &str) -> syn::Error {
    let example = KNOWN
        .iter()
        .find(|(known, _)| *known == name)
        .map_or("…", |(_, example)| example);
    let message = format!("expected {what}, as in `{name} = {example}`");
    syn::Error::new_spanned(value, message)
}
