//! A command line of the suite, and how its two outputs are compared.

use std::any::Any;

/// Where a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// Among the commands netwhy was asked to answer first.
    Seed,
    /// From a manual's examples or synopsis.
    Manual,
}

/// What a comparison said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Byte for byte, volatile fields aside.
    Identical,
    /// The same content; the line says what differs and why.
    Equivalent,
    /// netwhy refuses it by name, and the line says why.
    Refused,
    /// Neither.
    Different,
    /// netwhy does not have the tool yet.
    Missing,
    /// The real tool is not there.
    Skipped,
}

impl Outcome {
    pub(crate) const ALL: [Self; 6] =
        [Self::Identical, Self::Equivalent, Self::Refused, Self::Different, Self::Missing, Self::Skipped];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::Equivalent => "equivalent",
            Self::Refused => "refused",
            Self::Different => "DIFFERENT",
            Self::Missing => "missing",
            Self::Skipped => "skipped",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.word() == word)
    }
}

/// How outputs that are not identical may still be equivalent.
#[derive(Clone, Copy)]
pub(crate) enum Compare {
    /// They may not.
    Exact,
    /// The same lines in another order.
    Sorted,
    /// The same JSON value, white space and the order of keys aside.
    Json,
    /// As a function says.
    By(fn(&str, &str) -> bool),
}

/// A command line.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    /// As a shell takes it.
    pub(crate) command: &'static str,
    pub(crate) origin: Origin,
    pub(crate) compare: Compare,
    /// Why equivalent is good enough, or why it is refused.
    pub(crate) reason: &'static str,
    /// netwhy is expected to refuse it.
    pub(crate) refused: bool,
    /// A line that changes something: what shows the change (with the real tool), and what takes it back.
    pub(crate) change: Option<(&'static str, &'static str)>,
    /// A line that waits for events: what makes them happen, and a word of the last one.
    pub(crate) watch: Option<(&'static str, &'static str)>,
}

const fn line(command: &'static str, origin: Origin) -> Line {
    Line { command, origin, compare: Compare::Exact, reason: "", refused: false, change: None, watch: None }
}

/// A line netwhy was asked for first.
pub(crate) const fn seed(command: &'static str) -> Line {
    line(command, Origin::Seed)
}

/// A line from a manual.
pub(crate) const fn manual(command: &'static str) -> Line {
    line(command, Origin::Manual)
}

#[allow(dead_code, reason = "each group uses what it needs")]
impl Line {
    /// Equivalent with the same lines in another order, because ...
    pub(crate) const fn sorted(self, reason: &'static str) -> Self {
        Line { compare: Compare::Sorted, reason, ..self }
    }

    /// Equivalent with the same JSON value, because ...
    pub(crate) const fn json(self, reason: &'static str) -> Self {
        Line { compare: Compare::Json, reason, ..self }
    }

    /// Equivalent where `same` says so, because ...
    pub(crate) const fn by(self, same: fn(&str, &str) -> bool, reason: &'static str) -> Self {
        Line { compare: Compare::By(same), reason, ..self }
    }

    /// Refused by netwhy, because ...
    pub(crate) const fn refused(self, reason: &'static str) -> Self {
        Line { refused: true, reason, ..self }
    }

    /// Changes something: `probe` shows it, `heal` takes it back.
    pub(crate) const fn changes(self, probe: &'static str, heal: &'static str) -> Self {
        Line { change: Some((probe, heal)), ..self }
    }

    /// Waits for events: `doing` makes them; the first line that holds `until` ends the comparison.
    pub(crate) const fn watching(self, doing: &'static str, until: &'static str) -> Self {
        Line { watch: Some((doing, until)), ..self }
    }
}

/// What a group's state keeps alive.
pub(crate) type State = Box<dyn Any>;

/// Lines that are run in one namespace.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    /// Builds the state, inside the namespace.
    pub(crate) state: fn() -> Result<State, String>,
    /// Evens out what changes from one run to the next.
    pub(crate) normalise: fn(&str) -> String,
    pub(crate) lines: Vec<Line>,
}
