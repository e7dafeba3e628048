//! `Evidence`: one fact that speaks for or against a condition, and where a reader can see it himself.

use serde::{Deserialize, Serialize};

/// One fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Short stable name within the report: `attempt`, `counter:TcpExt.ListenOverflows`, `rule-counter`.
    pub id: String,
    /// The fact as a sentence.
    pub statement: String,
    /// The door it came through: `RTM_GETROUTE`, `/proc/net/netstat`, `AF_PACKET`.
    pub source: String,
    /// The value itself, as text or number.
    pub value: serde_json::Value,
    /// Microseconds of the window a difference was taken over; absent for a state read once.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub window_us: Option<u64>,
    /// The classical command that shows the same thing; empty when there is none.
    pub command: String,
}

impl Evidence {
    /// A fact read as state.
    pub fn new(id: impl Into<String>, statement: impl Into<String>, source: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            statement: statement.into(),
            source: source.into(),
            value: serde_json::Value::Null,
            window_us: None,
            command: String::new(),
        }
    }
    /// With its value.
    pub fn value(mut self, v: impl Into<serde_json::Value>) -> Self {
        self.value = v.into();
        self
    }
    /// With the window of a difference.
    pub fn window(mut self, us: u64) -> Self {
        self.window_us = Some(us);
        self
    }
    /// With the classical command.
    pub fn command(mut self, c: impl Into<String>) -> Self {
        self.command = c.into();
        self
    }
}
