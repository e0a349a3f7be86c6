//! What the command line of a bench asks for.

use std::time::Duration;

use crate::questions::Effort;

/// What the command line asks for.
#[derive(Debug)]
pub struct Options {
    /// Parts of the names of what is wanted; none: all.
    pub names: Vec<String>,
    /// How many rounds.
    pub rounds: usize,
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
    /// If an option that takes a number has none behind it.
    pub fn parse(mut arguments: impl Iterator<Item = String>, rounds: u32) -> Self {
        let (mut is_bench, mut is_test, mut is_list) = (false, false, false);
        let (mut names, mut rounds, mut quiet, mut patience) = (Vec::new(), rounds as usize, 15, 1);
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let value = arguments.next().and_then(|value| value.parse::<u32>().ok());
                value.unwrap_or_else(|| panic!("{argument} needs a number behind it"))
            };
            match argument.as_str() {
                "--bench" => is_bench = true,
                "--test" => is_test = true,
                "--list" => is_list = true,
                "--rounds" => rounds = number().max(1) as usize,
                "--quiet" => quiet = number(),
                "--patience" => patience = number(),
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
    fn a_part_of_a_name_is_enough_and_no_name_wants_everything() {
        assert!(parse("storm").want(["ping_pair", "yield_storm"]));
        assert!(!parse("storm").want(["ping_pair"]));
        assert!(parse("").want(["ping_pair"]));
    }
}
