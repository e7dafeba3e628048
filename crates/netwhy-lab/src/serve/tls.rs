//! TLS services and the probe that talks to them.

use std::net::SocketAddr;
use std::time::Duration;

use crate::error::{LabError, Result};

pub(super) fn serve(_words: &[&str]) -> Result<()> {
    Err(LabError::Unsupported("tls is not built yet".to_owned()))
}

pub(crate) fn greet(_address: SocketAddr, _name: &str, _patience: Duration) -> Result<(), String> {
    Err("tls not built yet".to_owned())
}
