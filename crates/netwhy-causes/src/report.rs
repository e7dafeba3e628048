//! `Report`: the answer as the output contract has it (`schema: 1`). Rendering only writes it down.

use netwhy_facts::Locus;
use serde::{Deserialize, Serialize};

use crate::evidence::Evidence;
use crate::fix::Fix;

/// Version of the contract.
pub const SCHEMA: u32 = 1;

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Report {
    pub schema: u32,
    pub question: QuestionOut,
    pub verdict: Overall,
    /// One sentence: what is wrong, or that nothing is.
    pub headline: String,
    /// Ranked, root first.
    pub causes: Vec<CauseOut>,
    pub ruled_out: Vec<RuledOut>,
    pub not_checkable: Vec<NotCheckable>,
    /// The path walked: predicted and observed side by side, per flow.
    pub stages: Vec<StageOut>,
    /// Where prediction and observation contradict each other.
    #[serde(default)]
    pub disagreements: Vec<Disagreement>,
    /// For `outside`: the last good point and the text to hand over.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hand_off: Option<HandOff>,
    pub cost: Cost,
}

/// Overall verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overall {
    /// A cause on this host.
    Problem,
    /// The target answers.
    Healthy,
    /// It fails and no cause could be named.
    Undetermined,
    /// It fails for a reason that is not on this host.
    Outside,
}

/// The question as framed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct QuestionOut {
    pub scenario: String,
    pub target: String,
    /// Addresses judged, `ADDR:PORT`.
    pub addresses: Vec<String>,
    pub netns: String,
    pub role: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
    /// The command that asks the same again, inside the namespace it was asked in.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub command: String,
    /// RFC 3339, UTC.
    pub started: String,
    pub duration_us: u64,
}

/// How sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Observed on this flow or object in this window.
    Proven,
    /// Fits, without excluding every other explanation.
    Consistent,
}

/// One cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct CauseOut {
    pub id: String,
    pub title: String,
    pub confidence: Confidence,
    pub locus: Locus,
    pub summary: String,
    /// Ids of the conditions it brings about that were proven too.
    pub explains: Vec<String>,
    /// Addresses it concerns, `ADDR:PORT`.
    pub flows: Vec<String>,
    pub outside: bool,
    pub evidence: Vec<Evidence>,
    pub fix: Vec<Fix>,
    pub verify: String,
}

/// A look-alike that was excluded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct RuledOut {
    pub id: String,
    pub because: String,
    pub evidence: Vec<Evidence>,
}

/// What could not be checked, and what it needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct NotCheckable {
    pub what: String,
    pub needs: String,
    /// True when one more privilege would add it.
    pub privilege: bool,
}

/// One stage of the path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct StageOut {
    pub flow: String,
    /// forward or reply.
    pub direction: String,
    pub stage: String,
    pub predicted: String,
    /// What was seen; empty when nothing could be.
    pub observed: String,
    /// Prediction and observation contradict each other.
    pub disagrees: bool,
}

/// A contradiction between what was predicted and what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Disagreement {
    pub flow: String,
    /// forward or reply.
    pub direction: String,
    pub predicted: String,
    pub observed: String,
    pub source: String,
    /// Id of the cause that rests on the same observation; empty when none does.
    pub explained_by: String,
}

/// What to tell whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct HandOff {
    pub last_good: String,
    pub text: String,
}

/// What the answer cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Cost {
    pub wall_us: u64,
    pub cpu_us: u64,
    pub rss_bytes: u64,
    pub packets_sent: u64,
    pub events: u64,
    pub lost: u64,
}

impl Report {
    /// Exit code of a question (design: 0 healthy, 1 problem, 3 undetermined, 4 a needed fact was denied).
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Overall::Healthy => 0,
            Overall::Problem | Overall::Outside => 1,
            Overall::Undetermined if self.not_checkable.iter().any(|n| n.privilege) => 4,
            Overall::Undetermined => 3,
        }
    }
}
