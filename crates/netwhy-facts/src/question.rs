//! The question: what the user asked, framed as target, role and scope.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::flow::{Family, Flow, Proto};

/// A framed question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Which scenario.
    pub scenario: Scenario,
    /// Target as typed.
    pub target_text: String,
    /// Target parsed.
    pub target: Target,
    /// Where the question is asked from.
    pub role: Role,
    /// The other end for inbound and transit (`--from`).
    pub from: Option<IpAddr>,
    /// `-4` or `-6`.
    pub family: Option<Family>,
    /// Flows to judge, one per address, in the order an application would try them. Filled after name resolution.
    pub flows: Vec<Flow>,
    /// Wall-clock budget in milliseconds.
    pub budget_ms: u64,
    /// Options that change what is asked (`-4`, `--mark 5`) and have to be typed to ask the same again.
    #[serde(default)]
    pub asked_with: Vec<String>,
}

/// Scenario of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scenario {
    /// Why can it not be reached?
    Connect,
    /// Why is it slow?
    Slow,
    /// Where do packets disappear?
    Loss,
    /// Too many connections, degraded service.
    Load,
    /// Intermittent.
    Flap,
    /// Whole-host check.
    Check,
}

/// Where the question is asked from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// This host connects to the target.
    Client,
    /// The target is a service of this host.
    Inbound,
    /// This host routes or switches between the two.
    Transit,
}

/// A parsed target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Name or literal address; empty for `:PORT`.
    pub host: String,
    /// The address when the host is a literal.
    pub literal: Option<IpAddr>,
    /// Zone of a link-local literal (`fe80::1%eth0`).
    pub zone: Option<String>,
    /// Port; 0 for echo.
    pub port: u16,
    /// Transport.
    pub proto: Proto,
    /// What is spoken on top.
    pub app: App,
    /// Path and query of a URL, for HTTP.
    pub path: String,
}

/// Application protocol tried after the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum App {
    /// Nothing: connect only.
    None,
    /// TLS handshake.
    Tls,
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// A DNS query (udp://host:53, or tcp).
    Dns,
}
