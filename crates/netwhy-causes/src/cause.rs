//! `Cause`: one condition that can be the reason, and the verdicts a judge can give.

use netwhy_facts::question::Scenario;
use netwhy_facts::{Absence, Locus, Role};

use crate::case::Case;
use crate::evidence::Evidence;
use crate::fix::Fix;

/// One condition, with what it needs and how it is judged.
pub struct Cause {
    /// The condition in kebab case; also the file stem (with underscores) and the word for `netwhy explain`.
    pub id: &'static str,
    /// One line a person reads first.
    pub title: &'static str,
    /// Scenarios in which it is considered.
    pub scenarios: &'static [Scenario],
    /// Places from which it can be seen.
    pub roles: &'static [Role],
    /// Layer, bottom up; orders equals.
    pub layer: Layer,
    /// Judged once per flow or once per question.
    pub scope: Scope,
    /// Kinds of facts the judge reads; drives collection. A test holds it against what `judge` really reads.
    pub needs: &'static [&'static str],
    /// Conditions this one brings about: when both are proven, this one is nearer the root.
    pub explains: &'static [&'static str],
    /// The judgement.
    pub judge: fn(&Case<'_>) -> Verdict,
}

/// Layer of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Layer {
    Link,
    Neighbour,
    Bpf,
    Address,
    Route,
    Firewall,
    Nat,
    Tunnel,
    Path,
    Host,
    Socket,
    Process,
    Name,
    Tls,
    Application,
}

/// How often a cause is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// For every flow whose reproduction failed (or whose fate is unknown for inbound and transit).
    FailedFlow,
    /// For every flow, also those that work (a slow first address, an early close, TLS).
    EveryFlow,
    /// Once, about the whole question (names, several addresses).
    Question,
}

/// A judge's verdict.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The mechanism was observed on this flow or object in this window.
    Proven(Box<Finding>),
    /// The facts fit, but do not exclude every other explanation.
    Consistent(Box<Finding>),
    /// A look-alike that a fact excludes. Only for conditions a reader could have suspected here.
    RuledOut {
        /// The excluding fact in one sentence.
        because: String,
        /// The fact.
        evidence: Vec<Evidence>,
    },
    /// A needed fact is absent: it would be judged with more privilege or another kernel.
    Unknown {
        /// What could not be checked.
        what: String,
        /// What it needs.
        needs: Absence,
    },
    /// Several verdicts of one judge, such as two rules that both stop the flow, one behind the other.
    Several(Vec<Verdict>),
    /// Nothing points here and nobody would suspect it.
    Silent,
}

impl Verdict {
    /// A ruled-out look-alike.
    pub fn ruled_out(because: impl Into<String>, evidence: Vec<Evidence>) -> Self {
        Self::RuledOut { because: because.into(), evidence }
    }
    /// A missing fact. `NotAsked` is silent: nobody wanted to know.
    pub fn unknown(what: impl Into<String>, absence: Absence) -> Self {
        match absence {
            Absence::NotAsked => Self::Silent,
            needs => Self::Unknown { what: what.into(), needs },
        }
    }
    /// The finding of a proven or consistent verdict, the first of several.
    pub fn finding(&self) -> Option<&Finding> {
        match self {
            Self::Proven(f) | Self::Consistent(f) => Some(f),
            Self::Several(all) => all.iter().find_map(Verdict::finding),
            _ => None,
        }
    }
    /// One verdict of many: none is silence, one is itself.
    pub fn several(mut all: Vec<Verdict>) -> Self {
        all.retain(|v| *v != Self::Silent);
        match all.len() {
            0 | 1 => all.pop().unwrap_or(Self::Silent),
            _ => Self::Several(all),
        }
    }
    /// The single verdicts.
    pub fn flatten(self) -> Vec<Verdict> {
        match self {
            Self::Several(all) => all.into_iter().flat_map(Verdict::flatten).collect(),
            one => vec![one],
        }
    }
}

/// What a judge found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The object a human can change.
    pub locus: Locus,
    /// One or two sentences: the condition in this instance.
    pub summary: String,
    /// Facts, strongest first.
    pub evidence: Vec<Evidence>,
    /// What to do, safest first.
    pub fix: Vec<Fix>,
    /// A command that fails now and must succeed afterwards. Empty: the question itself.
    pub verify: String,
    /// The object is not on this host: hand over.
    pub outside: bool,
}

impl Finding {
    /// A finding on this host without evidence yet.
    pub fn new(locus: Locus, summary: impl Into<String>) -> Self {
        Self {
            locus,
            summary: summary.into(),
            evidence: Vec::new(),
            fix: Vec::new(),
            verify: String::new(),
            outside: false,
        }
    }
    /// Adds a fact.
    pub fn evidence(mut self, e: Evidence) -> Self {
        self.evidence.push(e);
        self
    }
    /// Adds a fact when there is one.
    pub fn maybe(mut self, e: Option<Evidence>) -> Self {
        self.evidence.extend(e);
        self
    }
    /// Adds something to do.
    pub fn fix(mut self, f: Fix) -> Self {
        self.fix.push(f);
        self
    }
    /// Sets the command that verifies the repair.
    pub fn verify(mut self, command: impl Into<String>) -> Self {
        self.verify = command.into();
        self
    }
    /// Marks the object as not on this host.
    pub fn outside(mut self) -> Self {
        self.outside = true;
        self
    }
    /// Proven.
    pub fn proven(self) -> Verdict {
        Verdict::Proven(Box::new(self))
    }
    /// Consistent.
    pub fn consistent(self) -> Verdict {
        Verdict::Consistent(Box::new(self))
    }
    /// Proven when `observed`, else consistent.
    pub fn proven_if(self, observed: bool) -> Verdict {
        if observed { self.proven() } else { self.consistent() }
    }
}
