//! Who takes part in a comparison, whatever it is written in.
//!
//! A [`Contestant`] has a name and answers questions. Most are crates behind [`Rt`], in this process or in a [fresh] one;
//! [Go](crate::go) is a program of its own. [`Contestants`] is the list that a bench makes; ours comes first, then the peer that ratios
//! and goals refer to.

use std::cell::OnceCell;
use std::process::ExitCode;

use crate::fresh::{self, Rescue};
use crate::questions::{Effort, Home, Question, all};
use crate::table::WORKERS;
use crate::{Rt, client};

/// One side of a comparison.
pub trait Contestant {
    /// The name in the table and behind `--peers`.
    fn name(&self) -> &'static str;

    /// Returns whether it has an equivalent of the question.
    fn knows(&self, question: &str) -> bool;

    /// Measures the question once; `None` if that fails.
    fn measure(&self, question: &str, effort: Effort) -> Option<Vec<f64>>;

    /// Measures the question once in a fresh process; `None` if that fails.
    fn measure_fresh(&self, question: &str, effort: Effort) -> Option<Vec<f64>>;

    /// Does what the arguments of a [fresh] process say.
    fn run_fresh(&self, arguments: &[String]) -> ExitCode;
}

/// A runtime behind [`Rt`].
struct Crate<R> {
    /// The questions, in the order of the table.
    questions: Vec<Question<R>>,
    /// Started when the first question is asked in this process; lives as long as the table.
    rt: OnceCell<R>,
}

impl<R: Rt> Contestant for Crate<R> {
    fn name(&self) -> &'static str {
        R::NAME
    }

    fn knows(&self, question: &str) -> bool {
        !R::LACKS.contains(&question)
    }

    fn measure(&self, question: &str, effort: Effort) -> Option<Vec<f64>> {
        let mut questions = self.questions.iter();
        let question = questions.find(|other| other.name == question)?;
        let values = match question.home {
            Home::Shared => {
                let rt = self.rt.get_or_init(|| R::start(WORKERS));
                let _limit = fresh::guard(R::NAME, &question.name);
                (question.measure)(rt, effort)
            }
            Home::Own => self.measure_fresh(&question.name, effort)?,
        };
        assert_eq!(
            values.len(),
            question.metrics.len(),
            "{} has other figures",
            question.name
        );
        Some(values)
    }

    fn measure_fresh(&self, question: &str, effort: Effort) -> Option<Vec<f64>> {
        fresh::measure(fresh::this(), R::NAME, Rescue::On, question, effort)
    }

    fn run_fresh(&self, arguments: &[String]) -> ExitCode {
        fresh::run::<R>(arguments)
    }
}

/// All who take part, in the order of the columns.
#[derive(Default)]
pub struct Contestants(Vec<Box<dyn Contestant>>);

impl std::fmt::Debug for Contestants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|contestant| contestant.name()))
            .finish()
    }
}

impl Contestants {
    /// Adds a crate.
    #[must_use]
    pub fn with<R: Rt>(self) -> Self {
        self.and(Crate::<R> {
            questions: all(),
            rt: OnceCell::new(),
        })
    }

    /// Adds anybody.
    #[must_use]
    pub fn and(mut self, contestant: impl Contestant + 'static) -> Self {
        self.0.push(Box::new(contestant));
        self
    }

    /// Keeps ours, the peer that goals refer to, and the peers of these names; without names, all.
    pub fn keep(&mut self, peers: &[String]) {
        let mut place = 0;
        self.0.retain(|contestant| {
            place += 1;
            let is_named = peers.iter().any(|peer| peer == contestant.name());
            place <= 2 || peers.is_empty() || is_named
        });
    }

    /// Returns them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &dyn Contestant> {
        self.0.iter().map(|contestant| &**contestant)
    }

    /// If this process was started as a client or to measure one question, does that.
    pub fn serve(&self, arguments: &[String]) -> Option<ExitCode> {
        match arguments.first().map(String::as_str) {
            Some(client::FLAG) => {
                client::run(&arguments[1..]);
                Some(ExitCode::SUCCESS)
            }
            Some(fresh::FLAG) => {
                let mut all = self.iter();
                let wanted = all.find(|contestant| contestant.name() == arguments[1]);
                let wanted = wanted.expect("the other end knows the contestants");
                Some(wanted.run_fresh(&arguments[2..]))
            }
            _ => None,
        }
    }
}
