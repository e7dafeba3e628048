//! A case: a network, a fault, what the victim sees, the question, and the right answer.

pub mod locus;

use std::rc::Rc;

use serde_json::Value;

use crate::error::{LabError, Result};
use crate::lab::Lab;
use crate::probe::Outcome;
use crate::topology::Topology;

/// One fault produced on purpose.
pub struct Case {
    /// Its name; the file's name with hyphens.
    pub id: &'static str,
    /// One line.
    pub title: &'static str,
    /// The network it happens in.
    pub topology: Topology,
    /// What is asked, and where.
    pub ask: Ask,
    /// Who suffers, and what it sees.
    pub victim: Victim,
    /// Breaks it and says what the answer must be.
    pub fault: fn(&mut Lab) -> Result<Broken>,
    /// Causes that look alike and must be named as ruled out.
    pub ruled_out: &'static [&'static str],
    /// How long the answer may take, in milliseconds.
    pub budget_ms: u64,
}

/// The question.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// Where it is asked.
    pub node: &'static str,
    /// The arguments of `netwhy`, without output options.
    pub args: &'static [&'static str],
}

/// The attempt that fails.
#[derive(Debug, Clone, Copy)]
pub struct Victim {
    /// Where it is made.
    pub node: &'static str,
    /// To what: `tcp://203.0.113.2:8080`.
    pub target: &'static str,
    /// What it sees, any of these: phase and error. Empty: it works (a control).
    pub sees: &'static [&'static str],
}

/// The right answer.
#[derive(Debug, Clone)]
pub enum Expect {
    /// These root causes, no others.
    Causes(Vec<Expected>),
    /// Nothing is wrong.
    Healthy,
    /// The trouble is not on the host that was asked; and this is how it shows there.
    Outside(&'static str),
    /// What can be known there does not decide it.
    Undetermined,
}

/// One root cause.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Its id.
    pub cause: &'static str,
    /// Fields the locus must have, as the JSON contract writes them.
    pub locus: Value,
}

type Heal = Rc<dyn Fn(&mut Lab) -> Result<()>>;

/// What a fault leaves behind: the right answer, and how a person would repair it.
pub struct Broken {
    /// The right answer.
    pub expect: Expect,
    /// What a person who knows would do. Does not depend on netwhy.
    pub heal: Option<Heal>,
    /// How a person would repair one of several causes, where the printed fix is for a person to do. One that
    /// is not among the expected causes comes to light only when those are repaired: naming it then is
    /// neither right nor wrong.
    pub steps: Vec<(&'static str, Heal)>,
}

impl Broken {
    /// Broken by one cause at one object.
    #[must_use]
    pub fn by(cause: &'static str, locus: Value) -> Self {
        Broken { expect: Expect::Causes(vec![Expected { cause, locus }]), heal: None, steps: Vec::new() }
    }

    /// And by a second one.
    #[must_use]
    pub fn and(mut self, cause: &'static str, locus: Value) -> Self {
        if let Expect::Causes(list) = &mut self.expect {
            list.push(Expected { cause, locus });
        }
        self
    }

    /// A control: nothing is wrong, and nothing is to be accused.
    #[must_use]
    pub const fn healthy() -> Self {
        Broken { expect: Expect::Healthy, heal: None, steps: Vec::new() }
    }

    /// The trouble is elsewhere than on the host that is asked, where this cause tells of it.
    #[must_use]
    pub const fn outside(shows_as: &'static str) -> Self {
        Broken { expect: Expect::Outside(shows_as), heal: None, steps: Vec::new() }
    }

    /// Broken twice: by this and by that. Each part's repair is a step of the whole.
    #[must_use]
    pub fn join(self, other: Broken) -> Self {
        let (mut causes, mut steps, mut heals) = (Vec::new(), Vec::new(), Vec::new());
        for part in [self, other] {
            if let (Expect::Causes(list), Some(heal)) = (part.expect, part.heal) {
                steps.extend(part.steps);
                steps.extend(list.iter().map(|one| (one.cause, Rc::clone(&heal))));
                causes.extend(list);
                heals.push(heal);
            }
        }
        let heal = move |lab: &mut Lab| heals.iter().try_for_each(|heal| heal(lab));
        Broken { expect: Expect::Causes(causes), heal: Some(Rc::new(heal)), steps }
    }

    /// How a person would repair one of several causes.
    #[must_use]
    pub fn step(mut self, cause: &'static str, heal: impl Fn(&mut Lab) -> Result<()> + 'static) -> Self {
        self.steps.push((cause, Rc::new(heal)));
        self
    }

    /// How to repair all of it.
    #[must_use]
    pub fn heal(mut self, heal: impl Fn(&mut Lab) -> Result<()> + 'static) -> Self {
        self.heal = Some(Rc::new(heal));
        self
    }
}

/// Whether `locus` has every field that `wanted` names, with that value.
#[must_use]
pub fn locus_fits(wanted: &Value, locus: &Value) -> bool {
    match (wanted, locus) {
        (Value::Object(wanted), Value::Object(have)) => {
            wanted.iter().all(|(field, value)| have.get(field).is_some_and(|other| locus_fits(value, other)))
        }
        (wanted, have) => wanted == have,
    }
}

/// A case that has been set up and broken.
pub struct Running {
    /// The laboratory.
    pub lab: Lab,
    /// The right answer and the repair.
    pub broken: Broken,
}

impl Case {
    /// Builds the network and breaks it.
    pub fn start(&self, mut lab: Lab) -> Result<Running> {
        self.topology.build(&mut lab)?;
        let broken = (self.fault)(&mut lab)?;
        Ok(Running { lab, broken })
    }

    /// The victim's attempt.
    pub fn attempt(&self, lab: &mut Lab) -> Result<Outcome> {
        lab.try_from(self.victim.node, self.victim.target)
    }

    /// The victim's attempt after a repair, with patience for one lost SYN: a queue may still be emptying.
    pub fn attempt_again(&self, lab: &mut Lab) -> Result<Outcome> {
        lab.try_for(self.victim.node, self.victim.target, 4 * crate::probe::PATIENCE)
    }

    /// The victim's attempt, which must show the symptom.
    pub fn symptom(&self, lab: &mut Lab) -> Result<Outcome> {
        let outcome = self.attempt(lab)?;
        let fits = match &outcome.failure {
            None => self.victim.sees.is_empty(),
            Some(failure) => self.victim.sees.contains(&failure.as_str()),
        };
        if fits {
            return Ok(outcome);
        }
        let wanted = if self.victim.sees.is_empty() { &["works"] } else { self.victim.sees };
        Err(LabError::Unexpected(format!("the victim sees \"{outcome}\" instead of {wanted:?}")))
    }

    /// The question is asked somewhere else than where the victim is, so that traffic must be provided.
    #[must_use]
    pub fn needs_traffic(&self) -> bool {
        self.ask.args.iter().any(|word| *word == "--inbound" || *word == "--transit")
    }
}
