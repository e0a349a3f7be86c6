//! The code of `select!`, `join!` and `try_join!`: what their outer halves in the facade, which let the compiler find the
//! expressions, hand on as invisible groups.
//!
//! Each future is pinned in a variable of its own and polled by one closure, in a loop over their numbers that begins where
//! the macro says. Names of ours are hygienic; the enum is not (no item is), so its name is one that nobody uses.
//!
//! `select!`: a future that has ended, and whose output the pattern refuses, is not polled again. The pattern decides
//! inside the closure, on a reference; it takes the output apart outside, where the handler is. All futures are dropped
//! in between.

use crate::errors::Error;
use crate::tokens::{Delimiter, Group, Span, TokenStream, TokenTree, code, is_punct, is_word};

/// What a macro of the facade hands on: `$crate { start } { … } …`.
struct Input {
    /// The path of the facade.
    facade: TokenStream,
    /// What stands between the braces, one after the other.
    groups: Vec<TokenStream>,
}

impl Input {
    /// Takes the input apart.
    fn read(input: TokenStream) -> Input {
        let mut facade = TokenStream::new();
        let mut groups = Vec::new();
        for token in input {
            match &token {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    groups.push(group.stream())
                }
                _ => facade.extend([token]),
            }
        }
        Input { facade, groups }
    }
}

/// `$crate { biased or fair } { else } { pattern } { future } { condition } { handler } …`, where `else` and `condition`
/// may be empty.
pub(crate) fn select(input: TokenStream) -> TokenStream {
    let Input { facade, groups } = Input::read(input);
    let [order, otherwise, branches @ ..] = &groups[..] else {
        unreachable!("`select!` hands on its two heads");
    };
    if branches.is_empty() {
        return Error::there(Span::call_site(), "`select!` needs a branch").code();
    }
    let mut text = Text::new(facade);
    let count = branches.len() / 4;
    let [
        mut kinds,
        mut variants,
        mut open,
        mut pins,
        mut polls,
        mut handlers,
    ] = [const { String::new() }; 6];
    for (n, branch) in branches.chunks_exact(4).enumerate() {
        let [pattern, future, condition, handler] = branch else {
            unreachable!("chunks of four");
        };
        text.part(format!("pattern{n}"), pattern.clone());
        text.part(format!("seen{n}"), seen(pattern.clone()));
        text.part(format!("future{n}"), future.clone());
        text.part(format!("handler{n}"), handler.clone());
        kinds += &format!("T{n},");
        variants += &format!("Of{n}(T{n}),");
        if condition.is_empty() {
            open += "true, ";
        } else {
            text.part(format!("condition{n}"), condition.clone());
            open += &format!("$condition{n}, ");
        }
        pins += &format!(
            "let future{n} = ::core::future::IntoFuture::into_future($future{n});
            let mut future{n} = ::core::pin::pin!(future{n});"
        );
        polls += &format!(
            "{n} if open[{n}] => match ::core::future::Future::poll(future{n}.as_mut(), context) {{
                ::core::task::Poll::Pending => is_pending = true,
                ::core::task::Poll::Ready(output) => {{
                    open[{n}] = false;
                    match &output {{
                        #[allow(unused_variables)]
                        $seen{n} => {{}}
                        #[allow(unreachable_patterns)]
                        _ => continue,
                    }}
                    return ::core::task::Poll::Ready(__Selected::Of{n}(output));
                }}
            }},"
        );
        handlers += &format!("__Selected::Of{n}($pattern{n}) => $handler{n},");
    }
    if otherwise.is_empty() {
        handlers += r#"__Selected::None => ::core::panic!("all branches are disabled and there is no `else`"),"#;
    } else {
        text.part("otherwise".into(), otherwise.clone());
        handlers += "__Selected::None => $otherwise,";
    }
    let start = match order.to_string().as_str() {
        "biased" => "0".to_owned(),
        _ => format!("$facade::concurrent::random({count})"),
    };
    text.code(&format!(
        r#"{{
            enum __Selected<{kinds}> {{ {variants} None }}
            let mut open: [bool; {count}] = [{open}];
            let count = open.len();
            let selected = {{
                {pins}
                ::core::future::poll_fn(|context| {{
                    let start: usize = {start};
                    let mut is_pending = false;
                    for turn in 0..count {{
                        match (start + turn) % count {{
                            {polls}
                            _ => {{}}
                        }}
                    }}
                    if is_pending {{
                        ::core::task::Poll::Pending
                    }} else {{
                        ::core::task::Poll::Ready(__Selected::None)
                    }}
                }})
                .await
            }};
            match selected {{
                {handlers}
                #[allow(unreachable_patterns)]
                _ => ::core::unreachable!("the pattern has matched before"),
            }}
        }}"#
    ))
}

