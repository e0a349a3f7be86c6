//! Tokens: those of the compiler, and what we need beside them to read and write code.
//!
//! Unit tests run outside the compiler, where its tokens do not exist; there `proc_macro2` stands in for them, with the same
//! names. This is the only place that knows.

#[cfg(not(test))]
pub(crate) use proc_macro::{
    Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree,
};
#[cfg(test)]
pub(crate) use proc_macro2::{
    Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree,
};

/// Whether the token is this identifier or keyword.
pub(crate) fn is_word(token: Option<&TokenTree>, word: &str) -> bool {
    matches!(token, Some(token @ TokenTree::Ident(_)) if token.to_string() == word)
}

/// Whether the token is this character of punctuation.
pub(crate) fn is_punct(token: Option<&TokenTree>, char: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == char)
}

/// The group, if the token is one with these delimiters.
pub(crate) fn group(token: Option<&TokenTree>, delimiter: Delimiter) -> Option<&Group> {
    match token {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group),
        _ => None,
    }
}

/// The tokens of a stream, without the invisible groups around all of it that `macro_rules!` puts around what it substitutes.
pub(crate) fn bare(stream: TokenStream) -> Vec<TokenTree> {
    let tokens: Vec<_> = stream.into_iter().collect();
    match &tokens[..] {
        [TokenTree::Group(group)] if group.delimiter() == Delimiter::None => bare(group.stream()),
        _ => tokens,
    }
}

/// How many tokens stand before the first that is an `end` outside of `<…>`. A `<` opens if `opens` says so of the character
/// of punctuation before it (else a space), and inside of another always; a `>` behind `-` or `=` belongs to an arrow.
pub(crate) fn length_before(
    tokens: &[TokenTree],
    opens: impl Fn(char) -> bool,
    end: impl Fn(&TokenTree) -> bool,
) -> usize {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (at, token) in tokens.iter().enumerate() {
        if depth == 0 && end(token) {
            return at;
        }
        let char = match token {
            TokenTree::Punct(punct) => punct.as_char(),
            _ => ' ',
        };
        match char {
            '<' if depth > 0 || opens(before) => depth += 1,
            '>' if !matches!(before, '-' | '=') => depth = depth.saturating_sub(1),
            _ => {}
        }
        before = char;
    }
    tokens.len()
}

/// Code from a text in which `$name` stands for the tokens of that name in `parts`; a space parts it from punctuation before it.
/// All other tokens have the span `span`.
pub(crate) fn code(span: Span, text: &str, parts: &[(&str, TokenStream)]) -> TokenStream {
    let text = text.parse().expect("our own texts consist of tokens");
    filled(span, text, parts)
}

/// Puts the parts in.
fn filled(span: Span, text: TokenStream, parts: &[(&str, TokenStream)]) -> TokenStream {
    let mut out = TokenStream::new();
    let mut tokens = text.into_iter();
    while let Some(mut token) = tokens.next() {
        if is_punct(Some(&token), '$') {
            let name = tokens.next().map(|name| name.to_string());
            let part = parts
                .iter()
                .find(|(part, _)| Some(*part) == name.as_deref());
            let (_, part) = part.expect("each `$name` in our texts has its part");
            out.extend(part.clone());
            continue;
        }
        if let TokenTree::Group(group) = &token {
            let inside = filled(span, group.stream(), parts);
            token = Group::new(group.delimiter(), inside).into();
        }
        token.set_span(span);
        out.extend([token]);
    }
    out
}
