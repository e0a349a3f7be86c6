//! What the command line of a bench asks for.

use std::path::PathBuf;
use std::time::Duration;

use crate::questions::Effort;

/// What the command line asks for.
#[derive(Debug)]
pub struct Options {
    /// Parts of the names of what is wanted; none: all.
    pub names: Vec<String>,
    /// Which peers take part; none: all.
    pub peers: Vec<String>,
    /// How many rounds.
    pub rounds: usize,
    /// Whether the rounds are paired, in fresh processes, and the figure is an interval.
    pub is_paired: bool,
    /// Another build's executable of the same bench, to be compared with.
    pub against: Option<PathBuf>,
    /// Whether nothing is measured: what was saved is printed and drawn again.
    pub is_redraw: bool,
    /// How often a disturbed measurement is repeated.
    pub patience: u32,
    /// How much work each.
    pub effort: Effort,
    /// Only say what could be measured.
    pub is_list: bool,
}

impl Options {
    /// Reads what Cargo and the user pass; `rounds` is the default. Cargo passes `--bench` for `cargo bench` only; without
    /// it, as under `cargo test --benches`, each question is only tried, as Criterion does it.
    ///
    /// # Panics
    ///
    /// If an option lacks what belongs behind it.
    pub fn parse(mut arguments: impl Iterator<Item = String>, rounds: u32) -> Self {
        let (mut is_bench, mut is_test, mut is_list) = (false, false, false);
        let (mut names, mut rounds, mut quiet, mut patience) = (Vec::new(), rounds as usize, 15, 1);
        let (mut peers, mut is_paired, mut against) = (Vec::new(), false, None);
        let mut is_redraw = false;
        while let Some(argument) = arguments.next() {
            let mut word = || {
                let word = arguments.next();
                word.unwrap_or_else(|| panic!("{argument} needs something behind it"))
            };
            let number = |word: String| {
                let value = word.parse::<u32>().ok();
                value.unwrap_or_else(|| panic!("{word} is no number"))
            };
            match argument.as_str() {
                "--bench" => is_bench = true,
                "--test" => is_test = true,
                "--list" => is_list = true,
                "--redraw" => is_redraw = true,
                "--rounds" => rounds = number(word()).max(1) as usize,
                "--paired" => (is_paired, rounds) = (true, number(word()).max(1) as usize),
                "--against" => against = Some(word().into()),
                "--peers" => peers.extend(word().split(',').map(String::from)),
                "--quiet" => quiet = number(word()),
                "--patience" => patience = number(word()),
                other if other.starts_with('-') => eprintln!("{other} means nothing here"),
                _ => names.push(argument),
            }
        }
        let effort = match is_bench && !is_test {
            true => Effort::Full {
                quiet: Duration::from_secs(quiet.into()),
            },
            false => Effort::Smoke,
        };
        Self {
            names,
            peers,
            is_paired: is_paired || against.is_some(),
            against,
            is_redraw,
            rounds: effort.pick(rounds, 1),
            patience: effort.pick(patience, 0),
            effort,
            is_list,
        }
    }

    /// Whether the command line names one of these, or nothing at all.
    pub fn want<'a>(&self, known: impl IntoIterator<Item = &'a str>) -> bool {
        let is_named = |known: &str| self.names.iter().any(|name| known.contains(name.as_str()));
        self.names.is_empty() || known.into_iter().any(is_named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Options {
        Options::parse(line.split_whitespace().map(String::from), 5)
    }

    #[test]
    fn without_cargo_bench_it_is_a_trial() {
        assert!(matches!(parse("--rounds 9").effort, Effort::Smoke));
        assert!(matches!(parse("--bench --test").effort, Effort::Smoke));
        assert!(matches!(parse("--bench").effort, Effort::Full { .. }));
    }

    #[test]
    fn names_and_numbers_are_told_apart() {
        let options = parse("yield_storm --bench --rounds 9 --quiet 1");
        assert_eq!(options.names, ["yield_storm"]);
        assert_eq!(options.rounds, 9);
        assert_eq!(parse("--bench").rounds, 5);
        assert!(matches!(options.effort, Effort::Full { quiet } if quiet.as_secs() == 1));
    }

    #[test]
    fn peers_and_pairs() {
        let options = parse("--bench --peers nio,go --paired 31 spawn");
        assert_eq!(options.peers, ["nio", "go"]);
        assert!(options.is_paired);
        assert_eq!(options.rounds, 31);
        assert_eq!(options.names, ["spawn"]);
        assert!(!parse("--bench").is_paired);
        assert!(parse("--bench --against other").is_paired);
    }

    #[test]
    fn a_part_of_a_name_is_enough_and_no_name_wants_everything() {
        assert!(parse("storm").want(["ping_pair", "yield_storm"]));
        assert!(!parse("storm").want(["ping_pair"]));
        assert!(parse("").want(["ping_pair"]));
    }
}
