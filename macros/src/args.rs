//! Reads the arguments of the attributes: `name = value`, separated by commas.
//!
//! Reading goes on after an error, with the next argument. What was wrong counts as not given, and is
//! left out of the checks of one argument against another, which would only confuse.
//!
//! A value is what stands before the next comma. That it is an expression is for the compiler to say, where the
//! expansion has put it.

use crate::entry::Entry;
use crate::errors::{Error, Errors};
use crate::tokens::{
    Delimiter, Span, TokenStream, TokenTree, bare, code, group, is_punct, is_word, length_before,
};

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
    pub(crate) worker_threads: Option<TokenStream>,
    /// Whether the clock stands still from the start; `true` or `false`.
    pub(crate) start_paused: Option<TokenStream>,
    /// The name of the runtime's threads; an expression that converts into a `String`.
    pub(crate) name: Option<TokenStream>,
    /// The path where the facade is found.
    pub(crate) facade: TokenStream,
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
    name: String,
    /// All tokens of it, the name first.
    tokens: Vec<TokenTree>,
    /// What stands after the `=`: at least one token, of any kind yet.
    value: Vec<TokenTree>,
}

/// A literal, as far as arguments tell one from another.
enum Literal {
    /// A string without escapes, and what it holds.
    Text(String),
    /// A whole number, and whether it is zero.
    Whole { is_zero: bool },
    /// `true` or `false`.
    Truth,
    /// Another one.
    Other,
}

