//! Collects errors, so that one build tells the user of all of them.

use crate::tokens::{
    Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree,
};

/// What is wrong, and with which tokens.
#[derive(Debug)]
pub(crate) struct Error {
    /// Where the first of the tokens is.
    first: Span,
    /// Where the last of them is.
    last: Span,
    /// What to tell the user.
    message: String,
}

impl Error {
    /// An error that points at all of `tokens`.
    pub(crate) fn at(tokens: &[TokenTree], message: impl Into<String>) -> Error {
        let span = |token: Option<&TokenTree>| token.map_or_else(Span::call_site, TokenTree::span);
        Error {
            first: span(tokens.first()),
            last: span(tokens.last()),
            message: message.into(),
        }
    }

    /// An error that points at one place.
    pub(crate) fn there(span: Span, message: impl Into<String>) -> Error {
        Error {
            first: span,
            last: span,
            message: message.into(),
        }
    }

    /// `::core::compile_error! { message }`: the compiler points at what lies from its first token to its last.
    pub(crate) fn code(&self) -> TokenStream {
        let punct = |char, spacing| TokenTree::from(Punct::new(char, spacing));
        let mut message = TokenTree::from(Literal::string(&self.message));
        message.set_span(self.last);
        let mut tokens = [
            punct(':', Spacing::Joint),
            punct(':', Spacing::Alone),
            Ident::new("core", self.first).into(),
            punct(':', Spacing::Joint),
            punct(':', Spacing::Alone),
            Ident::new("compile_error", self.first).into(),
            punct('!', Spacing::Alone),
            Group::new(Delimiter::Brace, message.into()).into(),
        ];
        for token in &mut tokens[..7] {
            token.set_span(self.first);
        }
        tokens[7].set_span(self.last);
        tokens.into_iter().collect()
    }
}

/// The errors found so far.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    /// All of them, in order.
    found: Vec<Error>,
}

impl Errors {
    /// Adds an error that points at all of `tokens`.
    pub(crate) fn at(&mut self, tokens: &[TokenTree], message: impl Into<String>) {
        self.push(Error::at(tokens, message));
    }

    /// Adds an error.
    pub(crate) fn push(&mut self, error: Error) {
        self.found.push(error);
    }

    /// How many errors were added.
    pub(crate) fn count(&self) -> usize {
        self.found.len()
    }

    /// One `compile_error!` for each.
    pub(crate) fn code(&self) -> TokenStream {
        self.found.iter().flat_map(Error::code).collect()
    }
}
