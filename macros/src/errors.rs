//! Collects errors, so that one build tells the user of all of them.

use proc_macro2::TokenStream;
use quote::ToTokens;

/// The errors found so far. As tokens, it is one `compile_error!` for each.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    /// All of them, combined.
    combined: Option<syn::Error>,
    /// How many there are.
    count: usize,
}

impl Errors {
    /// Adds an error that points at all of `tokens`.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl std::fmt::Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// Adds an error.
    pub(crate) fn push(&mut self, error: syn::Error) {
        self.count += 1;
        match &mut self.combined {
            Some(combined) => combined.combine(error),
            none => *none = Some(error),
        }
    }

    /// How many errors were added.
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

impl ToTokens for Errors {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        if let Some(combined) = &self.combined {
            tokens.extend(combined.to_compile_error());
        }
    }
}