impl Settings {
    /// Reads `arguments`; what is wrong goes to `errors`, and the rest is returned.
    pub(crate) fn parse(entry: Entry, arguments: TokenStream, errors: &mut Errors) -> Settings {
        let arguments = parse_list(arguments, errors);
        let mut settings = Settings {
            flavor: entry.default_flavor(),
            worker_threads: None,
            start_paused: None,
            name: None,
            facade: code(Span::call_site(), "::runtime", &[]),
        };
        // Whether the flavor is as given, or by default; not so if what was given is unknown.
        let mut is_flavor_certain = true;
        for Argument { name, value, .. } in &arguments {
            let read = match name.as_str() {
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
fn parse_list(list: TokenStream, errors: &mut Errors) -> Vec<Argument> {
    let mut arguments = Vec::<Argument>::new();
    let list = bare(list);
    let mut rest = &list[..];
    while !rest.is_empty() {
        // `<` compares, but behind `::` and at the start of a value.
        let opens = |before| matches!(before, ':' | '=');
        let length = length_before(rest, opens, |token| is_punct(Some(token), ','));
        let argument = &rest[..length];
        rest = rest.get(length + 1..).unwrap_or_default();
        match parse_argument(argument) {
            Ok(argument) if arguments.iter().any(|other| other.name == argument.name) => {
                let message = format!("`{}` is given twice", argument.name);
                errors.at(&argument.tokens[..1], message);
            }
            Ok(argument) => arguments.push(argument),
            Err(error) => errors.push(error),
        }
    }
    arguments
}

/// Reads one `name = value`.
fn parse_argument(tokens: &[TokenTree]) -> Result<Argument, Error> {
    let Some(TokenTree::Ident(name)) = tokens.first() else {
        return Err(Error::at(
            tokens.get(..1).unwrap_or_default(),
            "expected an argument such as `flavor = \"multi_thread\"`",
        ));
    };
    let name = name.to_string();
    let Some((_, example)) = KNOWN.iter().find(|(known, _)| name == *known) else {
        let valid = KNOWN.map(|(known, _)| format!("`{known}`")).join(", ");
        let message = format!("unknown argument `{name}`; the valid ones are {valid}");
        return Err(Error::at(&tokens[..1], message));
    };
    if !is_punct(tokens.get(1), '=') || tokens.len() == 2 {
        let message = format!("`{name}` needs a value, as in `{name} = {example}`");
        return Err(Error::at(&tokens[..1], message));
    }
    let value = &tokens[2..];
    // The next argument, without a comma before it. (`a == b` is no assignment.)
    let next = (1..value.len()).find(|&at| {
        matches!(value[at], TokenTree::Ident(_))
            && !matches!(value[at - 1], TokenTree::Punct(_))
            && is_punct(value.get(at + 1), '=')
            && !is_punct(value.get(at + 2), '=')
    });
    if let Some(next) = next {
        return Err(Error::at(&value[next..=next], "expected `,`"));
    }
    Ok(Argument {
        name,
        tokens: tokens.to_vec(),
        value: value.to_vec(),
    })
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
    let Some(Argument { name, tokens, .. }) = argument else {
        return;
    };
    let advice = if is_default {
        let (attribute, default) = (entry.attribute(), flavor.name());
        format!("`{attribute}` is `{default}` by default, so add `flavor = \"{other}\"`")
    } else {
        format!("use `flavor = \"{other}\"`")
    };
    errors.at(tokens, format!("{message}: {advice}, or remove `{name}`"));
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
fn flavor(value: &[TokenTree]) -> Result<Flavor, Error> {
    let Some(Literal::Text(name)) = literal(value) else {
        return Err(expected(value, "flavor", "a string"));
    };
    match name.as_str() {
        "multi_thread" => Ok(Flavor::MultiThread),
        "current_thread" => Ok(Flavor::CurrentThread),
        unknown => Err(Error::at(
            value,
            format!(
                "unknown flavor `{unknown}`; the valid ones are `multi_thread` and `current_thread`"
            ),
        )),
    }
}

/// A number of workers. Any expression will do: if it is not a literal, the compiler checks its type
/// and the builder its value.
fn worker_threads(value: &[TokenTree]) -> Result<TokenStream, Error> {
    let is_negative = is_punct(ungrouped(value).first(), '-');
    match literal(value) {
        Some(Literal::Whole { is_zero: false }) => Ok(tokens(value)),
        Some(Literal::Whole { is_zero: true }) => {
            Err(Error::at(value, "`worker_threads` must be at least 1"))
        }
        Some(_) => Err(expected(value, "worker_threads", "an integer")),
        None if is_negative => Err(Error::at(value, "`worker_threads` must be at least 1")),
        None => Ok(tokens(value)),
    }
}

/// Whether to pause the clock.
fn start_paused(value: &[TokenTree]) -> Result<TokenStream, Error> {
    match literal(value) {
        Some(Literal::Truth) => Ok(tokens(value)),
        _ => Err(expected(value, "start_paused", "`true` or `false`")),
    }
}

/// A name for threads. Any expression will do, `env!("CARGO_PKG_NAME")` for one.
fn thread_name(value: &[TokenTree]) -> Result<TokenStream, Error> {
    match literal(value) {
        Some(Literal::Text(_)) | None => Ok(tokens(value)),
        Some(_) => Err(expected(value, "name", "a string")),
    }
}

/// The path of the facade: as it is, or in a string.
fn facade(value: &[TokenTree]) -> Result<TokenStream, Error> {
    let path = match literal(value) {
        // Located at the string.
        Some(Literal::Text(path)) => path.parse::<TokenStream>().map(|path| {
            path.into_iter()
                .map(|mut token| {
                    token.set_span(value[0].span());
                    token
                })
                .collect()
        }),
        _ => Ok(ungrouped(value)),
    };
    match path {
        Ok(path) if is_path(&path) => Ok(tokens(&path)),
        _ => Err(expected(value, "crate", "a path")),
    }
}

/// Whether the tokens are words with `::` between them, and perhaps before them.
fn is_path(mut tokens: &[TokenTree]) -> bool {
    let mut is_first = true;
    loop {
        let colons = tokens
            .iter()
            .take_while(|token| is_punct(Some(token), ':'))
            .count();
        if colons != 2 && !(is_first && colons == 0) {
            return false;
        }
        match tokens.get(colons) {
            Some(TokenTree::Ident(_)) => tokens = &tokens[colons + 1..],
            _ => return false,
        }
        if tokens.is_empty() {
            return true;
        }
        is_first = false;
    }
}

/// The literal that `value` is, if it is one.
fn literal(value: &[TokenTree]) -> Option<Literal> {
    let value = ungrouped(value);
    let [token] = &value[..] else {
        return None;
    };
    if is_word(Some(token), "true") || is_word(Some(token), "false") {
        return Some(Literal::Truth);
    }
    let TokenTree::Literal(literal) = token else {
        return None;
    };
    let text = literal.to_string();
    let inside = text
        .strip_prefix('r')
        .unwrap_or(&text)
        .trim_matches('#')
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    if let Some(inside) = inside {
        return Some(Literal::Text(inside.to_owned()));
    }
    let (digits, radix) = match text.get(..2) {
        Some("0x") => (&text[2..], 16),
        Some("0o") => (&text[2..], 8),
        Some("0b") => (&text[2..], 2),
        _ => (&text[..], 10),
    };
    let end = digits.find(|char: char| char != '_' && !char.is_digit(radix));
    let (digits, suffix) = digits.split_at(end.unwrap_or(digits.len()));
    // A whole number may have the type as a suffix; `.`, `e` and `f` are a fraction's.
    Some(
        if digits.is_empty() || !(suffix.is_empty() || suffix.starts_with(['u', 'i'])) {
            Literal::Other
        } else {
            Literal::Whole {
                is_zero: digits.chars().all(|char| matches!(char, '0' | '_')),
            }
        },
    )
}

/// `value` without invisible groups around it.
fn ungrouped(value: &[TokenTree]) -> Vec<TokenTree> {
    match value {
        [token] if group(Some(token), Delimiter::None).is_some() => bare(tokens(value)),
        _ => value.to_vec(),
    }
}

/// As a stream.
fn tokens(value: &[TokenTree]) -> TokenStream {
    value.iter().cloned().collect()
}

/// The error for a value of the wrong kind.
fn expected(value: &[TokenTree], name: &str, what: &str) -> Error {
    let example = KNOWN
        .iter()
        .find(|(known, _)| *known == name)
        .map_or("…", |(_, example)| example);
    let message = format!("expected {what}, as in `{name} = {example}`");
    Error::at(value, message)
}
