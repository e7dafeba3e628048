//! `Reading`: a value observed at the kernel's edge, or the reason why there is none.

use serde::{Deserialize, Serialize};

/// What came of asking for one fact. Absence is never zero and always has a reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reading", rename_all = "snake_case")]
pub enum Reading<T> {
    /// The value was read.
    Known {
        /// The value itself.
        value: T,
        /// The door it came through, such as `RTM_GETROUTE` or `/proc/net/snmp`.
        source: String,
        /// When it was read: nanoseconds of CLOCK_MONOTONIC.
        at: u64,
    },
    /// The kernel refused; `needs` names the missing privilege, such as `CAP_NET_ADMIN`.
    Denied {
        /// What would have to be granted.
        needs: String,
    },
    /// This kernel (or this build of netwhy) cannot answer.
    Unsupported {
        /// The missing feature, in a few words.
        why: String,
    },
    /// Nobody asked for it in this run.
    NotAsked,
    /// Asking failed in a way that is neither refusal nor lack of support.
    Failed {
        /// The error, with operation and object.
        error: String,
    },
}

impl<T> Reading<T> {
    /// A value with its source and time.
    pub fn known(value: T, source: impl Into<String>, at: u64) -> Self {
        Self::Known { value, source: source.into(), at }
    }

    /// A refusal.
    pub fn denied(needs: impl Into<String>) -> Self {
        Self::Denied { needs: needs.into() }
    }

    /// A lack of support.
    pub fn unsupported(why: impl Into<String>) -> Self {
        Self::Unsupported { why: why.into() }
    }

    /// A failure.
    pub fn failed(error: impl ToString) -> Self {
        Self::Failed { error: error.to_string() }
    }

    /// The value when there is one. For places where any absence leads to the same next step.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Known { value, .. } => Some(value),
            _ => None,
        }
    }

    /// The door the value came through, when there is a value.
    pub fn source(&self) -> Option<&str> {
        match self {
            Self::Known { source, .. } => Some(source),
            _ => None,
        }
    }

    /// Whether there is a value.
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Known { .. })
    }

    /// Applies `f` to the value and keeps source, time and every absence.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Reading<U> {
        match self {
            Self::Known { value, source, at } => Reading::Known { value: f(value), source, at },
            Self::Denied { needs } => Reading::Denied { needs },
            Self::Unsupported { why } => Reading::Unsupported { why },
            Self::NotAsked => Reading::NotAsked,
            Self::Failed { error } => Reading::Failed { error },
        }
    }

    /// A reading of a reference.
    pub fn as_ref(&self) -> Reading<&T> {
        match self {
            Self::Known { value, source, at } => Reading::Known { value, source: source.clone(), at: *at },
            Self::Denied { needs } => Reading::Denied { needs: needs.clone() },
            Self::Unsupported { why } => Reading::Unsupported { why: why.clone() },
            Self::NotAsked => Reading::NotAsked,
            Self::Failed { error } => Reading::Failed { error: error.clone() },
        }
    }

    /// Why there is no value, in words for a report; `None` when there is one.
    pub fn absence(&self) -> Option<Absence> {
        match self {
            Self::Known { .. } => None,
            Self::Denied { needs } => Some(Absence::Denied(needs.clone())),
            Self::Unsupported { why } => Some(Absence::Unsupported(why.clone())),
            Self::NotAsked => Some(Absence::NotAsked),
            Self::Failed { error } => Some(Absence::Failed(error.clone())),
        }
    }
}

/// The reason why a reading holds no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Absence {
    /// A privilege is missing: its name.
    Denied(String),
    /// The kernel or this build lacks the feature: which.
    Unsupported(String),
    /// The fact was not collected.
    NotAsked,
    /// The attempt failed: how.
    Failed(String),
}

impl std::fmt::Display for Absence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Denied(needs) => write!(f, "denied (needs {needs})"),
            Self::Unsupported(why) => write!(f, "not supported here ({why})"),
            Self::NotAsked => write!(f, "not asked"),
            Self::Failed(error) => write!(f, "failed ({error})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_five_outcomes_stay_apart_in_json() {
        let all: Vec<Reading<u64>> = vec![
            Reading::known(0, "test", 1),
            Reading::denied("CAP_NET_ADMIN"),
            Reading::unsupported("no nf_tables"),
            Reading::NotAsked,
            Reading::failed("EIO"),
        ];
        let text = serde_json::to_string(&all).unwrap();
        let back: Vec<Reading<u64>> = serde_json::from_str(&text).unwrap();
        assert_eq!(all, back);
        assert!(all[0].absence().is_none());
        assert_eq!(all[1].absence().unwrap().to_string(), "denied (needs CAP_NET_ADMIN)");
    }
}