/// What becomes of outputs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Join {
    /// All are awaited.
    All,
    /// Until one is an `Err`.
    Try,
}

/// `$crate { biased or fair } { future } …`
pub(crate) fn join(join: Join, input: TokenStream) -> TokenStream {
    let Input { facade, groups } = Input::read(input);
    let [order, futures @ ..] = &groups[..] else {
        unreachable!("the order is handed on");
    };
    let mut text = Text::new(facade);
    let count = futures.len();
    let [mut pins, mut polls, mut outputs] = [const { String::new() }; 3];
    let keep = |n| {
        match join {
        Join::All => format!("output{n} = ::core::option::Option::Some(output)"),
        Join::Try => format!(
            "match output {{
                ::core::result::Result::Ok(output) => output{n} = ::core::option::Option::Some(output),
                ::core::result::Result::Err(error) => {{
                    return ::core::task::Poll::Ready(::core::result::Result::Err(error));
                }}
            }}"
        ),
    }
    };
    for (n, future) in futures.iter().enumerate() {
        text.part(format!("future{n}"), future.clone());
        let keep = keep(n);
        pins += &format!(
            "let future{n} = ::core::future::IntoFuture::into_future($future{n});
            let mut future{n} = ::core::pin::pin!(::core::option::Option::Some(future{n}));
            let mut output{n} = ::core::option::Option::None;"
        );
        polls += &format!(
            "{n} => if let ::core::option::Option::Some(future) = future{n}.as_mut().as_pin_mut() {{
                match ::core::future::Future::poll(future, context) {{
                    ::core::task::Poll::Pending => is_pending = true,
                    ::core::task::Poll::Ready(output) => {{
                        future{n}.set(::core::option::Option::None);
                        {keep};
                    }}
                }}
            }},"
        );
        outputs += &format!(r#"output{n}.take().expect("not polled after its end"),"#);
    }
    let outputs = match join {
        Join::All => format!("({outputs})"),
        Join::Try => format!("::core::result::Result::Ok(({outputs}))"),
    };
    if count == 0 {
        return text.code(&outputs);
    }
    let step = match order.to_string().as_str() {
        "biased" => 0,
        _ => 1,
    };
    text.code(&format!(
        "{{
            {pins}
            let (mut first, count): (usize, usize) = (0, {count});
            ::core::future::poll_fn(|context| {{
                let start = first;
                first = (first + {step}) % count;
                let mut is_pending = false;
                for turn in 0..count {{
                    match (start + turn) % count {{
                        {polls}
                        _ => {{}}
                    }}
                }}
                if is_pending {{
                    ::core::task::Poll::Pending
                }} else {{
                    ::core::task::Poll::Ready({outputs})
                }}
            }})
            .await
        }}"
    ))
}

/// A text and what is to be put in.
struct Text {
    /// The parts by name.
    parts: Vec<(String, TokenStream)>,
}

impl Text {
    /// Without parts but the path of the facade.
    fn new(facade: TokenStream) -> Text {
        Text {
            parts: vec![("facade".into(), facade)],
        }
    }

    /// Adds a part.
    fn part(&mut self, name: String, tokens: TokenStream) {
        self.parts.push((name, tokens));
    }

    /// The code.
    fn code(self, text: &str) -> TokenStream {
        let parts = self
            .parts
            .iter()
            .map(|(name, part)| (name.as_str(), part.clone()));
        code(Span::mixed_site(), text, &parts.collect::<Vec<_>>())
    }
}

/// The pattern as it looks at a reference: without `ref` and `mut`, for nothing is moved or changed. (`&mut` remains.)
fn seen(pattern: TokenStream) -> TokenStream {
    let mut seen = Vec::<TokenTree>::new();
    for token in pattern {
        let is_dropped = is_word(Some(&token), "ref")
            || is_word(Some(&token), "mut") && !is_punct(seen.last(), '&');
        match &token {
            _ if is_dropped => {}
            TokenTree::Group(group) => {
                let mut inside = Group::new(group.delimiter(), self::seen(group.stream()));
                inside.set_span(group.span());
                seen.push(inside.into());
            }
            _ => seen.push(token),
        }
    }
    seen.into_iter().collect()
}
